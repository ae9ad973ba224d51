package early

import "syscall"

// Entry runs before Go's own entry point where the binary is linked as
// devops/build.sh does it (internal/shim, Entry). Go's runtime puts its own
// handler in the place of every disposition before any Go code runs, so that what
// was ignored when we started can only be seen before the runtime: the application
// has to start with it ignored (signal(7), exec leaves it so). Linked without it
// only HUP and INT are known, which the runtime respects.
//
// It is not to be called.
func Entry()

// inherited has bit n-1 set where signal n was ignored at entry.
var inherited uint64

func ignoredAtEntry(s syscall.Signal) bool { return inherited&(1<<(uint(s)-1)) != 0 }
