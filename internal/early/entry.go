package early

import "syscall"

// Entry is the binary's entry point where it is linked with
//
//	-ldflags "-E github.com/codeontap/entrypoint/internal/early.Entry"
//
// as the Makefile and the Dockerfile do. Go's runtime puts its own handler in the
// place of every disposition before any Go code runs, so that what was ignored
// when we started can only be seen before the runtime: the application has to
// start with it ignored (signal(7), exec leaves it so). Without the flag only HUP
// and INT are known, which the runtime respects.
//
// It is not to be called.
func Entry()

// inherited has bit n-1 set where signal n was ignored at entry.
var inherited uint64

func ignoredAtEntry(s syscall.Signal) bool { return inherited&(1<<(uint(s)-1)) != 0 }
