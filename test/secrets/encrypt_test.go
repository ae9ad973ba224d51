package secrets

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"github.com/codeontap/entrypoint/internal/kms/kmstest"
	"github.com/codeontap/entrypoint/test/internal/stage"
)

var typed = canary{"the terminal", "Ty4Hq8Wn2Lc6Tk0P"}

// What encrypt prints is what run decrypts: one value, several, with a context.
func TestFromEncryptToRun(t *testing.T) {
	k := newKMS(t)
	for name, test := range map[string]struct {
		args, env []string
		stdin     string
		names     []string
		values    string
		warns     bool
	}{
		"one value":         {[]string{"--key-id", alias}, nil, "pa$$ \"word\"", []string{"ONE"}, "pa$$ \"word\"", false},
		"by ARN":            {[]string{"--key-id", arn}, nil, "x", []string{"ONE"}, "x", false},
		"by variable":       {nil, []string{"ENTRYPOINT_KMS_KEY_ID=" + alias}, "x", []string{"ONE"}, "x", false},
		"a newline is cut":  {[]string{"--key-id", alias}, nil, "hunter2\n", []string{"ONE"}, "hunter2", true},
		"Windows' newline":  {[]string{"--key-id", alias}, nil, "hunter2\r\n", []string{"ONE"}, "hunter2", true},
		"one newline only":  {[]string{"--key-id", alias}, nil, "a\nb\n\n", []string{"ONE"}, "a\nb\n", true},
		"several":           {[]string{"--key-id", alias}, nil, "first\n second \n", []string{"ONE", "TWO"}, "first second ", false},
		"without the last":  {[]string{"--key-id", alias}, nil, "first\nsecond", []string{"ONE", "TWO"}, "firstsecond", false},
		"with a context":    {[]string{"--key-id", alias, "--encryption-context", "app=a,stage=b"}, []string{"KMS_ENCRYPTION_CONTEXT=app=a,stage=b"}, "x", []string{"ONE"}, "x", false},
		"as long as can be": {[]string{"--key-id", alias}, nil, strings.Repeat("x", 4096), []string{"ONE"}, strings.Repeat("x", 4096), false},
		"not a text":        {[]string{"--key-id", alias}, nil, "\xff\xfe", []string{"ONE"}, "\xff\xfe", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := slices.Concat(k.env, test.env)
			e := run(t, stage.Story{Words: slices.Concat([]string{"encrypt"}, test.args, test.names), Env: env, Stdin: strings.NewReader(test.stdin)})
			e.WantExit(0)
			lines := strings.Split(strings.TrimSuffix(e.Stdout.String(), "\n"), "\n")
			if len(lines) != len(test.names) {
				t.Fatalf("%d lines for %d names\n%s", len(lines), len(test.names), e)
			}
			for i, line := range lines {
				if !strings.HasPrefix(line, test.names[i]+"=kms+base64:AQIC") {
					t.Errorf("line %d is %q", i, line)
				}
			}
			if warned := strings.Contains(e.Stderr.String(), "a newline at the end of the value was cut"); warned != test.warns {
				t.Errorf("warned of a newline: %v\n%s", warned, e)
			}
			r := run(t, stage.Story{Words: sh(`printf %s "$ONE$TWO"`), Env: slices.Concat(env, lines, []string{"ENTRYPOINT_DECRYPT_FAILURE=exit"})})
			r.WantExit(0)
			r.WantOut(test.values)
		})
	}
}

