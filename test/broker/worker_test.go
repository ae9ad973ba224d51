package broker

import (
	"strings"
	"syscall"
	"testing"

	"github.com/codeontap/entrypoint/test/internal/stage"
)

// A task that is longer than the grace goes back to the queue at once, by TERM
// and QUIT inside the grace, and another worker does it. Two copies have names
// of their own.
func TestATaskLongerThanTheGrace(t *testing.T) {
	for name, start := range map[string]func(*testing.T) *server{"Redis": redis, "RabbitMQ": rabbitMQ} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			c := newComponent(t, s.url)
			first := c.workers("--grace", "15s") // TERM for ten seconds, then QUIT
			for _, worker := range []string{"w0@", "w1@"} {
				if n := strings.Count(first.Stderr.String()+first.Stdout.String(), worker) + len(first.Find(worker)); n == 0 {
					t.Errorf("no worker is called %s\n%s", worker, first)
				}
			}
			c.send("slow.delay(18, 'long')")
			first.Says("tasks.slow[", 1)
			first.Signal(syscall.SIGTERM)
			// On a busy machine celery may be killed after it has given the task back.
			first.WantExit(0, 137)
			if n := first.Count("succeeded"); n > 0 {
				t.Fatalf("the task was done before the stop: it proves nothing\n%s", first)
			}
			if name == "Redis" {
				if waiting, taken := s.length("LLEN", "celery"), s.length("HLEN", "unacked"); waiting != "1" || taken != "0" {
					t.Errorf("%s tasks wait and %s are taken, not 1 and 0\n%s", waiting, taken, first)
				}
			}
			second := c.workers()
			second.Says("tasks.slow[", 1)
			second.Says("succeeded", 1)
			if rows := c.greetings("long"); rows != "1" {
				t.Errorf("the task was done %s times, not once", rows)
			}
			second.Signal(syscall.SIGTERM)
			second.WantExit(0)
		})
	}
}

// Without QUIT the task is nobody's until Redis' patience of an hour is over.
func TestControlAKilledWorkerKeepsItsTask(t *testing.T) {
	t.Parallel()
	s := redis(t)
	c := newComponent(t, s.url)
	w := c.workers("--grace", "2s", "--stop", "TERM 2s, KILL")
	c.send("slow.delay(60, 'long')")
	w.Says("tasks.slow[", 1)
	w.Signal(syscall.SIGTERM)
	w.WantExit(137)
	if waiting, taken := s.length("LLEN", "celery"), s.length("HLEN", "unacked"); waiting != "0" || taken != "1" {
		t.Errorf("%s tasks wait and %s are taken, not 0 and 1\n%s", waiting, taken, w)
	}
}

// A task that is shorter than the grace is finished.
func TestAShortTaskIsFinished(t *testing.T) {
	t.Parallel()
	s := redis(t)
	c := newComponent(t, s.url)
	w := c.workers("--grace", "60s")
	c.send("slow.delay(2, 'short')")
	w.Says("tasks.slow[", 1)
	w.Signal(syscall.SIGTERM)
	w.WantExit(0)
	if rows := c.greetings("short"); rows != "1" {
		t.Errorf("the task was done %s times, not once\n%s", rows, w)
	}
}

// BEAT is exactly one, whatever the number that containers share says; what it
// sends is done by a worker. A pid file of an earlier life, whose number belongs
// to another process here, is removed once.
func TestBeatIsExactlyOne(t *testing.T) {
	t.Parallel()
	s := redis(t)
	c := newComponent(t, s.url)
	c.write("container-beat.sh", "#!/bin/sh\nexec python3 -m celery --app app_dir.celery_app beat --loglevel INFO --pidfile celerybeat.pid\n")
	c.write("celerybeat.pid", "1\n") // PID 1 lives in every container
	c.env = append(c.env, "APP_WORKER_COUNT=3")
	beat := c.start("BEAT", "--backoff", "10ms..100ms")
	beat.Says("removed a stale file", 1)
	beat.Says("beat is ready", 1)
	one := func(b *stage.Running) {
		t.Helper()
		if all := b.Find("celery"); len(all) != 1 {
			t.Errorf("%d beats, not one\n%s", len(all), b)
		}
	}
	one(beat)
	if n := beat.Count("removed a stale file"); n != 1 {
		t.Errorf("the file was removed %d times\n%s", n, beat)
	}
	if n := beat.Count("APP_WORKER_COUNT is ignored"); n != 1 {
		t.Errorf("it does not say that APP_WORKER_COUNT is ignored\n%s", beat)
	}
	worker := c.start("WORKER")
	worker.Says("record_beat[", 1)
	worker.Says("succeeded", 1)
	one(beat)
	beat.Signal(syscall.SIGTERM)
	beat.WantExit(0)
	worker.Signal(syscall.SIGTERM)
	worker.WantExit(0)

	// On the command line a number is a mistake.
	wrong := c.start("BEAT", "-w", "2")
	wrong.WantExit(64)
}
