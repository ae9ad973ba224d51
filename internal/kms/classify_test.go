package kms

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/codeontap/entrypoint/internal/env"
	"github.com/codeontap/entrypoint/internal/kms/kmstest"
)

// environment makes one of name=value pairs.
func environment(t testing.TB, block ...string) env.Environment {
	t.Helper()
	e, dropped := env.Parse(block)
	if dropped != 0 {
		t.Fatalf("%d entries without a name", dropped)
	}
	return e
}

func TestClassifyByMode(t *testing.T) {
	text := kmstest.Text(kmstest.Current, key, "s3cret", 1)
	e := environment(t,
		"DATABASE_PASSWORD="+text,
		"MARKED=kms+base64:YWJj",
		"LARAVEL=base64:YWJjZA==",
		"LARAVEL_ODD=base64:YWJjZA",
		"BASE64=postgres",
		"UNPADDED=YQ",
		"URL_SAFE=ab-_",
		"TEXT=hello world",
		"EMPTY=",
		"CUT="+text[:40],
		"AWS_SECRET_ACCESS_KEY="+text,
		"PATH=/usr/bin",
	)
	for mode, want := range map[Mode][]string{
		Auto: {"CUT damaged", "DATABASE_PASSWORD recognised", "MARKED marked"},
		All: {"BASE64 base64", "CUT damaged", "DATABASE_PASSWORD recognised", "LARAVEL base64",
			"MARKED marked"},
		Off: nil,
	} {
		var got []string
		for _, c := range Classify(e, mode) {
			got = append(got, c.Name+" "+c.Shape.String())
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%v (-want +got):\n%s", mode, diff)
		}
	}
	if diff := cmp.Diff([]string{"CUT", "DATABASE_PASSWORD", "MARKED"}, Encrypted(e)); diff != "" {
		t.Error(diff)
	}
}

func TestNeverCandidates(t *testing.T) {
	text := kmstest.Text(kmstest.Current, key, "s3cret", 1)
	for _, name := range strings.Fields(`AWS_ACCESS_KEY_ID AWS_REGION ECS_CONTAINER_METADATA_URI LAMBDA_TASK_ROOT _HANDLER
		KUBERNETES_SERVICE_HOST PATH HOME HOSTNAME PWD LANG LC_ALL TZ PYTHONPATH PYTHON_VERSION LD_PRELOAD ENTRYPOINT_MODE KMS_PREFIX
		KMS_ENCRYPTION_CONTEXT APP_RUN_MODE APP_WORKER_COUNT APP_WORKER_STRATEGY APP_BIND APP_TASK_LIST APP_INIT_TASKS APP_DEBUG`) {
		for _, value := range []string{text, "kms+base64:YWJj", "postgres"} {
			if name == "KMS_PREFIX" && value == text {
				continue // then it is a marker, and behind it stands nothing
			}
			if got := Classify(environment(t, name+"="+value), All); len(got) != 0 {
				t.Errorf("%s is a candidate", name)
			}
		}
	}
	for _, name := range []string{"APP_SECRET", "APP_DEBUGGER", "PATHS", "HOME_URL", "LANGUAGE", "AWSOME", "LDAP_PASSWORD", "KMSX", "KUBE_TOKEN"} {
		if got := Classify(environment(t, name+"="+text), Auto); len(got) != 1 {
			t.Errorf("%s is none", name)
		}
	}
}

func TestPrefixFromTheEnvironment(t *testing.T) {
	for value, want := range map[string]int{"vault!YWJj": 1, "vault?YWJj": 0} {
		if got := Classify(environment(t, "KMS_PREFIX=vault!", "A="+value), Auto); len(got) != want {
			t.Errorf("%s: %d candidates", value, len(got))
		}
	}
}

func TestModeAndPolicyReadWhatTheyPrint(t *testing.T) {
	for _, m := range []Mode{Auto, All, Off} {
		if got, err := ParseMode(m.String()); err != nil || got != m {
			t.Errorf("%v: %v, %v", m, got, err)
		}
	}
	for _, p := range []Policy{Keep, Exit} {
		if got, err := ParsePolicy(p.String()); err != nil || got != p {
			t.Errorf("%v: %v, %v", p, got, err)
		}
	}
	for _, bad := range []string{"", "AUTO", "none", "s3cret"} {
		_, err1 := ParseMode(bad)
		_, err2 := ParsePolicy(bad)
		for _, err := range []error{err1, err2} {
			if err == nil || bad != "" && strings.Contains(err.Error(), bad) {
				t.Errorf("%q: %v", bad, err)
			}
		}
	}
}
