package secrets

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/codeontap/entrypoint/internal/kms/kmstest"
	"github.com/codeontap/entrypoint/test/internal/stage"
)

// aviary is an application's folder and environment in which every way to hand
// a secret over is taken.
type aviary struct {
	dir string
	env []string
	// hidden never stood in our own environment: encrypted, in .env or in a file.
	hidden []canary
	// open stands there as it is, and may stand nowhere else.
	open []canary
	// encrypted is the part of hidden that even --reveal does not show.
	encrypted []canary
	kms       kms
}

// show is a script's line that proves that a variable arrived, and shows none.
const show = `for v in DATABASE_PASSWORD MARKED_URL TWICE RABBITMQ_PASSWORD DOTENV_SECRET PLAIN_URL; do
	eval "value=\$$v"; printf '%s %s\n' $v "$(printf %s "$value" | sha256sum | cut -c1-16)"
done
`

// sums is what show prints.
func (a aviary) sums() []string {
	var lines []string
	for name, text := range map[string]string{
		"DATABASE_PASSWORD": a.of("DATABASE_PASSWORD").text(), "MARKED_URL": a.of("MARKED_URL").inURL(), "TWICE": a.of("TWICE").text(),
		"RABBITMQ_PASSWORD": a.of("RABBITMQ_PASSWORD").text(), "DOTENV_SECRET": a.of("DOTENV_SECRET").core, "PLAIN_URL": a.of("PLAIN_URL").inURL(),
	} {
		lines = append(lines, fmt.Sprintf("%s %x", name, sha256.Sum256([]byte(text)))[:len(name)+17])
	}
	return lines
}

func (a aviary) of(what string) canary {
	all := slices.Concat(a.hidden, a.open)
	return all[slices.IndexFunc(all, func(c canary) bool { return c.what == what })]
}

// all are the canaries of both kinds.
func (a aviary) all() []canary { return slices.Concat(a.hidden, a.open) }

func newAviary(t *testing.T) aviary {
	t.Helper()
	a := aviary{dir: stage.Folder(t), kms: newKMS(t)}
	bird := func(what string) canary {
		sum := sha256.Sum256([]byte(what))
		return canary{what, "Kn" + strings.NewReplacer("+", "A", "/", "B").Replace(base64.RawStdEncoding.EncodeToString(sum[:12]))}
	}
	sealed := func(name string) canary {
		c := bird(name)
		a.encrypted = append(a.encrypted, c)
		return c
	}
	base64Of := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	password, marked, twice, key := sealed("DATABASE_PASSWORD"), sealed("MARKED_URL"), sealed("TWICE"), sealed("DJANGO_SECRET_KEY")
	refused, cut := sealed("REFUSED"), sealed("CUT")
	inFile, inDotenv, quoted := bird("RABBITMQ_PASSWORD"), bird("DOTENV_SECRET"), bird("DOTENV_QUOTED")
	a.hidden = append(slices.Clone(a.encrypted), inFile, inDotenv, quoted)
	plain, plainURL, plainBase64, json := bird("PLAIN"), bird("PLAIN_URL"), bird("PLAIN_BASE64"), bird("PLAIN_JSON")
	a.open = []canary{plain, plainURL, plainBase64, json}

	whole := seal(cut.text())
	a.env = slices.Concat(a.kms.env, []string{
		"APP_DEBUG=1",
		"DATABASE_HOST=db.invalid", "DATABASE_NAME=app", "DATABASE_USERNAME=app", "DATABASE_PASSWORD=" + seal(password.text()),
		"DJANGO_SECRET_KEY=" + seal(key.text()),
		"MARKED_URL=kms+base64:" + seal(marked.inURL()),
		"TWICE=" + base64Of(seal(twice.text())),
		"REFUSED=" + sealUnder("a key of others", refused.text()),
		"CUT=" + whole[:len(whole)-8],
		"RABBITMQ_HOST=mq.invalid", "RABBITMQ_USERNAME=app",
		"RABBITMQ_PASSWORD_FILE=" + write(t, stage.Folder(t), "rabbitmq", inFile.text()+"\n"),
		"PLAIN=" + plain.text(), "PLAIN_URL=" + plainURL.inURL(), "PLAIN_BASE64=" + base64Of(plainBase64.text()),
		"PLAIN_JSON=" + fmt.Sprintf(`{"password":%q}`, json.text()),
	})
	write(t, a.dir, ".env", fmt.Sprintf("DOTENV_SECRET=%s\nDOTENV_QUOTED='%s'\nexport DOTENV_URL=\"amqp://a:${DOTENV_SECRET}@h/\"\n",
		inDotenv.core, strings.ReplaceAll(quoted.text(), "'", `\'`)))
	write(t, a.dir, "manage.py", "# not run here: every mode has its script\n")
	for _, mode := range []string{"web", "worker", "beat"} {
		write(t, a.dir, "container-"+mode+".sh", "#!/bin/sh\n"+show+"echo up\nexec sleep 600\n")
	}
	write(t, a.dir, "container-task.sh", "#!/bin/sh\n"+show)
	return a
}

