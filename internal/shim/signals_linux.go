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

// foreground makes our process group the terminal's. Out of the background that
// stops the caller with TTOU unless it is blocked (tcsetpgrp(3)). init runs on
// one thread, the one that will exec.
func foreground() {
	var before uint64
	ttou := uint64(1) << (uint(syscall.SIGTTOU) - 1)
	const block, setmask = 0, 2
	_, _, _ = syscall.RawSyscall6(syscall.SYS_RT_SIGPROCMASK, block, uintptr(unsafe.Pointer(&ttou)), uintptr(unsafe.Pointer(&before)), unsafe.Sizeof(ttou), 0, 0)
	group := int32(syscall.Getpgrp())
	_, _, _ = syscall.RawSyscall(syscall.SYS_IOCTL, 0, syscall.TIOCSPGRP, uintptr(unsafe.Pointer(&group)))
	_, _, _ = syscall.RawSyscall6(syscall.SYS_RT_SIGPROCMASK, setmask, uintptr(unsafe.Pointer(&before)), 0, unsafe.Sizeof(before), 0, 0)
}
