package reap

import (
	"context"
	"os"
	"syscall"
)

// Run starts a short program and waits for it. When ctx ends, and when the
// program has ended, its whole group is killed: a health check must leave
// nothing behind. The error is ctx's, or the kernel's refusal to start it.
func (r *Reaper) Run(ctx context.Context, p Program) (syscall.WaitStatus, error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	if p.Files == nil {
		p.Files = []uintptr{null.Fd(), null.Fd(), null.Fd()}
	}
	process, err := r.Start(p)
	if err != nil {
		return 0, Explain(p.Path, err)
	}
	defer r.Kill(process.Group())
	select {
	case <-process.Done():
		return process.Status(), nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}
