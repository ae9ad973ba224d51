package env

import (
	"errors"
	"fmt"
	"strings"
)

// maxEntry is how long NAME=value may be: execve(2) refuses strings over
// MAX_ARG_STRLEN, 32 pages of 4096 bytes with the final NUL, and fails with
// E2BIG without saying which one it was.
const maxEntry = 32*4096 - 1

// Fit reports why the variable cannot be passed to a program: a NUL would cut
// it short, and execve(2) takes no more than 131071 bytes of NAME=value. The
// error names the variable and is nil if it fits.
func (v Variable) Fit() error {
	value := v.Value.Reveal()
	switch {
	case strings.ContainsRune(v.Name, 0):
		return fmt.Errorf("cannot pass the variable %q to a program: its name holds a NUL byte", v.Name)
	case strings.ContainsRune(value, 0):
		return fmt.Errorf("cannot pass %s to a program: its value holds a NUL byte", v.Name)
	case len(v.Name)+1+len(value) > maxEntry:
		return fmt.Errorf("cannot pass %s to a program: with its name it is %d bytes long, and the kernel takes %d; pass it as a file",
			v.Name, len(v.Name)+1+len(value), maxEntry)
	}
	return nil
}

// Fit is every variable's Fit, joined. Nothing may be forked before it is nil:
// execve would fail without naming the variable.
func (e Environment) Fit() error {
	var errs []error
	for _, v := range e.variables {
		errs = append(errs, v.Fit())
	}
	return errors.Join(errs...)
}
