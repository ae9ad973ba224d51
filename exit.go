package main

import (
	"errors"
	"fmt"
	"syscall"
)

// The exit codes that are ours; sysexits(3) where it has one. The
// application's own codes pass through beside them.
const (
	codeOK            = 0
	codeUsage         = 64  // a flag or word
	codeDependency    = 69  // an address that cannot be bound, a server that did not come
	codeBug           = 70  // ours
	codeTemporary     = 75  // KMS could not be asked
	codeConfiguration = 78  // a variable, a file, the contract
	codeTimeout       = 124 // a task took too long
	codeNotExecutable = 126
	codeNotFound      = 127
	codeKilled        = 137 // stopped as asked, but something had to be killed
	codeStopped       = 143 // stopped before anything ran
)

// exitError is an error that knows its exit code. Its text may have several
// lines, one for each problem.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// fail makes an error with a code.
func fail(code int, format string, args ...any) error {
	return &exitError{code, fmt.Errorf(format, args...)}
}

// silent is an exit code without a message: the application has spoken.
type silent int

func (s silent) Error() string { return fmt.Sprintf("exit code %d", int(s)) }

// codeOf is the exit code of what a verb has returned.
func codeOf(err error) int {
	var code silent
	var known *exitError
	switch {
	case err == nil:
		return codeOK
	case errors.As(err, &code):
		return int(code)
	case errors.As(err, &known):
		return known.code
	case errors.Is(err, syscall.EPIPE): // who read our output has gone
		return codeTemporary
	}
	return codeBug
}
