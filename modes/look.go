package modes

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/codeontap/entrypoint/internal/env"
)

// maxScript is how much of a script or settings file is looked at.
const maxScript = 32 << 10

// Look reads what a plan depends on: names, modes and the beginnings of a few
// files. It starts no process and changes nothing; what cannot be read is not
// there.
func Look(s Settings, e env.Environment) Facts { return place{}.look(s.withDefaults(), e) }

// place is where absolute paths begin: the root directory, or a test's own.
type place struct{ root string }

func (p place) at(path string) string { return filepath.Join(p.root, path) }

func (p place) look(s Settings, e env.Environment) Facts {
	var f Facts
	f.Dir = s.Dir
	if absolute, err := filepath.Abs(s.Dir); err == nil {
		f.Dir = absolute
	}
	f.Temp = p.temp(e)
	f.Home = p.home(e)
	f.PumaConfig = p.isFile(filepath.Join(f.Dir, "config", "puma.rb"))
	if len(s.Words) > 0 && len(s.InitTasks) == 0 {
		return f // a command brings all of its own
	}
	entries, _ := os.ReadDir(p.at(f.Dir))
	f.DirWritable = unix.Access(p.at(f.Dir), unix.W_OK) == nil
	for _, entry := range entries {
		if _, ok := scriptMode(entry.Name()); ok && p.isFile(filepath.Join(f.Dir, entry.Name())) {
			f.Scripts = append(f.Scripts, entry.Name())
		}
		f.ManagePy = f.ManagePy || entry.Name() == "manage.py"
	}
	if name, ok := scriptOf(s.Mode, f.Scripts); ok {
		path := filepath.Join(f.Dir, name)
		f.Script = &Script{Name: name, Runnable: unix.Access(p.at(path), unix.X_OK) == nil, Text: p.read(path)}
	}
	if s.App != "" {
		f.Packages = p.named(f.Dir, s.App)
	} else {
		for _, entry := range entries {
			if importable(entry.Name()) && (entry.IsDir() || entry.Type()&os.ModeSymlink != 0) {
				f.Packages = p.inspect(f.Dir, entry.Name(), f.Packages)
			}
		}
	}
	f.Python = p.python(f.Dir, e)
	switch s.Mode {
	case WEB:
		f.SetsGraceful = strings.Contains(p.read(filepath.Join(f.Dir, "gunicorn.conf.py")), "graceful_timeout")
	case WORKER, BEAT:
		text := p.applicationText(f.Dir, f.Packages)
		f.SetsSchedule = strings.Contains(strings.ToLower(text), "beat_schedule_filename")
		f.SetsBroker = namesBroker(text)
	}
	return f
}

func (p place) isFile(path string) bool {
	info, err := os.Stat(p.at(path))
	return err == nil && info.Mode().IsRegular()
}

func (p place) isDir(path string) bool {
	info, err := os.Stat(p.at(path))
	return err == nil && info.IsDir()
}

// read returns the beginning of a plain file, empty where there is none. It
// never waits: a FIFO is not opened.
func (p place) read(path string) string {
	if !p.isFile(path) {
		return ""
	}
	f, err := os.Open(p.at(path))
	if err != nil {
		return ""
	}
	defer f.Close()
	text, _ := io.ReadAll(io.LimitReader(f, maxScript))
	return string(text)
}

// importable says whether Python can import a folder of that name.
func importable(name string) bool {
	for i, c := range name {
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c > 127
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}

// named is the package that the user names, whatever it holds: celery's
// application may be in its __init__.py.
func (p place) named(dir, name string) []Package {
	for part := range strings.SplitSeq(name, ".") {
		if !importable(part) {
			return nil
		}
	}
	if found := p.inspect(dir, name, nil); found != nil {
		return found
	}
	if p.isDir(folderOf(dir, name)) {
		return []Package{{Name: name}}
	}
	return nil
}

func folderOf(dir, pkg string) string {
	return filepath.Join(dir, strings.ReplaceAll(pkg, ".", "/"))
}

// inspect adds the package if it holds an application.
func (p place) inspect(dir, name string, packages []Package) []Package {
	folder := folderOf(dir, name)
	found := Package{
		Name:      name,
		WSGI:      p.isFile(filepath.Join(folder, "wsgi.py")),
		CeleryApp: p.isFile(filepath.Join(folder, "celery_app.py")),
		Celery:    p.isFile(filepath.Join(folder, "celery.py")),
	}
	if found.WSGI || found.CeleryApp || found.Celery {
		return append(packages, found)
	}
	return packages
}

// applicationText is what the application says about celery where it is usually
// said.
func (p place) applicationText(dir string, packages []Package) string {
	var text strings.Builder
	for _, pkg := range packages {
		folder := folderOf(dir, pkg.Name)
		names := []string{"settings.py", "celery_app.py", "celery.py", "__init__.py"}
		parts, _ := os.ReadDir(p.at(filepath.Join(folder, "settings")))
		for _, part := range parts {
			if filepath.Ext(part.Name()) == ".py" {
				names = append(names, filepath.Join("settings", part.Name()))
			}
		}
		for _, name := range names {
			text.WriteString(p.read(filepath.Join(folder, name)))
		}
	}
	return text.String()
}

// namesBroker looks for the URL of a server. Where the file system is named too,
// it is what runs without further settings.
func namesBroker(text string) bool {
	if strings.Contains(text, "filesystem") {
		return false
	}
	return slices.ContainsFunc([]string{"amqp://", "amqps://", "redis://", "rediss://", "sqs://", "sentinel://"}, func(scheme string) bool {
		return strings.Contains(text, scheme)
	})
}

// temp is the folder for temporary files: TMPDIR is the user's word.
func (p place) temp(e env.Environment) string {
	first := "/tmp"
	if e.Has("TMPDIR") {
		first = e.Get("TMPDIR").Reveal()
	}
	for _, folder := range []string{first, "/dev/shm"} {
		if p.isDir(folder) && unix.Access(p.at(folder), unix.W_OK|unix.X_OK) == nil {
			return folder
		}
	}
	return ""
}

// home judges $HOME. One that cannot be written is kept where it holds what
// libraries read: credentials, packages of the user.
func (p place) home(e env.Environment) Home {
	home := e.Get("HOME").Reveal()
	if home == "" || !p.isDir(home) {
		return HomeMissing
	}
	if unix.Access(p.at(home), unix.W_OK|unix.X_OK) == nil {
		return HomeGood
	}
	for _, read := range []string{".aws", ".boto", ".config", ".local", ".netrc", ".pgpass", ".postgresql", ".ssh", ".my.cnf"} {
		if _, err := os.Lstat(p.at(filepath.Join(home, read))); err == nil {
			return HomeGood
		}
	}
	return HomeSealed
}
