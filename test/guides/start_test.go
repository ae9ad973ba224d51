package guides

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/codeontap/entrypoint/test/internal/guide"
)

const started = "docs/getting-started.md"

// blocks are those of a section, as many as the test knows what to do with.
func blocks(t *testing.T, page, section string, number int) []guide.Block {
	t.Helper()
	found, err := guide.Section(root+page, section)
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != number {
		t.Fatalf("%s: section %q has %d blocks to run, the test knows %d", page, section, len(found), number)
	}
	return found
}

// contains says whether all of the words were said.
func contains(said string, words ...string) bool {
	for _, word := range words {
		if !strings.Contains(said, word) {
			return false
		}
	}
	return true
}

// wants fails if any of the words is missing in what was said.
func wants(t *testing.T, said string, words ...string) {
	t.Helper()
	for _, word := range words {
		if !contains(said, word) {
			t.Errorf("%q is missing in:\n%s", word, said)
		}
	}
}

// fork has git find this checkout, as it stands now, at the address that the page
// clones from.
func fork(t *testing.T) (env []string) {
	t.Helper()
	checkout := guide.Checkout(t, root)
	return []string{
		"GIT_CONFIG_COUNT=2",
		"GIT_CONFIG_KEY_0=url." + checkout + ".insteadOf", "GIT_CONFIG_VALUE_0=https://github.com/codeontap/entrypoint.git",
		"GIT_CONFIG_KEY_1=safe.directory", "GIT_CONFIG_VALUE_1=*",
	}
}

// A newcomer reads the page from its beginning to its end, with two terminals.
func TestGettingStarted(t *testing.T) {
	t.Parallel()
	network := guide.NewNetwork(t)
	dir, home := guide.Folder(t), "XDG_RUNTIME_DIR="+guide.Folder(t)
	one := guide.Open(t, dir, network, append(fork(t), home)...)

	site := blocks(t, started, "From a fork to a running site", 2)
	one.Run(site[0])
	one.Begin(site[1])
	one.Says("web.0 is ready")
	page := one.Page("http://127.0.0.1:8000/", "It works.")
	wants(t, page, "of 2", "sqlite")

	two := guide.Open(t, filepath.Join(dir, "component"), network, home)
	look := blocks(t, started, "Look around", 3)
	wants(t, two.Run(look[0]), "WEB on local", `"copies": 2`)
	two.Run(look[1])
	wants(t, two.Run(look[2]), "./container-web.sh", "native: started once")

	environment := blocks(t, started, "Set the environment", 2)
	wants(t, two.Run(environment[0]), "ok")
	wants(t, two.Run(environment[1]), "DATABASE_NAME", "DATABASE_USERNAME", "DATABASE_PASSWORD", "exit code 78")

	first := blocks(t, started, "Your first page", 2)
	two.Run(first[0])
	one.Says("web.0 is ready") // the one that was killed has been replaced
	wants(t, two.Run(first[1]), `{"hello": "Ada"}`)
	ends(t, one)

	task := blocks(t, started, "Your first task", 3)
	two.Run(task[0])
	one.Begin(task[1])
	one.Says(" ready.")
	two.Run(task[2])
	wants(t, one.Says("'Hello, Ada'"), "app_dir.tasks.hello", "succeeded")
	ends(t, one)

	wants(t, two.Run(blocks(t, started, "Test it", 1)[0]), "Ran 2 tests", "OK")
}

// ends types Ctrl-C, after which entrypoint has to have stopped as asked. The code
// is its own 0, or make's for an interrupt.
func ends(t *testing.T, m *guide.Terminal) {
	t.Helper()
	said, code := m.CtrlC()
	if !strings.Contains(said, "entrypoint: ended: stopped as asked") || code != 0 && code != 2 && code != 130 {
		t.Errorf("Ctrl-C: code %d\n%s", code, said)
	}
}

// The command of the page leaves the old name nowhere, and the component works
// under the new one: its checks, migrations, style, tests, and its four modes.
func TestANameOfItsOwn(t *testing.T) {
	t.Parallel()
	network := guide.NewNetwork(t)
	dir := guide.Checkout(t, root)
	command := blocks(t, started, "Give it your name", 1)[0]
	names := regexp.MustCompile(`name=(\w+)\n.*\bs/(\w+)/`).FindStringSubmatch(command.Text)
	if names == nil {
		t.Fatalf("%s: no name is replaced by another", command)
	}
	name, old := names[1], names[2]
	if name == old {
		t.Skipf("NOT TESTED: this fork is called %s, which is what the guide would call it", name)
	}
	if !strings.Contains(git(t, dir, "grep", "-l", old), "/"+old+"/") { // the control
		t.Fatalf("nothing is called %s before", old)
	}
	m := guide.Open(t, dir, network, "DJANGO_DEBUG=True")
	m.Run(command)

	if left := git(t, dir, "grep", "--untracked", "-l", old); left != "" {
		t.Errorf("%s is left in the contents of:\n%s", old, left)
	}
	if files := git(t, dir, "ls-files", "--cached", "--others"); strings.Contains(files, old) || !strings.Contains(files, "src/"+name+"/wsgi.py\n") {
		t.Errorf("files are called:\n%s", files)
	}
	m.Run(guide.Block{Page: "the component's own tests", Text: "cd src && ./manage.py check && ./manage.py makemigrations --check && ./manage.py migrate --noinput --verbosity 0\n" +
		"pycodestyle . && pydocstyle .\n"})
	greeted := m.Run(guide.Block{Page: "the component's own tests", Text: "./manage.py greet --name Ada\n"})
	wants(t, greeted, "Hello, Ada")
	// What takes long in the others has nothing to do with names.
	tests := "./manage.py test --parallel 2"
	for _, test := range []string{"settings", "site", "tasks", "services", "processes.Modes"} {
		tests += " " + name + ".tests.test_" + test
	}
	m.Run(guide.Block{Page: "the component's own tests", Text: tests + "\n"})
}

// git is a git command whose output counts, whatever its code.
func git(t *testing.T, dir string, words ...string) string {
	t.Helper()
	cmd := exec.Command("git", words...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(out)
}
