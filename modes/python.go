package modes

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/codeontap/entrypoint/internal/env"
)

// python chooses the interpreter without asking any of them: the virtual
// environment's, else Debian's if Django is among its packages, else PATH's. A
// machine's first python3 may be one without the application's packages.
func (p place) python(dir string, e env.Environment) Python {
	path := e.Get("PATH").Reveal()
	inPath := p.find(path, "python3")
	choose := func(found, why string) Python {
		chosen := Python{Path: found, Why: why}
		if found != inPath {
			chosen.Folder = filepath.Dir(found)
		}
		return chosen
	}
	environments := []struct{ folder, why string }{
		{e.Get("VIRTUAL_ENV").Reveal(), "VIRTUAL_ENV's"},
		{filepath.Join(dir, ".venv"), "that of .venv"},
		{filepath.Join(dir, "..", ".venv"), "that of ../.venv"},
	}
	if folder := filepath.Dir(filepath.Dir(inPath)); inPath != "" && p.isFile(filepath.Join(folder, "pyvenv.cfg")) {
		environments = append(environments, struct{ folder, why string }{folder, "that of the virtual environment in PATH"})
	}
	for _, environment := range environments {
		if environment.folder == "" {
			continue
		}
		folder := environment.folder
		if !filepath.IsAbs(folder) {
			folder = filepath.Join(dir, folder)
		}
		for _, name := range []string{"python3", "python"} {
			if found := filepath.Join(folder, "bin", name); p.runnable(found) {
				return choose(found, environment.why)
			}
		}
	}
	if p.runnable("/usr/bin/python3") && p.hasDjango() {
		return choose("/usr/bin/python3", "Debian's, which has Django")
	}
	if inPath != "" {
		return Python{Path: "python3", Why: "PATH's python3"}
	}
	if p.find(path, "python") != "" {
		return Python{Path: "python", Why: "PATH's python; there is no python3"}
	}
	return Python{}
}

// hasDjango looks where /usr/bin/python3 looks for its packages.
func (p place) hasDjango() bool {
	if p.isDir("/usr/lib/python3/dist-packages/django") {
		return true
	}
	for _, pattern := range []string{"/usr/local/lib/python3*/dist-packages/django", "/usr/lib/python3*/site-packages/django"} {
		if found, _ := filepath.Glob(p.at(pattern)); len(found) > 0 {
			return true
		}
	}
	return false
}

func (p place) runnable(path string) bool {
	info, err := os.Stat(p.at(path))
	return err == nil && info.Mode().IsRegular() && unix.Access(p.at(path), unix.X_OK) == nil
}

// find looks a program up in the absolute folders of a PATH.
func (p place) find(path, name string) string {
	for _, folder := range filepath.SplitList(path) {
		if full := filepath.Join(folder, name); filepath.IsAbs(folder) && p.runnable(full) {
			return full
		}
	}
	return ""
}
