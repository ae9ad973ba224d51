package secrets

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/codeontap/entrypoint/test/internal/stage"
)

// fromFile is the secret of the stories about files.
var fromFile = canary{"a file", "Fi4Hq8Wn2Lc6Tk0P"}

// A .env file is read on platform local only, and on every other it is said
// that it was not.
func TestDotenvIsLocalOnly(t *testing.T) {
	for name, test := range map[string]struct {
		env  []string
		read bool
	}{
		"local":               {nil, true},
		"ECS":                 {[]string{"ECS_CONTAINER_METADATA_URI_V4=http://169.254.170.2/v4/x"}, false},
		"Kubernetes":          {[]string{"KUBERNETES_SERVICE_HOST=10.0.0.1"}, false},
		"told ECS":            {[]string{"ENTRYPOINT_PLATFORM=ecs"}, false},
		"told local, on ECS":  {[]string{"ENTRYPOINT_PLATFORM=local", "ECS_CONTAINER_METADATA_URI_V4=http://169.254.170.2/v4/x"}, true},
		"told codeontap":      {[]string{"ENTRYPOINT_PLATFORM=codeontap"}, false},
		"an empty is unset":   {[]string{"ENTRYPOINT_PLATFORM="}, true},
		"the environment won": {[]string{"GREETING=environment"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := stage.Folder(t)
			write(t, dir, ".env", "GREETING=dotenv\nSECOND=${GREETING}\n")
			r := run(t, stage.Story{Words: sh(`echo "$GREETING $SECOND"`), Dir: dir, Env: test.env})
			r.WantExit(0)
			switch {
			case name == "the environment won":
				r.WantOut("environment environment\n")
			case test.read:
				r.WantOut("dotenv dotenv\n")
			default:
				r.WantOut(" \n")
				r.WantSaid("not read", ".env", "platform")
			}
		})
	}
}

// Told that the platform is codeontap, run deletes the file that came with the
// image; nothing else does.
func TestCodeontapDeletesDotenvWhenItRuns(t *testing.T) {
	for _, test := range []struct {
		words   []string
		deleted bool
	}{
		{[]string{"run", "--", "true"}, true},
		{[]string{"plan", "--", "true"}, false},
		{[]string{"check"}, false},
		{[]string{"check", "--offline"}, false},
		{[]string{"exec", "true"}, false},
	} {
		dir := stage.Folder(t)
		path := write(t, dir, ".env", "A=1\n")
		r := run(t, stage.Story{Words: append([]string{test.words[0], "--platform", "codeontap"}, test.words[1:]...), Dir: dir})
		r.WantExit(0)
		if isThere(path) == test.deleted {
			t.Errorf("%v: the file is there: %v\n%s", test.words, !test.deleted, r)
		}
	}
	// Guessed, it is not: no platform looks like this one.
	dir := stage.Folder(t)
	path := write(t, dir, ".env", "A=1\n")
	run(t, stage.Story{Words: []string{"run", "--", "true"}, Dir: dir}).WantExit(0)
	if !isThere(path) {
		t.Error("deleted on platform local")
	}
}

// What somebody has mounted is not the image's: a warning, and the application
// starts.
func TestCodeontapLeavesAMountedDotenvAlone(t *testing.T) {
	stage.NeedRoot(t)
	dir := stage.Folder(t)
	write(t, dir, ".env", "A=1\n")
	r := run(t, stage.Story{Words: []string{"run", "--platform", "codeontap", "--", "echo", "started"}, Dir: dir,
		Wrap: []string{"unshare", "--mount", "sh", "-c", `mount --bind .env .env && exec "$0" "$@"`}})
	r.WantExit(0)
	r.WantOut("started\n")
	r.WantSaid("warning: cannot remove .env", "mount")
	if !isThere(filepath.Join(dir, ".env")) {
		t.Error("it was deleted")
	}
}

// dotenvFile is a .env file of some kind, and what follows.
type dotenvFile struct {
	name string
	make func(t *testing.T, path string)
	say  []string
	runs string // stdout of a shell that prints the variables; "" if nothing starts
}

func text(content string) func(*testing.T, string) {
	return func(t *testing.T, path string) { write(t, filepath.Dir(path), filepath.Base(path), content) }
}

