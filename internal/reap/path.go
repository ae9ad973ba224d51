package reap

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// The shell's codes for a command that did not start (POSIX, 2.8.2).
const (
	CodeNotExecutable = 126
	CodeNotFound      = 127
)

// NotStarted says why a program did not start. Code is what a shell would exit
// with; Temporary is set where a later try may work (no memory, no pids).
type NotStarted struct {
	Program   string
	Problem   string
	Code      int
	Temporary bool
}

func (e *NotStarted) Error() string { return fmt.Sprintf("cannot run %s: %s", e.Program, e.Problem) }

// LookPath resolves a program's name as execvp(3) does, against a PATH that is
// the application's and not ours. A name with a slash is relative to dir.
func LookPath(name, path, dir string) (string, error) {
	if name == "" {
		return "", &NotStarted{`""`, "the command is empty", CodeNotFound, false}
	}
	if strings.Contains(name, "/") {
		full := name
		if !filepath.IsAbs(name) {
			full = filepath.Join(dir, name)
		}
		if problem := executable(full); problem != nil {
			return "", problem.named(name)
		}
		return full, nil
	}
	var denied *NotStarted
	for _, folder := range filepath.SplitList(path) {
		if folder == "" {
			folder = "."
		}
		if !filepath.IsAbs(folder) {
			folder = filepath.Join(dir, folder)
		}
		full := filepath.Join(folder, name)
		problem := executable(full)
		if problem == nil {
			return full, nil
		}
		if problem.Code == CodeNotExecutable {
			denied = problem
		}
	}
	if denied != nil {
		return "", denied
	}
	return "", &NotStarted{name, "not found in PATH", CodeNotFound, false}
}

func (e *NotStarted) named(name string) *NotStarted {
	e.Program = name
	return e
}

// executable says what keeps path from being executed. os.Stat would allocate
// for each folder of a PATH and each copy.
func executable(path string) *NotStarted {
	var info unix.Stat_t
	err := unix.Stat(path, &info)
	switch {
	case errors.Is(err, syscall.EACCES):
		return &NotStarted{path, "permission denied", CodeNotExecutable, false}
	case err != nil:
		return &NotStarted{path, "no such file", CodeNotFound, false}
	case info.Mode&unix.S_IFMT == unix.S_IFDIR:
		return &NotStarted{path, "it is a directory", CodeNotExecutable, false}
	case unix.Access(path, unix.X_OK) != nil:
		return &NotStarted{path, "it is not executable (chmod +x)", CodeNotExecutable, false}
	}
	return nil
}

// Explain turns the kernel's refusal to run path into words.
func Explain(path string, err error) *NotStarted {
	e := &NotStarted{Program: path, Problem: err.Error(), Code: CodeNotExecutable}
	switch {
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ENOEXEC):
		explainScript(e, path)
	case errors.Is(err, syscall.E2BIG):
		e.Problem = "its arguments and environment are too long together"
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.ENOMEM), errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		e.Problem = "the kernel refuses another process: " + err.Error()
		e.Temporary = true
	}
	return e
}

// Interpreter looks for a script's interpreter, as execve(2) will: where a shim
// stands between us and the program, the kernel's refusal is heard too late. It
// returns nil for everything that is no script.
func Interpreter(path string) error {
	rest, script := strings.CutPrefix(firstLine(path), "#!")
	if !script {
		return nil
	}
	if unix.Access(interpreter(rest), unix.F_OK) == nil {
		return nil
	}
	return Explain(path, syscall.ENOENT)
}

// explainScript tells a missing interpreter from its usual cause.
func explainScript(e *NotStarted, path string) {
	line := firstLine(path)
	rest, script := strings.CutPrefix(line, "#!")
	switch {
	case strings.HasSuffix(line, "\r"):
		e.Problem = "the script has Windows line ends (CRLF); save it with LF"
	case script:
		e.Problem = fmt.Sprintf("its interpreter %q is missing", interpreter(rest))
	case errors.Is(unix.Access(path, unix.F_OK), syscall.ENOENT):
		e.Problem, e.Code = "no such file", CodeNotFound
	default:
		e.Problem = "it is neither a program for this machine nor a script with #!"
	}
}

// interpreter is the first word after "#!"; what follows are its arguments.
func interpreter(rest string) string {
	name, _, _ := strings.Cut(strings.Trim(rest, " \t"), " ")
	return name
}

func firstLine(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	head := make([]byte, 256)
	n, _ := io.ReadFull(f, head)
	line, _, _ := strings.Cut(string(head[:n]), "\n")
	return line
}
