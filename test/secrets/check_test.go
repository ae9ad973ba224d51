package secrets

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/codeontap/entrypoint/internal/kms/kmstest"
	"github.com/codeontap/entrypoint/test/internal/stage"
)

// report is the JSON of check, as interface.md promises it.
type report struct {
	Problems []struct {
		Set, Variable, Problem, Hint string
	} `json:"problems"`
	Ciphertexts []ciphertext `json:"ciphertexts"`
}

type ciphertext struct {
	Variable   string `json:"variable"`
	Generation string `json:"generation"`
	Group      string `json:"key_group"`
	Length     int    `json:"plaintext_length"`
	Result     string `json:"result"`
	Damage     string `json:"damage"`
}

func reportOf(t *testing.T, r *stage.Running) report {
	t.Helper()
	r.Exit()
	var out report
	d := json.NewDecoder(strings.NewReader(r.Stdout.String()))
	d.DisallowUnknownFields()
	if err := d.Decode(&out); err != nil {
		t.Fatalf("not the JSON that is promised: %v\n%s", err, r)
	}
	return out
}

// Nothing to say is said in one word, and lists are lists.
func TestCheckOfNothing(t *testing.T) {
	r := run(t, stage.Story{Words: []string{"check"}})
	r.WantExit(0)
	r.WantOut("ok\n")
	r = run(t, stage.Story{Words: []string{"check", "--json"}})
	r.WantExit(0)
	r.WantOut(`{"problems":[],"ciphertexts":[]}` + "\n")
}

func TestCheckAsksAboutEveryCiphertext(t *testing.T) {
	k := newKMS(t)
	whole := seal("cut off here")
	raw, _ := base64.StdEncoding.DecodeString(whole)
	busy := kmstest.Blob(kmstest.Current, arn, "busy", 4711)
	k.Script(busy, kmstest.Refuse(500, "KMSInternalException", ""))
	disabled := kmstest.Blob(kmstest.Current, arn, "disabled", 4712)
	k.Script(disabled, kmstest.Refuse(400, "DisabledException", ""))
	env := append(k.env, "ENTRYPOINT_DECRYPT_TIMEOUT=1s",
		"A_CURRENT="+seal("twenty characters..."), "B_OLDER="+kmstest.Text(kmstest.Older, arn, "older", 1), "C_2014="+kmstest.Text(kmstest.Year2014, arn, "2014", 1),
		"D_OTHER_KEY="+sealUnder("another", "x"), "E_CUT="+base64.StdEncoding.EncodeToString(raw[:len(raw)-3]), "F_SHORT="+base64.StdEncoding.EncodeToString(raw[:60]),
		"G_BUSY="+base64.StdEncoding.EncodeToString(busy), "H_DISABLED="+base64.StdEncoding.EncodeToString(disabled), "I_PLAIN=postgres")
	r := run(t, stage.Story{Words: []string{"check", "--json"}, Env: env})
	r.WantExit(78)
	got := reportOf(t, r)
	want := []ciphertext{
		{"A_CURRENT", "current", "a", 20, "ok", ""}, {"B_OLDER", "older", "a", 5, "ok", ""}, {"C_2014", "2014", "a", 4, "ok", ""},
		{"D_OTHER_KEY", "current", "b", 1, "denied", ""}, {"E_CUT", "current", "a", 0, "damaged", "truncated"}, {"F_SHORT", "current", "a", 0, "damaged", "truncated"},
		{"G_BUSY", "current", "a", 4, "unavailable", ""}, {"H_DISABLED", "current", "a", 8, "key_state", ""},
	}
	compare := cmp.Comparer(func(a, b ciphertext) bool {
		damaged := strings.HasPrefix(a.Damage, b.Damage) || strings.HasPrefix(b.Damage, a.Damage)
		if (a.Damage == "") != (b.Damage == "") || !damaged {
			return false
		}
		a.Damage, b.Damage = "", ""
		if a.Result == "damaged" {
			a.Length, b.Length = 0, 0
		}
		return a == b
	})
	if diff := cmp.Diff(want, got.Ciphertexts, compare); diff != "" {
		t.Errorf("ciphertexts (-want +got):\n%s%s", diff, r)
	}
	var named []string
	for _, p := range got.Problems {
		if p.Set == "kms" {
			named = append(named, p.Variable)
		}
	}
	if want := []string{"D_OTHER_KEY", "E_CUT", "F_SHORT", "G_BUSY", "H_DISABLED"}; !slices.Equal(named, want) {
		t.Errorf("problems of %v, not of %v\n%s", named, want, r)
	}

	as := run(t, stage.Story{Words: []string{"check"}, Env: env})
	as.WantExit(78)
	for _, line := range []string{"A_CURRENT: ok, current layout, key a, 20 bytes of plaintext", "D_OTHER_KEY: access denied", "F_SHORT", "G_BUSY: no good answer"} {
		if !strings.Contains(as.Stdout.String(), line) {
			t.Errorf("the text does not say %q\n%s", line, as)
		}
	}
}

