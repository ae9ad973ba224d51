package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/codeontap/entrypoint"

// floors: a package imports lower floors only; siblings never import each other.
// A folder inside a room (internal/kms/kmstest) belongs to the room.
var floors = map[string]int{
	"internal/env": 0, "internal/early": 0, "internal/shim": 0,
	"internal/command": 1, "internal/contract": 1, "internal/kms": 1, "internal/health": 1,
	"internal/reap": 1, "internal/cgroup": 1, "internal/listen": 1,
	"modes": 2, "supervisor": 2, "internal/admin": 2, "internal/metrics": 2,
	"": 3,
}

// command is the vocabulary of its own floor: what health, listen and reap are
// told.
var vocabulary = "internal/command"

// only says who may import a package, or call a function.
var onlyImports = map[string][]string{
	"os/exec":                             {"internal/reap"},
	"github.com/aws/":                     {"internal/kms", ""},
	"github.com/urfave/cli/":              {""},
	"github.com/oklog/run":                {""},
	"github.com/prometheus/client_golang": {"internal/metrics", "internal/admin"},
}

var onlyCalls = map[string][]string{
	"os.Exit": {""}, "os.Environ": {""}, "os.Getenv": {""}, "os.LookupEnv": {""}, "os.Setenv": {},
	"log.Fatal": {}, "log.Fatalf": {}, "time.Sleep": {},
	"syscall.Wait4": {"internal/reap"}, "unix.Wait4": {"internal/reap"}, "unix.Waitid": {"internal/reap"},
	"syscall.ForkExec": {"internal/reap"}, "syscall.StartProcess": {"internal/reap"}, "os.StartProcess": {"internal/reap"},
}

// source is one Go file as the rules see it.
type source struct {
	room    string // the package's folder, cut to its room
	name    string
	test    bool
	tool    bool // a main of its own: a generator, a demonstration server
	imports []string
	calls   []string
	inits   bool
}

func parseSource(t *testing.T, file string, text any) source {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, text, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	s := source{name: file, test: strings.HasSuffix(file, "_test.go"), room: roomOf(path.Dir(filepath.ToSlash(file)))}
	s.tool = f.Name.Name == "main" && path.Dir(filepath.ToSlash(file)) != "."
	for _, i := range f.Imports {
		p, _ := strconv.Unquote(i.Path.Value)
		s.imports = append(s.imports, p)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok {
				s.calls = append(s.calls, x.Name+"."+n.Sel.Name)
			}
		case *ast.FuncDecl:
			s.inits = s.inits || n.Name.Name == "init" && n.Recv == nil
		}
		return true
	})
	return s
}

func roomOf(folder string) string {
	if folder == "." {
		return ""
	}
	parts := strings.Split(folder, "/")
	if parts[0] == "internal" && len(parts) > 1 {
		return parts[0] + "/" + parts[1]
	}
	return parts[0]
}

// broken lists the rules that a file breaks.
func broken(s source) []string {
	var all []string
	complain := func(format string, args ...any) {
		all = append(all, s.name+": "+fmt.Sprintf(format, args...))
	}
	floor, known := floors[s.room]
	if !known && s.room != "test" {
		complain("package %q has no floor", s.room)
	}
	if slices.Contains(s.calls, "time.Sleep") {
		complain("time.Sleep: wait for an event")
	}
	if s.test || s.tool || s.room == "test" {
		return all
	}
	for _, i := range s.imports {
		if inner, ours := strings.CutPrefix(i, module+"/"); ours {
			room := roomOf(inner)
			if other := floors[room]; room != s.room && other >= floor && (room != vocabulary || floor < 1) {
				complain("imports %s, which is not on a lower floor", inner)
			}
		}
		for prefix, rooms := range onlyImports {
			if (i == prefix || strings.HasPrefix(i, prefix)) && !slices.Contains(rooms, s.room) {
				complain("imports %s", i)
			}
		}
	}
	for _, call := range s.calls {
		if rooms, rule := onlyCalls[call]; rule && !slices.Contains(rooms, s.room) && call != "time.Sleep" {
			complain("calls %s", call)
		}
	}
	if s.inits && s.room != "internal/early" && s.room != "internal/shim" {
		complain("has an init")
	}
	return all
}

func TestTheHouseKeepsItsFloors(t *testing.T) {
	files := 0
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && file != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "kubernetes") {
			return fs.SkipDir
		}
		if strings.HasSuffix(file, ".go") {
			files++
			for _, complaint := range broken(parseSource(t, file, nil)) {
				t.Error(complaint)
			}
		}
		return nil
	})
	if err != nil || files < 20 {
		t.Errorf("%d files read, %v", files, err)
	}
}

// The control: each rule finds what it forbids.
func TestTheHouseNoticesABreach(t *testing.T) {
	for file, text := range map[string]string{
		"internal/env/a.go":    `package env; import "github.com/codeontap/entrypoint/internal/reap"; var _ = reap.New`,
		"internal/env/b.go":    `package env; import "github.com/codeontap/entrypoint/internal/command"; var _ command.Spec`,
		"modes/a.go":           `package modes; import "github.com/codeontap/entrypoint/supervisor"; var _ supervisor.State`,
		"modes/b.go":           `package modes; import "os/exec"; var _ = exec.Command`,
		"modes/c.go":           `package modes; import "os"; var _ = os.Getenv("X")`,
		"modes/d.go":           `package modes; func init() {}`,
		"supervisor/a.go":      `package supervisor; import "syscall"; var _, _ = syscall.Wait4(-1, nil, 0, nil)`,
		"supervisor/b.go":      `package supervisor; import "github.com/urfave/cli/v2"; var _ cli.App`,
		"supervisor/c_test.go": `package supervisor; import "time"; func f() { time.Sleep(1) }`,
		"internal/admin/a.go":  `package admin; import "github.com/aws/aws-sdk-go-v2/aws"; var _ aws.Config`,
		"internal/util/a.go":   `package util`,
	} {
		if len(broken(parseSource(t, file, text))) == 0 {
			t.Errorf("%s: nothing found in: %s", file, text)
		}
	}
	if found := broken(parseSource(t, "supervisor/good.go", `package supervisor; import "github.com/codeontap/entrypoint/internal/reap"; var _ = reap.New`)); len(found) > 0 {
		t.Errorf("a rule forbids what is allowed: %v", found)
	}
}