func dotenvFiles() []dotenvFile {
	leak := fromFile.core
	return []dotenvFile{
		{"BOM and CRLF", text("\xef\xbb\xbfA=1\r\nB='x'\r\n"), nil, "1 x\n"},
		{"an empty file", text(""), nil, " \n"},
		{"a folder", func(t *testing.T, path string) { must(t, os.Mkdir(path, 0o755)) }, []string{"warning: .env is ignored: it is a folder"}, " \n"},
		{"writable by others", func(t *testing.T, path string) {
			text("A=1\n")(t, path)
			must(t, os.Chmod(path, 0o666))
		}, []string{"warning: .env may be written by every user", "chmod o-w"}, "1 \n"},
		{"the linker's and PATH", text("PATH=/" + leak + "\nLD_PRELOAD=/" + leak + "\nA=1\n"), []string{`warning: .env line 1 is ignored: "PATH"`, `line 2 is ignored: "LD_PRELOAD"`}, "1 \n"},
		{"its own place", text("ENTRYPOINT_PLATFORM=" + leak + "\nENTRYPOINT_ENV_FILE=" + leak + "\nA=1\n"), []string{"ENTRYPOINT_PLATFORM", "ENTRYPOINT_ENV_FILE"}, "1 \n"},
		{"dollars in passwords", text("A=pa$SECRETword\nB='x$y'\n"), nil, "pa$SECRETword x$y\n"},
		{"a name without a value", text("A\nB=1\n"), []string{"warning: .env line 1 sets nothing"}, " 1\n"},

		{"a FIFO", func(t *testing.T, path string) { must(t, syscall.Mkfifo(path, 0o644)) }, []string{"error: cannot read .env", "plain file"}, ""},
		{"a socket's folder loop", func(t *testing.T, path string) { must(t, os.Symlink(".env", path)) }, []string{"error: cannot read .env"}, ""},
		{"50 MB", func(t *testing.T, path string) {
			text("A="+leak+"\n")(t, path)
			must(t, os.Truncate(path, 50<<20))
		}, []string{"error: cannot read .env", "over 1 MB"}, ""},
		{"NUL", text("A=1\nB=" + leak + "\x00\n"), []string{"error: cannot read .env line 2", "NUL"}, ""},
		{"not UTF-8", text("A=" + leak + "\xff\n"), []string{"error: cannot read .env line 1", "UTF-8"}, ""},
		{"an open quote", text("A=1\nB='" + leak + "\nC=2\n"), []string{"error: cannot read .env line 2"}, ""},
		{"two bad lines", text("A='" + leak + "' x\nB=1\n=" + leak + "\nC=\"" + leak + "\" y\n"), []string{"line 1", "line 3", "line 4"}, ""},
		{"half a megabyte in a value", text("A=" + strings.Repeat(leak, 20000) + "\n"), []string{"error: cannot read .env line 1 (A)"}, ""},
	}
}

func TestDotenvFiles(t *testing.T) {
	for _, file := range dotenvFiles() {
		t.Run(file.name, func(t *testing.T) {
			t.Parallel()
			for _, words := range [][]string{{"exec"}, {"run"}} {
				dir := stage.Folder(t)
				file.make(t, filepath.Join(dir, ".env"))
				r := run(t, stage.Story{Words: append(words, sh(`echo "$A $B"`)...), Dir: dir})
				wantNone(t, []canary{fromFile}, "stderr", r.Stderr.String())
				r.WantSaid(file.say...)
				r.WantOut(file.runs)
				code := 0
				if file.runs == "" {
					code = 78
				}
				r.WantExit(code)
				if len(file.say) == 0 && strings.Contains(r.Stderr.String(), "warning") {
					t.Errorf("it warns\n%s", r)
				}
			}
			// plan and check say it as well, and leave the file alone.
			dir := stage.Folder(t)
			file.make(t, filepath.Join(dir, ".env"))
			code := 0
			if file.runs == "" {
				code = 78
			}
			for _, words := range [][]string{{"plan", "--", "true"}, {"plan", "--reveal", "--json", "--", "true"}, {"check"}, {"check", "--json"}} {
				r := run(t, stage.Story{Words: words, Dir: dir})
				r.WantExit(code)
				wantNone(t, []canary{fromFile}, "the output", r.Stdout.String()+r.Stderr.String())
				if file.runs == "" && !strings.Contains(r.Stdout.String()+r.Stderr.String(), "cannot read .env") {
					t.Errorf("it is not said\n%s", r)
				}
				if !isThere(filepath.Join(dir, ".env")) {
					t.Errorf("%v: the file is gone", words)
				}
			}
		})
	}
}

