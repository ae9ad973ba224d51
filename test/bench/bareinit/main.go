// Bareinit is the least that an init in Go can be: catch, fork, forward, reap.
// With -loop it starts its child again at once. What entrypoint costs over it
// is entrypoint's, what it costs over tini is Go's.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	signals := make(chan os.Signal, 64)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGUSR1, syscall.SIGCHLD)
	args, loop := os.Args[1:], false
	if args[0] == "-loop" {
		args, loop = args[1:], true
	}
	attr := &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{0, 1, 2}, Sys: &syscall.SysProcAttr{Setpgid: true}}
	pid, err := syscall.ForkExec(args[0], args, attr)
	for err == nil {
		s := <-signals
		if s != syscall.SIGCHLD {
			_ = syscall.Kill(pid, s.(syscall.Signal))
			continue
		}
		for {
			var status syscall.WaitStatus
			dead, e := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
			if e != nil || dead <= 0 {
				break
			}
			if dead != pid {
				continue
			}
			if !loop {
				os.Exit(status.ExitStatus())
			}
			pid, err = syscall.ForkExec(args[0], args, attr)
		}
	}
	os.Exit(127)
}