// search looks for canaries in everything that a run has let out: its output
// and, while it lives, what the kernel shows of its process.
func (a aviary) search(t *testing.T, r *stage.Running, canaries []canary) {
	t.Helper()
	wantNone(t, canaries, "stdout", r.Stdout.String())
	wantNone(t, canaries, "stderr", r.Stderr.String())
}

func (a aviary) searchProcess(t *testing.T, r *stage.Running) {
	t.Helper()
	environ := stage.Read(t, fmt.Sprintf("/proc/%d/environ", r.PID))
	if !strings.Contains(environ, "APP_DEBUG=1") {
		t.Errorf("the environment of the process cannot be read")
	}
	wantNone(t, a.hidden, "/proc/PID/environ", environ)
	wantNone(t, a.all(), "/proc/PID/cmdline", stage.Read(t, fmt.Sprintf("/proc/%d/cmdline", r.PID)))
}

func TestRunLetsNoSecretOut(t *testing.T) {
	stage.NeedRoot(t)
	for _, test := range []struct {
		name  string
		words []string
		stop  bool
		code  int
	}{
		{"WEB", []string{"--bind", "127.0.0.1:0", "--strategy", "copies", "--workers", "2", "--health", "none"}, true, 0},
		{"WEB, native", []string{"run", "--mode", "web", "--health", "none"}, true, 0},
		{"WORKER", []string{"run", "--mode", "WORKER", "--health", "none"}, true, 0},
		{"BEAT", []string{"run", "--mode", "BEAT", "--health", "none"}, true, 0},
		{"TASK", []string{"run", "--mode", "TASK", "--task", "check"}, false, 0},
		{"a command", []string{"run", "--", "sh", "-c", show + "echo up; exec sleep 600"}, true, 0},
		{"a command that fails", []string{"run", "--give-up", "1/60s", "--", "sh", "-c", show + "exit 3"}, false, 3},
		{"prefixed output", []string{"run", "--app-output", "prefix", "--", "sh", "-c", show + "echo up; exec sleep 600"}, true, 0},
		{"exec", []string{"sh", "-c", show + "echo up; exec sleep 600"}, true, 143},
		{"logs as JSON", []string{"exec", "--log-format", "json", "sh", "-c", show}, false, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			a := newAviary(t)
			r := start(t, stage.Story{Words: test.words, Env: a.env, Dir: a.dir})
			if test.stop {
				r.Says("up", 1)
				a.searchProcess(t, r)
				r.Signal(syscall.SIGTERM)
			}
			r.WantExit(test.code)
			for _, line := range a.sums() {
				if !strings.Contains(r.Stdout.String(), line) {
					t.Errorf("the application did not get it: %s\n%s", line, r)
				}
			}
			a.search(t, r, a.all())
			for _, name := range []string{"REFUSED", "CUT"} {
				r.WantSaid(name)
			}
		})
	}
}

func TestPlanAndCheckLetNoSecretOut(t *testing.T) {
	for _, test := range []struct {
		words []string
		code  int
		shown bool // plain values
	}{
		{[]string{"plan"}, 0, false},
		{[]string{"plan", "--json"}, 0, false},
		{[]string{"plan", "--mode", "TASK", "--task", "check"}, 0, false},
		{[]string{"plan", "--reveal"}, 0, true},
		{[]string{"plan", "--json", "--reveal"}, 0, true},
		{[]string{"check"}, 78, false},
		{[]string{"check", "--json"}, 78, false},
		{[]string{"check", "--offline"}, 78, false},
		{[]string{"check", "--offline", "--json"}, 78, false},
	} {
		t.Run(strings.Join(test.words, " "), func(t *testing.T) {
			t.Parallel()
			a := newAviary(t)
			r := run(t, stage.Story{Words: test.words, Env: a.env, Dir: a.dir})
			r.WantExit(test.code)
			if !test.shown {
				a.search(t, r, a.all())
				return
			}
			a.search(t, r, a.encrypted)
			for _, c := range a.open {
				if c.what != "PLAIN_BASE64" && !strings.Contains(r.Stdout.String(), c.core) {
					t.Errorf("--reveal does not show the plain %s\n%s", c.what, r)
				}
			}
			wantNone(t, a.all(), "stderr", r.Stderr.String())
			if len(a.kms.Calls()) > 0 {
				t.Error("plan asked KMS")
			}
		})
	}
}

