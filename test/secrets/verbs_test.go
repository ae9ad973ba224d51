package secrets

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/codeontap/entrypoint/internal/kms/kmstest"
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
	a := aviary{dir: shortFolder(t), kms: newKMS(t)}
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
	a.env = join(a.kms.env, []string{
		"APP_DEBUG=1",
		"DATABASE_HOST=db.invalid", "DATABASE_NAME=app", "DATABASE_USERNAME=app", "DATABASE_PASSWORD=" + seal(password.text()),
		"DJANGO_SECRET_KEY=" + seal(key.text()),
		"MARKED_URL=kms+base64:" + seal(marked.inURL()),
		"TWICE=" + base64Of(seal(twice.text())),
		"REFUSED=" + sealUnder("a key of others", refused.text()),
		"CUT=" + whole[:len(whole)-8],
		"RABBITMQ_HOST=mq.invalid", "RABBITMQ_USERNAME=app",
		"RABBITMQ_PASSWORD_FILE=" + write(t, shortFolder(t), "rabbitmq", inFile.text()+"\n"),
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
func (a aviary) search(r *running, canaries []canary) {
	r.t.Helper()
	wantNone(r.t, canaries, "stdout", r.stdout.String())
	wantNone(r.t, canaries, "stderr", r.stderr.String())
}

func (a aviary) searchProcess(r *running) {
	r.t.Helper()
	environ := read(r.t, fmt.Sprintf("/proc/%d/environ", r.pid()))
	if !strings.Contains(environ, "APP_DEBUG=1") {
		r.t.Errorf("the environment of the process cannot be read")
	}
	wantNone(r.t, a.hidden, "/proc/PID/environ", environ)
	wantNone(r.t, a.all(), "/proc/PID/cmdline", read(r.t, fmt.Sprintf("/proc/%d/cmdline", r.pid())))
}

func TestRunLetsNoSecretOut(t *testing.T) {
	needRoot(t)
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
			r := start(t, given{args: test.words, env: a.env, dir: a.dir})
			if test.stop {
				r.waitFor("up")
				a.searchProcess(r)
				r.signal(syscall.SIGTERM)
			}
			r.wantExit(test.code)
			for _, line := range a.sums() {
				if !strings.Contains(r.stdout.String(), line) {
					t.Errorf("the application did not get it: %s\n%s", line, r)
				}
			}
			a.search(r, a.all())
			for _, name := range []string{"REFUSED", "CUT"} {
				r.wantSaid(name)
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
			r := run(t, given{args: test.words, env: a.env, dir: a.dir})
			r.wantExit(test.code)
			if !test.shown {
				a.search(r, a.all())
				return
			}
			a.search(r, a.encrypted)
			for _, c := range a.open {
				if c.what != "PLAIN_BASE64" && !strings.Contains(r.stdout.String(), c.core) {
					t.Errorf("--reveal does not show the plain %s\n%s", c.what, r)
				}
			}
			wantNone(t, a.all(), "stderr", r.stderr.String())
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
	home := shortFolder(t)
	admin := freeAddress(t)
	r := start(t, given{home: home, env: a.env, dir: a.dir, args: []string{"run", "--workers", "2", "--strategy", "copies", "--bind", "127.0.0.1:0",
		"--health", "none", "--admin", admin}})
	r.waitFor("up")
	until(t, r, func() bool { return run(t, given{home: home, args: []string{"health", "--ready"}}).exit() == 0 }, "health --ready")
	for _, words := range [][]string{{"status"}, {"status", "--json"}, {"health"}, {"health", "--live"}, {"restart"}, {"status"}} {
		asked := run(t, given{home: home, args: words})
		asked.wantExit(0)
		a.search(asked, a.all())
	}
	over := map[string]*http.Client{
		"TCP": http.DefaultClient,
		"the control socket": {Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(home, "control.sock"))
		}}},
	}
	for place, client := range over {
		for _, path := range []string{"/livez", "/readyz", "/startupz", "/metrics", "/status", "/", "/debug/pprof/", "/debug/vars"} {
			answer, err := client.Get("http://" + admin + path)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(answer.Body)
			answer.Body.Close()
			if err != nil {
				t.Fatal(err)
			}
			wantNone(t, a.all(), path+" over "+place, fmt.Sprint(answer.Header)+string(body))
			if path == "/metrics" {
				for _, want := range []string{`entrypoint_env_values_total{result="ok"} 4`, `entrypoint_env_values_total{result="denied"} 1`, `entrypoint_kms_requests_total{code="OK"} 4`} {
					if !strings.Contains(string(body), want) {
						t.Errorf("/metrics over %s does not say %s\n%s", place, want, body)
					}
				}
			}
		}
	}
	a.searchProcess(r)
	r.signal(syscall.SIGTERM)
	r.wantExit(0)
	a.search(r, a.all())
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
		r := run(t, given{args: test.words, env: join(a.env, []string{"ENTRYPOINT_DECRYPT_TIMEOUT=300ms"}), dir: a.dir, stdin: strings.NewReader(secret.text() + "\n")})
		r.wantExit(test.code)
		a.search(r, append(a.all(), secret))
	}
}

// What Kubernetes keeps as the reason of the end.
func TestTheTerminationMessageLetsNoSecretOut(t *testing.T) {
	needRoot(t)
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
			dev := shortFolder(t)
			r := run(t, given{args: test.words, env: a.env, dir: a.dir, wrap: []string{"unshare", "--mount", "sh", "-c", withTerminationLog, dev}})
			r.wantExit(test.code)
			message := read(t, filepath.Join(dev, "kept"))
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

// freeAddress is one that nobody listens at.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// until asks again until it is so; each question takes its time by itself.
func until(t *testing.T, r *running, so func() bool, what string) {
	t.Helper()
	deadline := time.After(patience)
	for !so() {
		select {
		case <-deadline:
			t.Fatalf("waited %s for %s\n%s", patience, what, r)
		case <-r.done:
			t.Fatalf("ended before %s\n%s", what, r)
		default:
		}
	}
}
