package env_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/codeontap/entrypoint/internal/env"
)

func write(t *testing.T, content string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), ".env")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func plain(variables []env.Variable) map[string]string {
	m := map[string]string{}
	for _, v := range variables {
		m[v.Name] = v.Value.Reveal()
	}
	return m
}

func TestAFileIsMergedUnderTheRealEnvironment(t *testing.T) {
	t.Parallel()
	real, _ := env.Parse([]string{"DATABASE_HOST=real", "DATABASE_PORT=", "HOME=/root"})
	path := write(t, "\xef\xbb\xbfDATABASE_HOST=file\r\nDATABASE_PORT=5\r\nDATABASE_NAME=${DATABASE_HOST}-${HOME}\r\n")
	d, err := env.ReadDotenv(path, real)
	if err != nil || !d.Found || len(d.Warnings) > 0 {
		t.Fatalf("%+v, %v", d.Warnings, err)
	}
	merged := real.Merge(d.Variables...)
	want := map[string]string{"DATABASE_HOST": "real", "DATABASE_PORT": "", "DATABASE_NAME": "real-/root", "HOME": "/root"}
	if diff := cmp.Diff(want, plain(merged.Variables())); diff != "" {
		t.Error(diff)
	}
	for name, source := range map[string]env.Source{"DATABASE_HOST": env.FromEnvironment, "DATABASE_PORT": env.FromEnvironment, "DATABASE_NAME": env.FromDotenv} {
		if v, _ := merged.Lookup(name); v.Source != source {
			t.Errorf("%s comes from %v, want %v", name, v.Source, source)
		}
	}
	if real.Len() != 3 {
		t.Error("the real environment has changed")
	}
}

// Everything wrong is said at once: where, in which variable, what to do, and
// nothing of the content.
func TestWhatDoesNotParseIsSaidWithoutTheContent(t *testing.T) {
	t.Parallel()
	const s = canary
	for name, test := range map[string]struct {
		content string
		want    []string // ends of the lines, PATH for the file's
	}{
		"not closed": {"A=a\nPASSWORD='" + s + "\nB=" + s + "\n\"" + s + "\n",
			[]string{"PATH line 2 (PASSWORD): the quote before the value is not closed"}},
		"after the quote": {"\n\n  PASSWORD=\"a\"" + s + "\nB=b\nexport C = 'it's " + s + "'\n",
			// What follows the first may be the rest of a value: no more names.
			[]string{"PATH line 3 (PASSWORD): there is text after the closing quote", "PATH line 5: there is text after the closing quote"}},
		"a value of several lines without quotes": {"KEY=-----BEGIN " + s + "\n" + s + " is not a name\n=" + s + "\nPASSWORD='x" + s + "\n",
			[]string{"PATH line 2: there is text after the name and no '='", "PATH line 3: there is no name", "PATH line 4 (PASSWORD): the quote"}},
		"a quoted name": {"'A=" + s + "'=b\n'" + s, []string{"PATH line 1: the name holds an '='", "PATH line 2: the quote around the name"}},
		"too long":      {"A=" + strings.Repeat(s, 11000) + "\nB=\"" + strings.Repeat(s, 11000) + "\"\n", []string{"PATH line 1 (A): the value with its name is longer", "PATH line 2 (B): the value with its name is longer"}},
		"NUL":           {"A=a\nB=" + s + "\x00\n", []string{"PATH line 2: it holds a NUL byte"}},
		"Latin-1":       {"A=a\n\nB=" + s + "\xe9\n", []string{"PATH line 3: it is not UTF-8"}},
		"UTF-16":        {"\xff\xfeA\x00=\x00", []string{"PATH line 1: it holds a NUL byte"}},
	} {
		t.Run(name, func(t *testing.T) {
			path := write(t, test.content)
			d, err := env.ReadDotenv(path, env.Environment{})
			if err == nil || d.Variables != nil {
				t.Fatalf("read %q: %v", test.content, d.Variables)
			}
			if leaks(err.Error()) {
				t.Errorf("the error quotes the file: %v", err)
			}
			lines := strings.Split(err.Error(), "\n")
			if len(lines) != len(test.want) {
				t.Fatalf("%d lines, want %d:\n%v", len(lines), len(test.want), err)
			}
			for i, want := range test.want {
				if want = "cannot read " + strings.Replace(want, "PATH", path, 1); !strings.HasPrefix(lines[i], want) {
					t.Errorf("line %d is %q, want %q", i, lines[i], want)
				}
			}
		})
	}
}

// Fifty lines that each double the one before would need a petabyte.
func TestExpansionIsBounded(t *testing.T) {
	t.Parallel()
	var s strings.Builder
	s.WriteString("A0=xxxxxxxxxxxxxxxx\n")
	for i := 1; i < 50; i++ {
		a := "${A" + string(rune('0'+(i-1)%10)) + "}"
		s.WriteString("A" + string(rune('0'+i%10)) + "=" + a + a + "\n")
	}
	if _, err := env.ReadDotenv(write(t, s.String()), env.Environment{}); err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("want an error about the length, got %v", err)
	}
	many := "A=" + strings.Repeat("x", 100_000) + "\n" + strings.Repeat("B=${A}y\n", 100_000)
	if _, err := env.ReadDotenv(write(t, many), env.Environment{}); err == nil || !strings.Contains(err.Error(), "6 MB") {
		t.Errorf("want an error about the length of all, got %v", err)
	}
	// Each of these openings could make a reader look to the end again.
	for _, opening := range []string{"${", "${:", "${a:x", "${a:-", "$", "'", "\\'"} {
		text := "A=\"" + strings.Repeat(opening, 20000) + "\"\n"
		if d, err := env.ReadDotenv(write(t, text), env.Environment{}); err != nil || len(d.Variables) != 1 {
			t.Errorf("%s: %v", opening, err)
		}
	}
}

