package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// monotonic is the clock that stamp reads too.
func monotonic() int64 {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &t)
	return t.Nano()
}

// stamps reads what stamp says: a letter and a time.
type stamps struct{ lines *bufio.Scanner }

func (s stamps) next(letter byte) (int64, error) {
	for s.lines.Scan() {
		line := s.lines.Text()
		if line == "" || line[0] != letter {
			continue
		}
		return strconv.ParseInt(line[1:], 10, 64)
	}
	return 0, fmt.Errorf("the child ended before it said %c", letter)
}

// begin starts a command whose child is stamp.
func begin(argv []string, more ...string) (*exec.Cmd, stamps, error) {
	c := quiet(argv[0], argv[1:]...)
	c.Env = append(c.Env, more...)
	out, err := c.StdoutPipe()
	if err != nil {
		return nil, stamps{}, err
	}
	return c, stamps{bufio.NewScanner(out)}, c.Start()
}

func end(c *exec.Cmd, s stamps) {
	_ = c.Process.Signal(syscall.SIGTERM)
	for s.lines.Scan() {
	}
	_ = c.Wait()
}

// start measures from our exec to the child's first instruction.
func start(b *bench) error {
	stamp := b.peer("stamp")
	subjects := []struct {
		name string
		argv []string
	}{
		{"tini", []string{"tini", "--", stamp, "once"}},
		{"dumb-init", []string{"dumb-init", stamp, "once"}},
		{"catatonit", []string{"catatonit", "--", stamp, "once"}},
		{"a bare Go init", []string{b.peer("bareinit"), stamp, "once"}},
		{"`exec`", []string{b.entrypoint, stamp, "once"}},
		{"`run --restart never --`", []string{b.entrypoint, "run", "--restart", "never", "--", stamp, "once"}},
	}
	times := make([]series, len(subjects))
	for range b.rounds {
		for i, subject := range subjects {
			began := monotonic()
			c, s, err := begin(subject.argv)
			if err != nil {
				return err
			}
			at, err := s.next('s')
			if err != nil {
				return fmt.Errorf("%s: %w", subject.name, err)
			}
			times[i] = append(times[i], float64(at-began)/1e6)
			end(c, s)
		}
	}
	for i := 4; i < 6; i++ {
		b.row("start to the child's first instruction, "+subjects[i].name+", ms",
			fmt.Sprintf("%s; %s tini, %s a bare Go init", times[i], times[i].over(times[0]), times[i].over(times[3])), "5 x tini, 3 x a bare Go init")
	}
	for i := range 4 {
		b.row("the same, "+subjects[i].name+", ms", times[i].String(), "")
	}
	return nil
}

// rollup reads a line of /proc/PID/smaps_rollup, in KiB.
func rollup(pid int, key string) float64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, key+":"); ok {
			n, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return n
		}
	}
	return 0
}

// idle starts an init over stamps, lets it come to rest, and looks at it.
// more is added to its environment.
func idle(argv []string, children int, look func(pid int), more ...string) error {
	c, s, err := begin(argv, more...)
	if err != nil {
		return err
	}
	for range children {
		if _, err := s.next('r'); err != nil {
			return err
		}
	}
	settle := time.NewTimer(3 * time.Second) // readiness by time, the endpoints
	<-settle.C
	look(c.Process.Pid)
	end(c, s)
	return nil
}

// memory is taken several times: what a collection has left dirty varies.
func memory(b *bench) error {
	stamp := b.peer("stamp")
	const more, rounds = 100, 5
	subjects := []struct {
		argv     []string
		children int
	}{
		{[]string{b.entrypoint, "run", "--", stamp}, 1},
		{[]string{b.entrypoint, "run", "-w", strconv.Itoa(1 + more), "--", stamp}, 1 + more},
		{[]string{"tini", "--", stamp}, 1},
	}
	dirty, resident := make([]series, len(subjects)), make([]series, len(subjects))
	for range rounds {
		for i, subject := range subjects {
			if err := idle(subject.argv, subject.children, func(pid int) {
				dirty[i] = append(dirty[i], rollup(pid, "Private_Dirty"))
				resident[i] = append(resident[i], rollup(pid, "Rss"))
			}); err != nil {
				return err
			}
		}
	}
	b.row("idle with one child, private dirty / resident, KiB",
		fmt.Sprintf("%.0f / %.0f (tini %.0f / %.0f)", dirty[0].median(), resident[0].median(), dirty[2].median(), resident[2].median()), "2970 / 14336")
	b.row("each further child, private dirty, KiB", fmt.Sprintf("%.1f", (dirty[1].median()-dirty[0].median())/more), "15")
	return nil
}

