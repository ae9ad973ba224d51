package supervisor

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/codeontap/entrypoint/internal/command"
)

// exec runs Exec, with signals that the test sends.
func (k *kernel) exec(spec command.Spec, rewrite command.SignalMap) (signals chan os.Signal, over chan Outcome) {
	signals, over = make(chan os.Signal, 16), make(chan Outcome, 1)
	go func() {
		o, _ := Exec(k.start, spec, signals, rewrite, k.config.Log)
		over <- o
	}()
	return signals, over
}

func (k *kernel) execNow(spec command.Spec) Outcome {
	_, over := k.exec(spec, nil)
	return <-over
}

func TestExecPassesEveryCodeThrough(t *testing.T) {
	k := newKernel(t)
	for code := range 256 {
		if o := k.execNow(k.shell(fmt.Sprintf("exit %d", code))); o.Code != code {
			t.Errorf("exit %d: %+v", code, o)
		}
	}
	for sig := syscall.Signal(1); sig <= 64; sig++ {
		switch sig {
		case syscall.SIGCHLD, syscall.SIGCONT, syscall.SIGSTOP, syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU, syscall.SIGURG, syscall.SIGWINCH:
			continue // nobody dies of these
		case 32, 33:
			continue // the C library's own; its kill sends them, its shell may not
		}
		if o := k.execNow(k.shell(fmt.Sprintf("ulimit -c 0; kill -%d $$", sig))); o.Code != 128+int(sig) {
			t.Errorf("signal %d: %+v", sig, o)
		}
	}
}

func TestExecStartsNothingThatIsNotThere(t *testing.T) {
	k := newKernel(t)
	spec := k.shell("")
	for name, code := range map[string]int{"no-such-program": 127, "/": 126, "/etc/passwd": 126} {
		spec.Argv = []string{name}
		o, err := Exec(k.start, spec, make(chan os.Signal), nil, k.config.Log)
		if err == nil || o.Code != code || !strings.HasPrefix(err.Error(), "cannot run "+name) {
			t.Errorf("%s: %+v, %v", name, o, err)
		}
	}
}

// Every signal goes to the command as it came: TERM too, with no stop of ours.
func TestExecPassesSignalsOn(t *testing.T) {
	k := newKernel(t)
	spec := k.shell(`for s in TERM INT QUIT HUP USR1 TTIN; do trap "echo $s > $FIFO" $s; done; trap 'exit 9' WINCH; echo ready > $FIFO; while :; do sleep 1000 & wait $!; kill $!; done`)
	signals, over := k.exec(spec, command.SignalMap{syscall.SIGUSR2: {To: syscall.SIGUSR1}, syscall.SIGALRM: {}, syscall.SIGVTALRM: {Restart: true}})
	k.hear()
	for _, name := range []string{"TERM", "INT", "QUIT", "HUP", "TERM", "TERM", "TTIN"} {
		sig, _ := command.ParseSignal(name)
		signals <- sig
		if got := k.hear(); got != name {
			t.Errorf("%s arrives as %s", name, got)
		}
	}
	signals <- syscall.SIGALRM   // dropped; it would kill
	signals <- syscall.SIGVTALRM // nothing to restart
	signals <- syscall.SIGUSR2   // rewritten
	if got := k.hear(); got != "USR1" {
		t.Errorf("USR2:USR1 arrives as %s", got)
	}
	signals <- syscall.SIGWINCH
	if o := <-over; o.Code != 9 {
		t.Errorf("%+v", o)
	}
}

func TestExecBeforeTheFork(t *testing.T) {
	for name, rewrite := range map[string]command.SignalMap{
		"TERM": nil, "INT": nil, "QUIT": nil, "HUP": {syscall.SIGHUP: {To: syscall.SIGTERM}},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKernel(t)
			signals := make(chan os.Signal, 1)
			sig, _ := command.ParseSignal(name)
			signals <- sig
			o, err := Exec(k.start, k.shell(serve), signals, rewrite, k.config.Log)
			if err != nil || o.Code != CodeStoppedEarly || len(k.told) > 0 {
				t.Errorf("%+v, %v", o, err)
			}
		})
	}
	t.Run("others are kept for the command", func(t *testing.T) {
		k := newKernel(t)
		spec := k.shell("")
		spec.Argv = []string{"sleep", "1000"}
		signals := make(chan os.Signal, 2)
		signals <- syscall.SIGTERM // dropped
		signals <- syscall.SIGUSR1
		o, err := Exec(k.start, spec, signals, command.SignalMap{syscall.SIGTERM: {}}, k.config.Log)
		if err != nil || o.Code != 138 {
			t.Errorf("%+v, %v", o, err)
		}
	})
}

// What the command leaves behind is ended within the grace period; its code is
// still the answer.
func TestExecEndsWhatIsLeft(t *testing.T) {
	k := newKernel(t)
	spec := k.shell(`sleep 1000 & echo $! > $FIFO; exit 5`)
	spec.Grace = patience
	o := k.execNow(spec)
	if o.Code != 5 || o.Killed {
		t.Errorf("%+v", o)
	}
	k.gone(k.hearPID())

	spec.Argv[2] = `(trap '' TERM; echo $(exec sh -c 'echo $PPID') > $FIFO; sleep 1000; sleep 1000) & read x < go; exit 5`
	if err := syscall.Mkfifo(k.dir+"/go", 0o600); err != nil {
		t.Fatal(err)
	}
	spec.Grace = 100 * time.Millisecond
	_, over := k.exec(spec, nil)
	stubborn := k.hearPID()
	if err := os.WriteFile(k.dir+"/go", []byte("\n"), 0); err != nil {
		t.Fatal(err)
	}
	if o := <-over; o.Code != 5 || !o.Killed {
		t.Errorf("%+v", o)
	}
	k.gone(stubborn)
}