func TestWhatAFileMayNotSetIsIgnoredAloud(t *testing.T) {
	t.Parallel()
	path := write(t, "PATH=/evil\nLD_PRELOAD=/evil.so\nENTRYPOINT_PLATFORM=codeontap\nENTRYPOINT_ENV_FILE=x\nPYTHONPATH=/lib\n"+
		"ENTRYPOINT_GRACE=3s\nA=${LD_PRELOAD:-none}\n"+canary+"\n")
	d, err := env.ReadDotenv(path, env.Environment{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"PYTHONPATH": "/lib", "ENTRYPOINT_GRACE": "3s", "A": "none"}, plain(d.Variables)); diff != "" {
		t.Error(diff)
	}
	want := []string{
		path + " line 1 is ignored: \"PATH\" is taken from the real environment only",
		path + " line 2 is ignored: \"LD_PRELOAD\" is taken from the real environment only",
		path + " line 3 is ignored: \"ENTRYPOINT_PLATFORM\" is taken from the real environment only",
		path + " line 4 is ignored: \"ENTRYPOINT_ENV_FILE\" is taken from the real environment only",
		path + " line 8 sets nothing: it has no '='",
	}
	if diff := cmp.Diff(want, d.Warnings); diff != "" {
		t.Error(diff)
	}
}

func TestAFileThatIsNotThereIsNoError(t *testing.T) {
	t.Parallel()
	d, err := env.ReadDotenv(filepath.Join(t.TempDir(), ".env"), env.Environment{})
	if err != nil || d.Found || len(d.Warnings) > 0 {
		t.Errorf("%+v, %v", d, err)
	}
}

// A virtual environment is often called .env.
func TestAFolderIsIgnoredAloud(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d, err := env.ReadDotenv(dir, env.Environment{})
	if err != nil || d.Found || len(d.Warnings) != 1 || !strings.Contains(d.Warnings[0], "is a folder") {
		t.Errorf("%+v, %v", d, err)
	}
}

// A plain open of a FIFO waits for its writer, for ever: this test would not
// end.
func TestWhatIsNotAPlainFileIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "socket")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: socket}); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{fifo, socket, "/dev/zero"} {
		if _, err := env.ReadDotenv(path, env.Environment{}); err == nil || !strings.Contains(err.Error(), "a plain file is wanted") {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// /dev/null bound over a .env is how compose files hide it.
func TestNullIsAnEmptyFile(t *testing.T) {
	t.Parallel()
	d, err := env.ReadDotenv("/dev/null", env.Environment{})
	if err != nil || !d.Found || len(d.Variables)+len(d.Warnings) > 0 {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestAFileOfOverOneMegabyteIsRefusedUnread(t *testing.T) {
	t.Parallel()
	path := write(t, "")
	if err := os.Truncate(path, 50<<20); err != nil { // sparse
		t.Fatal(err)
	}
	if _, err := env.ReadDotenv(path, env.Environment{}); err == nil || !strings.Contains(err.Error(), "over 1 MB") {
		t.Error(err)
	}
	if _, err := env.ReadDotenv(write(t, strings.Repeat("#", 1<<20)), env.Environment{}); err != nil {
		t.Errorf("one megabyte is allowed: %v", err)
	}
}

func TestAFileThatOthersMayWriteIsReadWithAWarning(t *testing.T) {
	t.Parallel()
	path := write(t, "A=a\n")
	for mode, warned := range map[os.FileMode]bool{0o600: false, 0o644: false, 0o664: false, 0o666: true, 0o777: true} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		d, err := env.ReadDotenv(path, env.Environment{})
		if err != nil || len(d.Variables) != 1 || (len(d.Warnings) == 1) != warned {
			t.Errorf("%o: %+v, %v", mode, d, err)
		}
	}
}

func TestAFileThatWeMayNotReadIsAnError(t *testing.T) {
	t.Parallel()
	path := write(t, "A=a\n")
	link := filepath.Join(filepath.Dir(path), "loop")
	if err := os.Symlink(link, link); err != nil {
		t.Fatal(err)
	}
	if _, err := env.ReadDotenv(link, env.Environment{}); err == nil || strings.Count(err.Error(), "loop") != 1 {
		t.Errorf("want one line with the path once, got %v", err)
	}
}

func FuzzDotenv(f *testing.F) {
	for _, s := range dotenvSeeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, content string) {
		real, _ := env.Parse(base)
		const path = "folder/.env"
		variables, _, err := env.ReadText(path, content, real)
		if err != nil {
			for line := range strings.SplitSeq(err.Error(), "\n") {
				if !strings.HasPrefix(line, "cannot read "+path+" line ") {
					t.Errorf("%q: an error of another form, or with a line end from the file: %q", content, line)
				}
			}
			return
		}
		seen := map[string]bool{}
		for _, v := range variables {
			if v.Name == "" || strings.Contains(v.Name, "=") || v.Fit() != nil || v.Source != env.FromDotenv || seen[v.Name] {
				t.Errorf("%q gives a variable that no environment can hold: %q", content, v.Name)
			}
			seen[v.Name] = true
		}
		merged := real.Merge(variables...)
		for _, v := range real.Variables() {
			if got, _ := merged.Lookup(v.Name); !got.Value.Equal(v.Value) || got.Source != env.FromEnvironment {
				t.Errorf("%q overrides %s", content, v.Name)
			}
		}
	})
}
