package env_test

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"
	"text/template"

	"github.com/codeontap/entrypoint/internal/env"
)

// canary is searched for in everything that comes out. In hexadecimal too: %x
// of a string is no better than the string.
const canary = "CANARYhunter2"

const canaryHex = "43414e41525968756e74657232"

func leaks(text string) bool {
	return strings.Contains(text, canary) || strings.Contains(strings.ToLower(text), canaryHex)
}

// holder has a Secret in every place where a printer could come upon one: fmt
// calls no methods of what lies behind the unexported ones.
type holder struct {
	Public   env.Secret
	Pointer  *env.Secret
	List     []env.Secret
	Map      map[string]env.Secret
	Any      any
	private  env.Secret
	pointer  *env.Secret
	list     []env.Secret
	byName   map[string]env.Secret
	any      any
	whole    env.Environment
	variable env.Variable
}

func hold(s env.Secret) holder {
	v := env.Variable{Name: "PASSWORD", Value: s}
	return holder{
		s, &s, []env.Secret{s}, map[string]env.Secret{"k": s}, s,
		s, &s, []env.Secret{s}, map[string]env.Secret{"k": s}, s,
		env.Environment{}.With(v), v,
	}
}

// operands are the shapes in which a Secret is handed to a printer.
func operands() map[string]any {
	s := env.NewSecret(canary)
	h := hold(s)
	return map[string]any{
		"secret": s, "pointer": &s, "slice": []env.Secret{s}, "array": [1]env.Secret{s},
		"map": map[string]env.Secret{"k": s}, "variable": h.variable, "variables": h.whole.Variables(),
		"environment": h.whole, "environment pointer": &h.whole, "struct": h, "struct pointer": &h,
	}
}

// Every verb there is, with flags and without, and those that are wrong for
// the operand: fmt prints a wrongly printed operand by reflection.
func TestNoVerbPrintsASecret(t *testing.T) {
	t.Parallel()
	for shape, operand := range operands() {
		for _, flags := range []string{"", "+", "#", " ", "-40", "040", ".3", "[1]", "+#"} {
			for verb := '!'; verb <= '~'; verb++ {
				format := "%" + flags + string(verb)
				if text := fmt.Sprintf(format, operand); leaks(text) {
					t.Errorf("%s of a %s prints it: %s", format, shape, text)
				}
				if text := fmt.Errorf(format, operand).Error(); leaks(text) { // %w is Errorf's alone
					t.Errorf("Errorf %s of a %s prints it: %s", format, shape, text)
				}
			}
		}
		texts := []string{fmt.Sprint(operand), fmt.Sprintln("a", operand)}
		for _, format := range []string{"too many", "%[5]d", "%*d", "%.*d", "%"} {
			texts = append(texts, fmt.Sprintf(format, operand))
		}
		for _, text := range texts {
			if leaks(text) {
				t.Errorf("a %s is printed: %s", shape, text)
			}
		}
	}
}

// The control: the struct that one writes first has every method and leaks
// from an unexported field all the same.
type naive struct{ value string }

func (naive) String() string                { return "<secret>" }
func (naive) Format(f fmt.State, verb rune) { _, _ = f.Write([]byte("<secret>")) }
func (naive) GoString() string              { return "<secret>" }

func TestANaiveSecretLeaksFromAnUnexportedField(t *testing.T) {
	t.Parallel()
	text := fmt.Sprintf("%v", struct{ s naive }{naive{canary}})
	if !leaks(text) {
		t.Errorf("fmt printed %s: the pointer in Secret has lost its reason", text)
	}
}

func TestLoggersAndEncodersSeeNoSecret(t *testing.T) {
	t.Parallel()
	for shape, operand := range operands() {
		var out bytes.Buffer
		level := &slog.HandlerOptions{Level: slog.LevelDebug}
		for _, h := range []slog.Handler{slog.NewTextHandler(&out, level), slog.NewJSONHandler(&out, level)} {
			l := slog.New(h)
			l.Debug("message", "value", operand)
			l.Error("message", slog.Group("group", "value", operand), "error", fmt.Errorf("around %v", operand))
			l.With("value", operand).Info("message")
		}
		log.New(&out, "", 0).Print(operand)
		if err := json.NewEncoder(&out).Encode(operand); err != nil {
			t.Errorf("json of a %s: %v", shape, err)
		}
		if err := json.NewEncoder(&out).Encode(map[string]any{"nested": operand}); err != nil {
			t.Errorf("json of a map with a %s: %v", shape, err)
		}
		_ = xml.NewEncoder(&out).Encode(operand) // refuses maps
		_ = gob.NewEncoder(&out).Encode(operand) // refuses some
		if err := template.Must(template.New("").Parse("{{.}} {{printf \"%q\" .}}")).Execute(&out, operand); err != nil {
			t.Errorf("template of a %s: %v", shape, err)
		}
		if leaks(out.String()) {
			t.Errorf("a %s comes out: %s", shape, out.String())
		}
	}
}

func TestASecretSaysThatItIsOne(t *testing.T) {
	t.Parallel()
	s := env.NewSecret(canary)
	text, err := json.Marshal(map[string]env.Secret{"a": s})
	if err != nil || string(text) != `{"a":"\u003csecret\u003e"}` {
		t.Errorf("json: %s, %v", text, err)
	}
	for _, got := range []string{s.String(), s.GoString(), fmt.Sprint(s), fmt.Sprintf("%x", s), s.LogValue().String()} {
		if got != "<secret>" {
			t.Errorf("printed as %q", got)
		}
	}
}

// An empty one looks the same: that a password is empty is nobody's business.
func TestRevealIsTheWayOut(t *testing.T) {
	t.Parallel()
	var zero env.Secret
	if s := env.NewSecret(canary); s.Reveal() != canary || s.IsEmpty() || !s.Equal(env.NewSecret(canary)) || s.Equal(zero) {
		t.Error("a secret lost its value")
	}
	if s := env.NewSecret(""); !s.IsEmpty() || s.Reveal() != "" || !s.Equal(zero) || s.String() != zero.String() {
		t.Error("an empty secret is not empty")
	}
}

// A panic prints its value, and the runtime prints the arguments of every
// frame: the process is run for real.
func TestAPanicShowsNoSecret(t *testing.T) {
	if kind := os.Getenv("ENV_TEST_PANIC"); kind != "" {
		s := env.NewSecret(strings.Join([]string{"CANARY", "hunter2"}, ""))
		panicWith(kind, s, hold(s))
	}
	t.Parallel()
	for _, kind := range []string{"secret", "struct", "environment", "error", "string", "index"} {
		cmd := exec.Command(os.Args[0], "-test.run=^TestAPanicShowsNoSecret$")
		cmd.Env = append(os.Environ(), "ENV_TEST_PANIC="+kind, "GOTRACEBACK=system")
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 2 || !bytes.Contains(out, []byte("panic:")) {
			t.Errorf("%s: did not panic: %v\n%s", kind, err, out)
		}
		if leaks(string(out)) {
			t.Errorf("%s: the trace shows the value:\n%s", kind, out)
		}
	}
}

//go:noinline
func panicWith(kind string, s env.Secret, h holder) {
	switch kind {
	case "secret":
		panic(s)
	case "struct":
		panic(h)
	case "environment":
		panic(h.whole)
	case "error":
		panic(fmt.Errorf("cannot use %v and %+v", s, h))
	case "string":
		panic(fmt.Sprintf("%#v", h))
	case "index":
		h.list[len(kind)] = s
	}
}
