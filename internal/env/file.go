package env

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// ReadFiles sets every X of names whose X_FILE is set to that file's content
// less one line end at the end, as Docker's and Kubernetes' secrets are
// mounted. No X_FILE is left in what it returns. All that is wrong is in the
// error, joined: the caller ends with it, and the environment is then the one
// that was given. Paths are not in it: a secret put into X_FILE by mistake
// would be.
func ReadFiles(e Environment, names []string) (Environment, error) {
	var read []Variable
	var errs []error
	remove := map[string]bool{}
	for _, name := range names {
		file := name + "_FILE"
		path, ok := e.Lookup(file)
		if !ok {
			continue
		}
		remove[file] = true
		if path.Value.IsEmpty() {
			continue
		}
		if e.Has(name) {
			errs = append(errs, fmt.Errorf("cannot choose between %s and %s: both are set; unset one of them", name, file))
			continue
		}
		value, err := readValue(name, path.Value.Reveal())
		if err != nil {
			errs = append(errs, fmt.Errorf("cannot read the file that %s names: %w", file, err))
			continue
		}
		read = append(read, Variable{Name: name, Value: NewSecret(value), Source: FromFile})
	}
	if len(errs) > 0 {
		return e, errors.Join(errs...)
	}
	if len(remove) == 0 {
		return e, nil
	}
	return e.Without(func(name string) bool { return remove[name] }).With(read...), nil
}

// readValue reads the value of name from a file.
func readValue(name, path string) (string, error) {
	limit := maxEntry - len(name) - len("=")
	content, _, err := readPlain(path, int64(limit+len("\r\n")))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("there is none; mount it, or unset the variable")
	case errors.Is(err, fs.ErrPermission):
		return "", fmt.Errorf("user %d may not read it; change its owner or mode", os.Geteuid())
	case errors.Is(err, errFolder), errors.Is(err, errNotPlain):
		return "", fmt.Errorf("%w; a plain file is wanted", err)
	case err == nil && bytes.IndexByte(content, 0) >= 0:
		return "", fmt.Errorf("it holds a NUL byte, which no variable can; store it encoded")
	case err != nil && !errors.Is(err, errTooBig):
		return "", err
	}
	value := cutLineEnd(content)
	if err != nil || len(value) > limit {
		return "", fmt.Errorf("it is longer than the %d bytes that a variable of this name can be", limit)
	}
	return string(value), nil
}

// cutLineEnd cuts one line end, which editors and echo put there.
func cutLineEnd(content []byte) []byte {
	if line, ok := bytes.CutSuffix(content, []byte("\n")); ok {
		line, _ = bytes.CutSuffix(line, []byte("\r"))
		return line
	}
	return content
}