func TestWhatCannotBeEncrypted(t *testing.T) {
	k := newKMS(t)
	for name, test := range map[string]struct {
		args, env []string
		stdin     string
		answer    kmstest.Answer
		code      int
		say       string
	}{
		"no name":             {[]string{"--key-id", alias}, nil, "x", nil, 64, "no name is given"},
		"a name that is none": {[]string{"--key-id", alias, "NAME=" + typed.core}, nil, "x", nil, 64, "a name has letters"},
		"no key":              {[]string{"ONE"}, nil, "x", nil, 64, "--key-id"},
		"fewer lines":         {[]string{"--key-id", alias, "ONE", "TWO"}, nil, typed.text() + "\n", nil, 64, "2 names and 1 lines"},
		"more lines":          {[]string{"--key-id", alias, "ONE", "TWO"}, nil, "a\nb\n" + typed.text() + "\n", nil, 64, "2 names and 3 lines"},
		"nothing":             {[]string{"--key-id", alias, "ONE"}, nil, "", nil, 78, "an empty value"},
		"an empty line":       {[]string{"--key-id", alias, "ONE", "TWO"}, nil, "a\n\n", nil, 78, "an empty value"},
		"too long":            {[]string{"--key-id", alias, "ONE"}, nil, strings.Repeat(typed.text(), 200), nil, 78, "KMS takes 4096"},
		"no such key":         {[]string{"--key-id", "alias/none", "ONE"}, nil, typed.text(), nil, 78, "no such key"},
		"denied":              {[]string{"--key-id", alias, "ONE"}, nil, typed.text(), kmstest.Refuse(400, "AccessDeniedException", typed.text()), 78, "kms:Encrypt"},
		"busy":                {[]string{"--key-id", alias, "ONE"}, nil, typed.text(), kmstest.Refuse(500, "KMSInternalException", typed.text()), 75, "KMSInternalException"},
		"throttled":           {[]string{"--key-id", alias, "ONE"}, nil, typed.text(), kmstest.Refuse(400, "ThrottlingException", ""), 75, "ThrottlingException"},
		"away":                {[]string{"--key-id", alias, "ONE"}, []string{"AWS_ENDPOINT_URL_KMS=http://127.0.0.1:1"}, typed.text(), nil, 75, "cannot be reached"},
		"no region":           {[]string{"--key-id", alias, "ONE"}, []string{"AWS_REGION="}, typed.text(), nil, 78, "no AWS region"},
		"no credentials":      {[]string{"--key-id", alias, "ONE"}, []string{"AWS_ACCESS_KEY_ID="}, typed.text(), nil, 75, "no AWS credentials"},
	} {
		t.Run(name, func(t *testing.T) {
			k := k
			if test.answer != nil {
				k = newKMS(t)
				k.Script(nil, test.answer)
			}
			r := run(t, stage.Story{Words: append([]string{"encrypt"}, test.args...), Env: slices.Concat(k.env, []string{"ENTRYPOINT_DECRYPT_TIMEOUT=1s"}, test.env), Stdin: strings.NewReader(test.stdin)})
			r.WantExit(test.code)
			r.WantOut("")
			r.WantSaid("error: cannot encrypt", test.say)
			wantNone(t, []canary{typed}, "stderr", r.Stderr.String())
		})
	}
}

// All of them or none: the second name's failure prints no first line.
func TestEncryptIsAllOrNothing(t *testing.T) {
	k := newKMS(t)
	k.Script(nil, kmstest.Normal, kmstest.Refuse(400, "AccessDeniedException", ""))
	r := run(t, stage.Story{Words: []string{"encrypt", "--key-id", alias, "ONE", "TWO"}, Env: k.env, Stdin: strings.NewReader("a\nb\n")})
	r.WantExit(78)
	r.WantOut("")
}

// terminal is an encrypt whose input and messages are a terminal; what it prints
// goes into a file, as a user redirects it.
type terminal struct {
	*stage.Running
	t       *testing.T
	printed string
}

func onTerminal(t *testing.T, s stage.Story) terminal {
	t.Helper()
	path := filepath.Join(stage.Folder(t), "printed")
	out, err := os.Create(path)
	must(t, err)
	defer out.Close()
	s.TTY, s.Stdout = true, out
	return terminal{start(t, s), t, path}
}

func modes(t *testing.T, terminal *os.File) unix.Termios {
	t.Helper()
	now, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
	must(t, err)
	return *now
}