// Offline nobody is asked, and what can be told is told.
func TestCheckOffline(t *testing.T) {
	k := newKMS(t)
	good := append(k.env, "SECRET="+seal("sixteen letters."), "MARKED=kms+base64:"+base64.StdEncoding.EncodeToString([]byte("an emulator's")))
	r := run(t, stage.Story{Words: []string{"check", "--offline", "--json"}, Env: good})
	r.WantExit(0)
	want := []ciphertext{{Variable: "MARKED", Generation: "unknown", Result: "not asked"}, {"SECRET", "current", "a", 16, "not asked", ""}}
	if diff := cmp.Diff(want, reportOf(t, r).Ciphertexts); diff != "" {
		t.Errorf("ciphertexts (-want +got):\n%s", diff)
	}
	text := run(t, stage.Story{Words: []string{"check", "--offline"}, Env: good})
	text.WantExit(0)
	text.WantOut("ciphertext  MARKED: not asked\nciphertext  SECRET: not asked, current layout, key a, 16 bytes of plaintext\nok\n")

	damaged := run(t, stage.Story{Words: []string{"check", "--offline"}, Env: append(good, "BAD=kms+base64:???")})
	damaged.WantExit(78)
	if !strings.Contains(damaged.Stdout.String(), "BAD: what follows the marker is not base64") {
		t.Errorf("the damage is not told\n%s", damaged)
	}
	if len(k.Calls()) > 0 {
		t.Error("KMS was asked")
	}
}

