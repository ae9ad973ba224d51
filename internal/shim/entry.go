package shim

// Entry is the binary's entry point where it is linked with
//
//	-ldflags "-E github.com/codeontap/entrypoint/internal/shim.Entry"
//
// as devops/build.sh does. It looks for an order in the first entry of the
// environment, carries it out by plain system calls and becomes the program;
// without one, and where the kernel refuses, it goes on to the entry point of
// internal/early, which goes on to Go's own. No Go code runs here: there is no
// runtime yet, only the stack as execve(2) leaves it.
//
// It is not to be called.
func Entry()
