package secrets

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"github.com/codeontap/entrypoint/internal/kms/kmstest"
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
			env := join(k.env, test.env)
			e := run(t, given{args: slices.Concat([]string{"encrypt"}, test.args, test.names), env: env, stdin: strings.NewReader(test.stdin)})
			e.wantExit(0)
			lines := strings.Split(strings.TrimSuffix(e.stdout.String(), "\n"), "\n")
			if len(lines) != len(test.names) {
				t.Fatalf("%d lines for %d names\n%s", len(lines), len(test.names), e)
			}
			for i, line := range lines {
				if !strings.HasPrefix(line, test.names[i]+"=kms+base64:AQIC") {
					t.Errorf("line %d is %q", i, line)
				}
			}
			if warned := strings.Contains(e.stderr.String(), "a newline at the end of the value was cut"); warned != test.warns {
				t.Errorf("warned of a newline: %v\n%s", warned, e)
			}
			r := run(t, given{args: sh(`printf %s "$ONE$TWO"`), env: join(env, lines, []string{"ENTRYPOINT_DECRYPT_FAILURE=exit"})})
			r.wantExit(0)
			r.wantOut(test.values)
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
			r := run(t, given{args: append([]string{"encrypt"}, test.args...), env: join(k.env, []string{"ENTRYPOINT_DECRYPT_TIMEOUT=1s"}, test.env), stdin: strings.NewReader(test.stdin)})
			r.wantExit(test.code)
			r.wantOut("")
			r.wantSaid("error: cannot encrypt", test.say)
			wantNone(t, []canary{typed}, "stderr", r.stderr.String())
		})
	}
}

// All of them or none: the second name's failure prints no first line.
func TestEncryptIsAllOrNothing(t *testing.T) {
	k := newKMS(t)
	k.Script(nil, kmstest.Normal, kmstest.Refuse(400, "AccessDeniedException", ""))
	r := run(t, given{args: []string{"encrypt", "--key-id", alias, "ONE", "TWO"}, env: k.env, stdin: strings.NewReader("a\nb\n")})
	r.wantExit(78)
	r.wantOut("")
}

// terminal is an encrypt whose input and messages are a terminal; what it prints
// goes into a file, as a user redirects it.
type terminal struct {
	*running
	master, slave *os.File
	screen        *tape
	printed       string
	before        unix.Termios
}

func onTerminal(t *testing.T, g given) terminal {
	t.Helper()
	master, slave, err := pty.Open()
	must(t, err)
	t.Cleanup(func() { master.Close(); slave.Close() })
	before, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
	must(t, err)
	path := filepath.Join(shortFolder(t), "printed")
	out, err := os.Create(path)
	must(t, err)
	defer out.Close()
	g.files, g.sid = []*os.File{slave, out, slave}, true
	c := terminal{running: start(t, g), master: master, slave: slave, screen: newTape(), printed: path, before: *before}
	go func() { _, _ = io.Copy(c.screen, master) }() // EIO when the terminal is closed
	return c
}

// sees waits until the screen shows the text.
func (c terminal) sees(text string) {
	c.t.Helper()
	deadline := time.After(patience)
	for {
		now, more := c.screen.now()
		if strings.Contains(now, text) {
			return
		}
		select {
		case <-more:
		case <-deadline:
			c.t.Fatalf("the screen does not show %q but %q", text, now)
		}
	}
}

// types writes once the echo is off: what is typed before is the shell's.
func (c terminal) types(text string) {
	c.t.Helper()
	for {
		now, err := unix.IoctlGetTermios(int(c.slave.Fd()), unix.TCGETS)
		must(c.t, err)
		if now.Lflag&unix.ECHO == 0 {
			break
		}
		select {
		case <-c.done:
			c.t.Fatalf("ended before its echo was off: %q", c.screen)
		default:
		}
	}
	_, err := io.WriteString(c.master, text)
	must(c.t, err)
}

func (c terminal) wantRestored() {
	c.t.Helper()
	after, err := unix.IoctlGetTermios(int(c.slave.Fd()), unix.TCGETS)
	must(c.t, err)
	if *after != c.before {
		c.t.Errorf("the terminal is left as %+v, it was %+v", *after, c.before)
	}
}

// Asked once for each name, nothing of it on the screen.
func TestEncryptAsksOnATerminalWithoutEcho(t *testing.T) {
	k := newKMS(t)
	c := onTerminal(t, given{args: []string{"encrypt", "--key-id", alias, "ONE", "TWO"}, env: k.env})
	c.sees("ONE (not shown): ")
	c.types(typed.text() + "\n")
	c.sees("TWO (not shown): ")
	c.types("second\n")
	c.wantExit(0)
	c.wantRestored()
	wantNone(t, []canary{typed}, "the screen", c.screen.String())
	lines := strings.Split(strings.TrimSpace(read(t, c.printed)), "\n")
	r := run(t, given{args: sh(`printf %s "$ONE-$TWO"`), env: join(k.env, lines)})
	r.wantOut(typed.text() + "-second")
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
			c := onTerminal(t, given{args: []string{"encrypt", "--key-id", alias, "ONE"}, env: k.env})
			c.sees("ONE (not shown): ")
			c.types(test.keys)
			if test.signal != 0 {
				c.signal(test.signal)
			}
			c.wantExit(test.code)
			c.wantRestored()
			if out := read(t, c.printed); (out != "") != (test.code == 0) {
				t.Errorf("it printed %q", out)
			}
			if strings.Contains(c.screen.String(), "half a sec") {
				t.Errorf("the screen shows what was typed: %q", c.screen)
			}
		})
	}
}

// The control: a terminal with its echo on shows what is typed, so the screen
// above would have shown it.
func TestControlATerminalEchoes(t *testing.T) {
	c := onTerminal(t, given{args: []string{"exec", "sh", "-c", "read x; echo got it >&2"}})
	_, err := io.WriteString(c.master, typed.text()+"\n")
	must(t, err)
	c.sees("got it")
	if !typed.in(c.screen.String()) {
		t.Errorf("no echo: %q", c.screen)
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
	r := start(t, given{args: []string{"encrypt", "--key-id", alias, "ONE"}, env: k.env, stdin: strings.NewReader(typed.text())})
	<-arrived
	r.signal(syscall.SIGTERM)
	r.wantExit(143)
	r.wantOut("")
}