// 75 where KMS could not be asked, 78 where somebody has to change something;
// 78 wins.
func TestTheCodesOfCheck(t *testing.T) {
	k := newKMS(t)
	with := func(env []string, more ...string) []string { return slices.Concat(env, more) }
	away := append(awsEnvironment("http://127.0.0.1:1"), "SECRET="+seal("x"), "ENTRYPOINT_DECRYPT_TIMEOUT=500ms")
	for name, test := range map[string]struct {
		env  []string
		code int
		say  string
	}{
		"good":                       {with(k.env, "SECRET="+seal("x")), 0, "ok"},
		"away":                       {away, 75, "unavailable"},
		"away, and a violation":      {with(away, "DATABASE_HOST=db"), 78, "DATABASE_NAME is required and not set"},
		"away, and a damaged one":    {with(away, "BAD=kms+base64:?"), 78, "BAD"},
		"no credentials":             {with(k.env, "SECRET="+seal("x"), "AWS_ACCESS_KEY_ID="), 75, "no_credentials"},
		"no region":                  {with(k.env, "SECRET="+seal("x"), "AWS_REGION="), 78, "not asked"},
		"denied":                     {with(k.env, "SECRET="+sealUnder("another", "x")), 78, "denied"},
		"a violation":                {with(k.env, "DATABASE_HOST=db"), 78, "DATABASE_NAME is required and not set"},
		"a violation in a plaintext": {with(k.env, "SMTP_HOST=mail", "SMTP_PORT="+seal("none")), 78, "SMTP_PORT is not a port number"},
		"a likely typo":              {with(k.env, "DATABASE_HOSTT=db"), 0, "did you mean DATABASE_HOST?"},
		"a typo that turns a set off": {with(k.env, "DATABASE_HOSTT=db", "DATABASE_NAME=n"), 78,
			"did you mean DATABASE_HOST?"},
		"a bad setting":          {with(k.env, "ENTRYPOINT_GRACE=soon"), 78, "ENTRYPOINT_GRACE"},
		"two bad settings":       {with(k.env, "ENTRYPOINT_GRACE=soon", "ENTRYPOINT_DECRYPT=maybe"), 78, "ENTRYPOINT_DECRYPT"},
		"a missing file":         {with(k.env, "DATABASE_PASSWORD_FILE=/no/such"), 78, "DATABASE_PASSWORD_FILE"},
		"longer than execve":     {with(k.env, "LONG=kms+base64:"+base64.StdEncoding.EncodeToString([]byte("long"))), 78, "LONG"},
		"NUL in the plaintext":   {with(k.env, "NUL=kms+base64:"+base64.StdEncoding.EncodeToString([]byte("nul"))), 78, "NUL"},
		"keep changes no code":   {with(k.env, "SECRET="+sealUnder("another", "x"), "ENTRYPOINT_DECRYPT_FAILURE=keep"), 78, "denied"},
		"off is asked about too": {with(k.env, "SECRET="+seal("x"), "ENTRYPOINT_DECRYPT=off"), 0, "ok"},
	} {
		t.Run(name, func(t *testing.T) {
			k.Script([]byte("long"), kmstest.Plaintext(arn, strings.Repeat("x", 140000)))
			k.Script([]byte("nul"), kmstest.Plaintext(arn, "a\x00b"))
			r := run(t, stage.Story{Words: []string{"check"}, Env: test.env})
			r.WantExit(test.code)
			if !strings.Contains(r.Stdout.String(), test.say) {
				t.Errorf("stdout does not say %q\n%s", test.say, r)
			}
			as := run(t, stage.Story{Words: []string{"check", "--json"}, Env: test.env})
			as.WantExit(test.code)
			if got := reportOf(t, as); test.code != 0 && len(got.Problems) == 0 {
				t.Errorf("no problem\n%s", as)
			}
		})
	}
	run(t, stage.Story{Words: []string{"check", "words"}}).WantExit(64)
	run(t, stage.Story{Words: []string{"check", "--grace", "soon"}}).WantExit(64)
}

// The Django set is demanded where a manage.py stands, and only there.
func TestCheckDemandsTheDjangoSetOfDjango(t *testing.T) {
	r := run(t, stage.Story{Words: []string{"check"}, Dir: django(t)})
	r.WantExit(78)
	if !strings.Contains(r.Stdout.String(), "DJANGO_SECRET_KEY is required unless DJANGO_DEBUG is true") {
		t.Errorf("the key is not demanded\n%s", r)
	}
	run(t, stage.Story{Words: []string{"check"}}).WantExit(0)
}

// Whatever is wrong is in one list, each with its set, variable and what is
// wanted.
func TestCheckListsEverythingAtOnce(t *testing.T) {
	k := newKMS(t)
	env, said := violated()
	env = slices.Concat(env, k.env, []string{"SECRET=" + sealUnder("another", "x"), "ENTRYPOINT_DRAIN=later", "COUCHDB_PASSWORD_FILE=/no/such"})
	r := run(t, stage.Story{Words: []string{"check"}, Env: env, Dir: django(t)})
	r.WantExit(78)
	for _, text := range append(said, "SECRET: access denied", "ENTRYPOINT_DRAIN", "COUCHDB_PASSWORD_FILE") {
		if !strings.Contains(r.Stdout.String(), text) {
			t.Errorf("it does not say %q\n%s", text, r)
		}
	}
	for _, p := range reportOf(t, run(t, stage.Story{Words: []string{"check", "--json"}, Env: env, Dir: django(t)})).Problems {
		if p.Set == "" || p.Problem == "" {
			t.Errorf("a problem without set or words: %+v", p)
		}
	}
}

// A pipe that is closed early, as by head: no trace, no hang.
func TestCheckIntoAClosedPipe(t *testing.T) {
	r := run(t, stage.Story{Words: []string{"check"}, Wrap: []string{"sh", "-c", `{ "$0" "$@"; echo "code $?" >&2; } | true`}})
	r.Exit()
	if strings.Contains(r.Stderr.String(), "code 70") || strings.Contains(r.Stderr.String(), "code 2\n") {
		t.Errorf("%s", r)
	}
}