// A file that is named has to be there.
func TestANamedDotenv(t *testing.T) {
	dir := stage.Folder(t)
	write(t, dir, "other.env", "A=named\n")
	write(t, dir, ".env", "A=default\n")
	secret := canary{"the name", "Na7Qz2Rm9Tx4Vb6N"}
	for _, test := range []struct {
		flag, variable string
		code           int
		out            string
	}{
		{"other.env", "", 0, "named\n"},
		{"", "other.env", 0, "named\n"},
		{"", "", 0, "default\n"},
		{filepath.Join(dir, "other.env"), "missing.env", 0, "named\n"},
		{secret.core, "", 64, ""},
		{"", secret.core, 78, ""},
		{"", dir, 78, ""}, // a folder
	} {
		args := []string{"exec"}
		if test.flag != "" {
			args = append(args, "--env-file", test.flag)
		}
		r := run(t, stage.Story{Words: append(args, sh("echo $A")...), Dir: dir, Env: []string{"ENTRYPOINT_ENV_FILE=" + test.variable}})
		r.WantExit(test.code)
		r.WantOut(test.out)
		wantNone(t, []canary{secret}, "stderr", r.Stderr.String())
	}
}

// What counts in .env: our settings, the region; and an endpoint on this machine
// only, since who writes that file could have the values sent to himself.
func TestDotenvHoldsOurSettingsToo(t *testing.T) {
	k := newKMS(t)
	dir := stage.Folder(t)
	write(t, dir, ".env", "AWS_ENDPOINT_URL_KMS="+k.url+"\nAWS_REGION=eu-west-1\nAWS_ACCESS_KEY_ID=a\nAWS_SECRET_ACCESS_KEY=b\nENTRYPOINT_LOG_LEVEL=debug\nSECRET="+seal("hello")+"\n")
	r := run(t, stage.Story{Words: sh("echo $SECRET $ENTRYPOINT_LOG_LEVEL"), Dir: dir})
	r.WantOut("hello\n")
	r.WantSaid("entrypoint: debug: ")

	write(t, dir, ".env", "AWS_ENDPOINT_URL_KMS=http://kms.invalid\nAWS_REGION=eu-west-1\nAWS_ACCESS_KEY_ID=a\nAWS_SECRET_ACCESS_KEY=b\nSECRET="+seal("hello")+"\n")
	r = run(t, stage.Story{Words: []string{"exec", "--decrypt-timeout", "300ms", "--decrypt-failure", "exit", "true"}, Dir: dir})
	r.WantExit(75)
	r.WantSaid("AWS_ENDPOINT_URL_KMS from the .env file is ignored")
	if strings.Contains(r.Stderr.String(), "kms.invalid") {
		t.Errorf("the endpoint of the file was asked\n%s", r)
	}
}

// Our settings are never decrypted.
func TestASettingIsNeverDecrypted(t *testing.T) {
	k := newKMS(t)
	r := run(t, stage.Story{Words: []string{"true"}, Env: append(k.env, "ENTRYPOINT_GRACE="+seal("8s"))})
	r.WantExit(78)
	if len(k.Calls()) > 0 {
		t.Error("KMS was asked")
	}
}

// secretFile is a file that X_FILE names, and what follows.
type secretFile struct {
	name string
	make func(t *testing.T, path string)
	want string
	say  string // 78 then
}

