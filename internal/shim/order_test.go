package shim

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// In the binary as it ships, the shim is initialised before any library: each of
// them would cost every copy its time. So is the catching of signals, but for
// what os/signal itself stands on.
func TestWhatIsInitialisedFirst(t *testing.T) {
	run := exec.Command(shipped(t), "version")
	run.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	var trace bytes.Buffer
	run.Stderr = &trace
	if err := run.Run(); err != nil {
		t.Fatal(err)
	}
	var order []string
	lines := bufio.NewScanner(&trace)
	for lines.Scan() {
		if words := strings.Fields(lines.Text()); len(words) > 1 && words[0] == "init" {
			order = append(order, words[1])
		}
	}
	place := func(is func(string) bool) int {
		for i, name := range order {
			if is(name) {
				return i
			}
		}
		t.Fatalf("not initialised at all:\n%s", strings.Join(order, "\n"))
		return 0
	}
	named := func(name string) func(string) bool { return func(s string) bool { return s == name } }
	library := func(s string) bool {
		first, _, _ := strings.Cut(s, "/")
		return strings.Contains(first, ".") && !strings.HasPrefix(s, "github.com/codeontap/entrypoint/internal/")
	}
	heavy := func(s string) bool {
		for _, prefix := range []string{"github.com/prometheus/", "github.com/aws/smithy-go", "github.com/aws/aws-sdk-go-v2/service/", "github.com/urfave/", "google.golang.org/protobuf/", "net/http", "crypto/tls", "net", "encoding/json"} {
			if s == prefix || strings.HasPrefix(s, prefix) && strings.HasSuffix(prefix, "/") {
				return true
			}
		}
		return false
	}
	shim, early := place(named("github.com/codeontap/entrypoint/internal/shim")), place(named("github.com/codeontap/entrypoint/internal/early"))
	if first := place(library); shim > first {
		t.Errorf("the shim comes after %s", order[first])
	}
	for _, name := range []string{"os", "net", "net/http"} {
		if other := place(named(name)); shim > other {
			t.Errorf("the shim comes after %s", name)
		}
	}
	if first := place(heavy); early > first {
		t.Errorf("signals are caught after %s only", order[first])
	}
	if len(order) < 50 {
		t.Errorf("only %d packages: this trace proves nothing", len(order))
	}
}
