package shim

import (
	"syscall"
	"unsafe"
)

// sigaction is the kernel's struct of rt_sigaction(2) on amd64 and arm64; with
// SIG_IGN no handler is ever called, so the restorer may stay empty.
type sigaction struct {
	handler  uintptr
	flags    uint64
	restorer uintptr
	mask     uint64
}

const sigIgn = 1

// ignore lets a signal be ignored across the exec that follows.
func ignore(s syscall.Signal) {
	action := sigaction{handler: sigIgn}
	_, _, _ = syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(s), uintptr(unsafe.Pointer(&action)), 0, unsafe.Sizeof(action.mask), 0, 0)
}