func TestXFile(t *testing.T) {
	leak := fromFile.core
	for _, file := range []secretFile{
		{"a line", text("hunter2\n"), "hunter2", ""},
		{"Windows' line end", text("hunter2\r\n"), "hunter2", ""},
		{"one line end only", text("hunter2\n\n"), "hunter2\n", ""},
		{"none", text("hunter2"), "hunter2", ""},
		{"white space", text(" a\tb \n"), " a\tb ", ""},
		{"a ciphertext", text(seal("decrypted") + "\n"), "decrypted", ""},
		{"a link, as Kubernetes mounts them", func(t *testing.T, path string) {
			text("linked\n")(t, path+".real")
			must(t, os.Symlink(path+".real", path))
		}, "linked", ""},
		{"missing", func(*testing.T, string) {}, "", "there is none"},
		{"a folder", func(t *testing.T, path string) { must(t, os.Mkdir(path, 0o755)) }, "", "plain file"},
		{"a FIFO", func(t *testing.T, path string) { must(t, syscall.Mkfifo(path, 0o644)) }, "", "plain file"},
		{"NUL", text(leak + "\x00"), "", "NUL"},
		{"too long for a variable", text(strings.Repeat(leak, 20000)), "", "longer than"},
	} {
		t.Run(file.name, func(t *testing.T) {
			t.Parallel()
			k := newKMS(t)
			path := filepath.Join(stage.Folder(t), "db-"+leak)
			file.make(t, path)
			env := append(k.env, "DATABASE_PASSWORD_FILE="+path)
			for _, words := range [][]string{{"exec"}, {"run"}} {
				r := run(t, stage.Story{Words: append(words, sh(`printf %s "$DATABASE_PASSWORD"; printf %s "$DATABASE_PASSWORD_FILE"`)...), Env: env})
				wantNone(t, []canary{fromFile}, "stderr", r.Stderr.String())
				r.WantOut(file.want)
				if file.say == "" {
					r.WantExit(0)
					continue
				}
				r.WantExit(78)
				r.WantOneLine("DATABASE_PASSWORD_FILE", file.say)
			}
			code := 0
			if file.say != "" {
				code = 78
			}
			for _, words := range [][]string{{"plan", "--", "true"}, {"plan", "--reveal", "--", "true"}, {"check"}} {
				if file.say != "" && slices.Contains(words, "--reveal") {
					continue // it shows what the variable holds
				}
				r := run(t, stage.Story{Words: words, Env: env})
				r.WantExit(code)
				wantNone(t, []canary{fromFile}, "the output", r.Stdout.String()+r.Stderr.String())
			}
		})
	}
}

func TestXAndXFileTogether(t *testing.T) {
	path := write(t, stage.Folder(t), "secret", fromFile.text())
	env := []string{"DATABASE_PASSWORD=" + fromFile.text(), "DATABASE_PASSWORD_FILE=" + path, "RABBITMQ_PASSWORD_FILE=/no/such/" + fromFile.core, "ENTRYPOINT_GRACE=" + fromFile.core}
	for _, words := range [][]string{{"exec", "true"}, {"run", "--", "true"}, {"plan", "--", "true"}, {"check"}} {
		r := run(t, stage.Story{Words: words, Env: env})
		r.WantExit(78)
		said := r.Stderr.String() + r.Stdout.String()
		wantNone(t, []canary{fromFile}, "the output", said)
		for _, name := range []string{"DATABASE_PASSWORD and DATABASE_PASSWORD_FILE", "RABBITMQ_PASSWORD_FILE", "ENTRYPOINT_GRACE"} {
			if !strings.Contains(said, name) {
				t.Errorf("all problems are told at once, not %s\n%s", name, r)
			}
		}
	}
	// An empty one is an unset one, on either side.
	run(t, stage.Story{Words: sh(`test "$DATABASE_PASSWORD" = x`), Env: []string{"DATABASE_PASSWORD=x", "DATABASE_PASSWORD_FILE="}}).WantExit(0)
	run(t, stage.Story{Words: sh(`test -n "$DATABASE_PASSWORD"`), Env: []string{"DATABASE_PASSWORD=", "DATABASE_PASSWORD_FILE=" + path}}).WantExit(0)
}

// APP_* and AWS_* have files of other meanings, and what the contract does not
// know is the application's.
func TestOtherNamesOnFileAreTheApplications(t *testing.T) {
	r := run(t, stage.Story{Words: sh("echo $AWS_WEB_IDENTITY_TOKEN_FILE $APP_RUN_MODE_FILE $MY_FILE"),
		Env: []string{"AWS_WEB_IDENTITY_TOKEN_FILE=/a", "APP_RUN_MODE_FILE=/b", "MY_FILE=/c"}})
	r.WantExit(0)
	r.WantOut("/a /b /c\n")
}

// A file that the container's user may not read: who that is, and what to do.
func TestAFileOfSomebodyElse(t *testing.T) {
	stage.NeedRoot(t)
	path := write(t, stage.Folder(t), "secret", fromFile.text())
	must(t, os.Chmod(path, 0o600))
	r := run(t, stage.Story{Words: []string{"exec", "true"}, User: nobody, Env: []string{"DATABASE_PASSWORD_FILE=" + path}})
	r.WantExit(78)
	r.WantSaid(fmt.Sprintf("user %d may not read it", nobody))
}

// nobody is a user of no account.
const nobody = 61234