// What is served while it runs: all endpoints, on both places, and the verbs
// that ask them.
func TestTheEndpointsLetNoSecretOut(t *testing.T) {
	a := newAviary(t)
	home := stage.Folder(t)
	admin := stage.FreeAddress(t)
	r := start(t, stage.Story{Home: home, Env: a.env, Dir: a.dir, Words: []string{"run", "--workers", "2", "--strategy", "copies", "--bind", "127.0.0.1:0",
		"--health", "none", "--admin", admin}})
	r.Says("up", 1)
	r.Until("health --ready", func() bool { return run(t, stage.Story{Home: home, Words: []string{"health", "--ready"}}).Exit() == 0 })
	for _, words := range [][]string{{"status"}, {"status", "--json"}, {"health"}, {"health", "--live"}, {"restart"}, {"status"}} {
		asked := run(t, stage.Story{Home: home, Words: words})
		asked.WantExit(0)
		a.search(t, asked, a.all())
	}
	over := map[string]*http.Client{"TCP": stage.Browser("tcp", admin), "the control socket": stage.Browser("unix", r.Socket)}
	for place, client := range over {
		for _, path := range []string{"/livez", "/readyz", "/startupz", "/metrics", "/status", "/", "/debug/pprof/", "/debug/vars"} {
			answer, err := client.Get("http://" + admin + path)
			must(t, err)
			body, err := io.ReadAll(answer.Body)
			answer.Body.Close()
			must(t, err)
			wantNone(t, a.all(), path+" over "+place, fmt.Sprint(answer.Header)+string(body))
			if path == "/metrics" { // twice: at the start and for the restart
				for _, want := range []string{`entrypoint_env_values_total{result="ok"} 8`, `entrypoint_env_values_total{result="denied"} 2`, `entrypoint_kms_requests_total{code="OK"} 8`} {
					if !strings.Contains(string(body), want) {
						t.Errorf("/metrics over %s does not say %s\n%s", place, want, body)
					}
				}
			}
		}
	}
	a.searchProcess(t, r)
	r.Signal(syscall.SIGTERM)
	r.WantExit(0)
	a.search(t, r, a.all())
}

func TestEncryptLetsNoSecretOut(t *testing.T) {
	a := newAviary(t)
	secret := canary{"encrypt's stdin", "Enc7Qz2Rm9Tx4Vb6N"}
	for _, test := range []struct {
		words  []string
		answer kmstest.Answer
		code   int
	}{
		{[]string{"encrypt", "--key-id", alias, "ONE"}, kmstest.Normal, 0},
		{[]string{"encrypt", "--key-id", alias, "ONE", "TWO"}, kmstest.Normal, 64},
		{[]string{"encrypt", "--key-id", "alias/none", "ONE"}, kmstest.Normal, 78},
		{[]string{"encrypt", "--key-id", alias, "ONE"}, kmstest.Refuse(400, "ValidationException", secret.text()), 78},
		{[]string{"encrypt", "--key-id", alias, "ONE"}, kmstest.HTML(200, secret.text()), 75},
		{[]string{"encrypt", "ONE"}, kmstest.Normal, 64},
	} {
		a.kms.Script(nil, test.answer)
		r := run(t, stage.Story{Words: test.words, Env: slices.Concat(a.env, []string{"ENTRYPOINT_DECRYPT_TIMEOUT=300ms"}), Dir: a.dir, Stdin: strings.NewReader(secret.text() + "\n")})
		r.WantExit(test.code)
		a.search(t, r, append(a.all(), secret))
	}
}

// What Kubernetes keeps as the reason of the end.
func TestTheTerminationMessageLetsNoSecretOut(t *testing.T) {
	stage.NeedRoot(t)
	a := newAviary(t)
	for name, test := range map[string]struct {
		words []string
		code  int
	}{
		"the application fails": {[]string{"run", "--give-up", "1/60s", "--", "sh", "-c", `echo "$DATABASE_PASSWORD" >&2; exit 3`}, 3},
		"nothing may start":     {[]string{"run", "--decrypt-failure", "exit", "--", "true"}, 78},
		"a bad setting":         {[]string{"run", "--grace", a.of("PLAIN").text()}, 64},
	} {
		t.Run(name, func(t *testing.T) {
			dev := stage.Folder(t)
			r := run(t, stage.Story{Words: test.words, Env: a.env, Dir: a.dir, Wrap: []string{"unshare", "--mount", "sh", "-c", withTerminationLog, dev}})
			r.WantExit(test.code)
			message := stage.Read(t, filepath.Join(dev, "kept"))
			wantNone(t, a.all(), "the termination message", message)
			if !strings.HasPrefix(message, "entrypoint: ") {
				t.Errorf("the termination message is %q\n%s", message, r)
			}
		})
	}
}

// withTerminationLog gives the program behind it a /dev with a termination
// message, which it copies out at the end.
const withTerminationLog = `set -e; dev=$0/dev; mkdir $dev; touch $0/kept
mount -t tmpfs none $dev
for d in null zero urandom tty; do touch $dev/$d; mount --bind /dev/$d $dev/$d; done
touch $dev/termination-log; mount --bind $0/kept $dev/termination-log
mount --rbind $dev /dev
exec "$@"`