// types writes once the echo is off: what is typed before is the shell's.
func (c terminal) types(text string) {
	c.t.Helper()
	c.Until("the echo is off", func() bool { return modes(c.t, c.TTY).Lflag&unix.ECHO == 0 })
	c.Say(text)
}

// wantRestored compares the terminal with a new one.
func (c terminal) wantRestored() {
	c.t.Helper()
	master, slave, err := pty.Open()
	must(c.t, err)
	defer master.Close()
	defer slave.Close()
	if after, before := modes(c.t, c.TTY), modes(c.t, slave); after != before {
		c.t.Errorf("the terminal is left as %+v, it was %+v", after, before)
	}
}

// Asked once for each name, nothing of it on the screen.
func TestEncryptAsksOnATerminalWithoutEcho(t *testing.T) {
	k := newKMS(t)
	c := onTerminal(t, stage.Story{Words: []string{"encrypt", "--key-id", alias, "ONE", "TWO"}, Env: k.env})
	c.Says("ONE (not shown): ", 1)
	c.types(typed.text() + "\n")
	c.Says("TWO (not shown): ", 1)
	c.types("second\n")
	c.WantExit(0)
	c.wantRestored()
	wantNone(t, []canary{typed}, "the screen", c.Stdout.String())
	lines := strings.Split(strings.TrimSpace(stage.Read(t, c.printed)), "\n")
	r := run(t, stage.Story{Words: sh(`printf %s "$ONE-$TWO"`), Env: slices.Concat(k.env, lines)})
	r.WantOut(typed.text() + "-second")
}

// However it ends, the terminal is as it was.
func TestEncryptLeavesTheTerminalAsItWas(t *testing.T) {
	k := newKMS(t)
	for name, test := range map[string]struct {
		keys   string
		signal syscall.Signal
		code   int
	}{
		"Ctrl-C":        {"half a sec\x03", 0, 130},
		"Ctrl-\\":       {"half a sec\x1c", 0, 131},
		"TERM":          {"", syscall.SIGTERM, 143},
		"Ctrl-D":        {"\x04", 0, 64},
		"an empty line": {"\n", 0, 78},
		"a value":       {"sesame\n", 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			c := onTerminal(t, stage.Story{Words: []string{"encrypt", "--key-id", alias, "ONE"}, Env: k.env})
			c.Says("ONE (not shown): ", 1)
			c.types(test.keys)
			if test.signal != 0 {
				c.Signal(test.signal)
			}
			c.WantExit(test.code)
			c.wantRestored()
			if out := stage.Read(t, c.printed); (out != "") != (test.code == 0) {
				t.Errorf("it printed %q", out)
			}
			if strings.Contains(c.Stdout.String(), "half a sec") {
				t.Errorf("the screen shows what was typed: %q", c.Stdout)
			}
		})
	}
}

// The control: a terminal with its echo on shows what is typed, so the screen
// above would have shown it.
func TestControlATerminalEchoes(t *testing.T) {
	c := onTerminal(t, stage.Story{Words: []string{"exec", "sh", "-c", "read x; echo got it >&2"}})
	c.Say(typed.text() + "\n")
	c.Says("got it", 1)
	if !typed.in(c.Stdout.String()) {
		t.Errorf("no echo: %q", c.Stdout)
	}
}

// A stop while KMS hangs.
func TestAStopWhileEncrypting(t *testing.T) {
	k := newKMS(t)
	arrived := make(chan struct{}, 16)
	k.Script(nil, func(s *kmstest.Server, w http.ResponseWriter, r *http.Request, call kmstest.Call) {
		arrived <- struct{}{}
		kmstest.Hang(s, w, r, call)
	})
	r := start(t, stage.Story{Words: []string{"encrypt", "--key-id", alias, "ONE"}, Env: k.env, Stdin: strings.NewReader(typed.text())})
	<-arrived
	r.Signal(syscall.SIGTERM)
	r.WantExit(143)
	r.WantOut("")
}