// switches counts how often a process was woken.
func switches(pid int) int {
	sum := 0
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	for _, task := range tasks {
		text, _ := os.ReadFile(task)
		for line := range strings.Lines(string(text)) {
			if rest, ok := strings.CutPrefix(line, "voluntary_ctxt_switches:"); ok {
				n, _ := strconv.Atoi(strings.TrimSpace(rest))
				sum += n
			}
		}
	}
	return sum
}

func wakeups(b *bench) error {
	const watch = 60 * time.Second
	var count int
	err := idle([]string{b.entrypoint, "run", "--", b.peer("stamp")}, 1, func(pid int) {
		before := switches(pid)
		timer := time.NewTimer(watch)
		<-timer.C
		count = switches(pid) - before
	})
	b.row("wake-ups when idle, per second", fmt.Sprintf("%.2f", float64(count)/watch.Seconds()), "0.2")
	return err
}

func signalLatency(b *bench) error {
	stamp := b.peer("stamp")
	subjects := [][]string{{"tini", "--", stamp}, {b.entrypoint, stamp}, {b.entrypoint, "run", "--", stamp}}
	times := make([]series, len(subjects))
	for i, argv := range subjects {
		c, s, err := begin(argv)
		if err != nil {
			return err
		}
		if _, err := s.next('r'); err != nil {
			return err
		}
		for range 200 {
			began := monotonic()
			if err := c.Process.Signal(syscall.SIGUSR1); err != nil {
				return err
			}
			at, err := s.next('u')
			if err != nil {
				return err
			}
			times[i] = append(times[i], float64(at-began)/1e3)
		}
		end(c, s)
	}
	b.row("SIGUSR1 to the child's handler, `exec`, us", fmt.Sprintf("%s; %s tini (%s)", times[1], times[1].over(times[0]), times[0]), "3 x tini")
	b.row("the same, `run`, us", fmt.Sprintf("%s; %s tini", times[2], times[2].over(times[0])), "3 x tini")
	return nil
}

// orphans: a child that leaves 20,000 of them; measured in a pid namespace until
// the last is gone.
func orphans(b *bench) error {
	const script = `i=0; while [ $i -lt 2000 ]; do (true & true & true & true & true & true & true & true & true & true &) ; i=$((i+1)); done
		while :; do n=0; for s in /proc/[0-9]*/stat; do n=$((n+1)); done; [ $n -le 3 ] && exit 0; done`
	times := make([]series, 2)
	for range 3 {
		for i, argv := range [][]string{{"tini", "--", "sh", "-c", script}, {b.entrypoint, "sh", "-c", script}} {
			c := quiet("unshare", append([]string{"--pid", "--fork", "--mount-proc"}, argv...)...)
			began := time.Now()
			if out, err := c.CombinedOutput(); err != nil {
				return fmt.Errorf("%w: %s", err, out)
			}
			times[i] = append(times[i], time.Since(began).Seconds()*1e3)
		}
	}
	b.row("20,000 orphans, made and drained as PID 1, ms", fmt.Sprintf("%s; %s tini (%s)", times[1], times[1].over(times[0]), times[0]), "1.3 x tini, none left")
	return nil
}

// restart: from one crash to the next start, the first of each run.
func restart(b *bench) error {
	stamp := b.peer("stamp")
	times := make([]series, 2)
	for range b.rounds {
		for i, argv := range [][]string{
			{b.peer("bareinit"), "-loop", stamp, "crash"},
			{b.entrypoint, "run", "--backoff", "0s..1s", "--", stamp, "crash"},
		} {
			c, s, err := begin(argv)
			if err != nil {
				return err
			}
			first, err := s.next('s')
			if err != nil {
				return err
			}
			second, err := s.next('s')
			if err != nil {
				return err
			}
			times[i] = append(times[i], float64(second-first)/1e6)
			_ = c.Process.Signal(syscall.SIGTERM)
			_ = c.Process.Kill()
			_ = c.Wait()
		}
	}
	b.row("crash to the next start, ms", fmt.Sprintf("%s; %s a bare Go loop (%s)", times[1], times[1].over(times[0]), times[0]), "1.8 x a bare Go loop")
	return nil
}
