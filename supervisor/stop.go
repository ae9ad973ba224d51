package supervisor

import (
	"syscall"
	"time"
)

// lastKill bounds the wait after KILL: a process in an uninterruptible sleep
// does not die of it, and the container must end all the same.
const lastKill = time.Second

// survivorsEvery is how often the log names who is still there during a stop.
const survivorsEvery = 2 * time.Second

// end runs the stop stages until the group is empty. Every signal goes to the
// main process alone (a TERM to celery's whole group kills its running tasks);
// where the main process has ended and others live on, the oldest of them is the
// main one. KILL goes to the group. Where the stages do not end in KILL, it waits
// for as long as the group lives, or for the third request.
func (c *Copy) end(life Life) Exit {
	e := ending{Copy: c, life: life, ended: life.Ended()}
	survivors := time.NewTicker(survivorsEvery)
	defer survivors.Stop()
	e.survivors = survivors.C
	for i, stage := range c.spec.Stop {
		if stage.Signal == syscall.SIGKILL {
			return e.kill()
		}
		c.pass(life, stage.Signal)
		if i == 0 {
			c.pass(life, syscall.SIGCONT) // a stopped process never sees TERM
			if path := life.Private(); path != "" {
				defer nudge(path)()
			}
		}
		timer := time.NewTimer(stage.Wait)
		over := e.wait(stage.Signal, timer.C)
		timer.Stop()
		if over {
			return e.exit()
		}
	}
	e.wait(0, nil)
	return e.exit()
}

// ending is a stop under way.
type ending struct {
	*Copy
	life      Life
	survivors <-chan time.Time
	ended     <-chan struct{} // nil once there is no main process
	known     bool            // how the main process ended
	last      Exit
}

// wait reports true when the group is empty or was killed, false when the stage's
// time is over.
func (e *ending) wait(stage syscall.Signal, deadline <-chan time.Time) (over bool) {
	for {
		select {
		case <-e.life.Empty():
			return true
		case <-e.ended:
			e.note()
			e.ended = nil
			if e.life.Adopt() {
				e.ended = e.life.Ended()
				if stage != 0 {
					e.pass(e.life, stage)
					e.pass(e.life, syscall.SIGCONT)
				}
			}
		case <-deadline:
			return false
		case <-e.Copy.kill:
			e.kill()
			return true
		case s := <-e.signals:
			e.pass(e.life, s)
		case <-e.survivors:
			e.log.Info(e.name + " is stopping, still there: " + named(e.life.Survivors()))
		}
	}
}

// note keeps how the copy's own main process ended; those that were adopted
// during the stop are not what was asked about.
func (e *ending) note() {
	if !e.known {
		e.last, e.known = exitOf(e.life.Status()), true
	}
}

// kill kills the group.
func (e *ending) kill() Exit {
	select {
	case <-e.life.Empty():
		return e.exit()
	default:
	}
	e.log.Warn(e.name + " has to be killed: " + named(e.life.Survivors()))
	timer := time.NewTimer(lastKill)
	defer timer.Stop()
	if e.life.Kill() {
		e.forced = true
		e.killed = e.asked() // a clean-up between two lives is not the stop's doing
	}
	select {
	case <-e.life.Empty():
	case <-timer.C:
		e.log.Error(e.name + " does not die of KILL: " + named(e.life.Survivors()))
	}
	return e.exit()
}

// exit is how it ended, as far as is known: what survives KILL has not ended.
func (e *ending) exit() Exit {
	select {
	case <-e.ended:
		e.note()
	default:
	}
	exit := e.last
	if !e.known {
		exit = Exit{Code: 128 + int(syscall.SIGKILL), Signal: syscall.SIGKILL}
	}
	exit.Reason = ByStop
	if e.forced {
		exit.Reason = ByKill
	}
	return exit
}
