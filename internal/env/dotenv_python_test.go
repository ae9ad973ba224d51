package env_test

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/codeontap/entrypoint/internal/env"
)

// loadDotenv asks the real thing what it makes of each file.
//
//go:embed testdata/load_dotenv.py
var loadDotenv string

// reading is what a .env file does to a process: the variables that it adds.
type reading struct {
	Failed    bool              `json:"failed"` // a line was dropped, or an exception ended it
	Variables map[string]string `json:"variables"`
}

// base is the real environment under which all files are read.
var base = []string{"HOME=/home/real", "EMPTY=", "A=real", "URL=https://real"}

// The application reads the same file with python-dotenv: both must see the
// same variables, and what it drops in silence must be an error here.
func TestPythonDotenvReadsTheSame(t *testing.T) {
	t.Parallel()
	files := append(slices.Clone(dotenvSeeds), generated(3000)...)
	want := askPython(t, files)
	path := filepath.Join(t.TempDir(), ".env")
	failed, variables := 0, 0
	for i, text := range files {
		got := read(t, path, text)
		if want[i].Failed {
			failed++
			if !got.Failed {
				t.Errorf("python-dotenv cannot read %q, we can: %v", text, got.Variables)
			}
			continue
		}
		if diff := cmp.Diff(want[i], got); diff != "" {
			t.Errorf("%q is read otherwise than by python-dotenv (-):\n%s", text, diff)
		}
		variables += len(got.Variables)
	}
	// A corpus of errors alone, or of nothing, would compare well.
	if failed < len(files)/20 || failed > len(files)*3/4 || variables < len(files) {
		t.Errorf("the corpus proves little: %d files, %d with errors, %d variables", len(files), failed, variables)
	}
}

// The control: what one would write without the grammar fails on the corpus.
func TestANaiveReaderReadsSomethingElse(t *testing.T) {
	t.Parallel()
	differences := 0
	want := askPython(t, dotenvSeeds)
	for i, text := range dotenvSeeds {
		got := reading{Variables: map[string]string{}}
		for line := range strings.Lines(text) {
			line = strings.TrimPrefix(strings.TrimSpace(line), "export ")
			if name, value, ok := strings.Cut(line, "="); ok && !strings.HasPrefix(line, "#") {
				got.Variables[name] = strings.Trim(value, `"'`)
			}
		}
		if !cmp.Equal(want[i], got) {
			differences++
		}
	}
	if differences < len(dotenvSeeds)/3 {
		t.Errorf("a naive reader is right but for %d of %d files: the seeds prove nothing", differences, len(dotenvSeeds))
	}
}

func read(t *testing.T, path, text string) reading {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	real, _ := env.Parse(base)
	d, err := env.ReadDotenv(path, real)
	got := reading{Failed: err != nil, Variables: map[string]string{}}
	added := real.Merge(d.Variables...)
	for _, v := range added.Variables() {
		if _, there := real.Lookup(v.Name); !there {
			got.Variables[v.Name] = v.Value.Reveal()
		}
	}
	return got
}

func askPython(t *testing.T, files []string) []reading {
	t.Helper()
	input, err := json.Marshal(map[string]any{"base": base, "files": files, "folder": t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/usr/bin/python3", "-c", loadDotenv)
	cmd.Stdin = bytes.NewReader(input)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("/usr/bin/python3 with python-dotenv is needed: apt-get install python3-dotenv: %v\n%s", err, stderr.String())
	}
	var want []reading
	if err := json.Unmarshal(out, &want); err != nil || len(want) != len(files) {
		t.Fatalf("python answered %d files: %v", len(want), err)
	}
	return want
}

// generated are files made of what the grammar has a meaning for, in an order
// that nobody would choose. The seed is fixed: a failure comes again.
func generated(n int) []string {
	random := rand.New(rand.NewPCG(2017, 4))
	pick := func(from []string) string { return from[random.IntN(len(from))] }
	names := []string{"A", "B", "C", "NAME", "a.b-c", "'Q'", "'q r'", `"D"`, "é", "EMPTY", "FOO", "PYTHONPATH", "B2"}
	before := []string{"", "", "", "", "export ", "export\t", " ", "\n\n", "# c\n", "export"}
	equals := []string{"=", "=", "=", "=", " = ", "= ", "\t=\t", "", "=="}
	quoted := []string{"a", "b c", `\n`, `\\`, `\"`, `\'`, `\$`, `\`, "\n", "#", " # ", "$B", "${A}", "${B:-x}", "${C:-}", "${B:x}", "é", "\t", "=", "\r\n", "\\\n", "${Q", "}", "${NAME:-${A}}", "\u00a0"}
	plain := append(slices.Clone(quoted[:len(quoted)-1]), `"`, "'", " #", "\u2003", "\x1c", "\u0085")
	after := []string{"\n", "\n", "\n", "\n", "\r\n", "\r", " # c\n", "#c\n", " x\n", "", "\u00a0\n", "\f\n", "\n\n"}
	some := func(from []string) string {
		var s strings.Builder
		for range random.IntN(5) {
			s.WriteString(pick(from))
		}
		return s.String()
	}
	value := func() string {
		switch random.IntN(4) {
		case 0:
			return "'" + some(quoted) + "'"
		case 1:
			return `"` + some(quoted) + `"`
		case 2:
			return some(plain)
		}
		return fmt.Sprintf("v%d", random.IntN(10))
	}
	files := make([]string, n)
	for i := range files {
		var s strings.Builder
		for range 1 + random.IntN(4) {
			s.WriteString(pick(before) + pick(names) + pick(equals) + value() + pick(after))
		}
		files[i] = strings.ToValidUTF8(s.String(), "?")
	}
	return files
}
