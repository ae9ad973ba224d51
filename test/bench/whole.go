package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// until asks until it is so, for at most a minute.
func until(so func() bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.New("it did not come to be within a minute")
		}
	}
	return nil
}

// children counts the sleeps below a process, at any depth.
func sleeps() int {
	n := 0
	names, _ := filepath.Glob("/proc/[0-9]*/comm")
	for _, name := range names {
		if text, _ := os.ReadFile(name); string(text) == "sleep\n" {
			n++
		}
	}
	return n
}

// copies starts and stops 1000 sleeps, ours and s6's.
func copies(b *bench) error {
	const n = 1000
	base := sleeps()
	run := func(c *exec.Cmd) (up, down float64, err error) {
		began := time.Now()
		if err := c.Start(); err != nil {
			return 0, 0, err
		}
		if err := until(func() bool { return sleeps() >= base+n }); err != nil {
			return 0, 0, err
		}
		up = time.Since(began).Seconds() * 1e3
		began = time.Now()
		_ = c.Process.Signal(syscall.SIGTERM)
		_ = c.Wait()
		err = until(func() bool { return sleeps() <= base })
		return up, time.Since(began).Seconds() * 1e3, err
	}
	var ours, theirs [2]series
	for range 3 {
		up, down, err := run(quiet(b.entrypoint, "run", "-w", strconv.Itoa(n), "--", "sleep", "1000"))
		if err != nil {
			return err
		}
		ours[0], ours[1] = append(ours[0], up), append(ours[1], down)
		scan, err := os.MkdirTemp(b.dir, "s6-")
		if err != nil {
			return err
		}
		for i := range n {
			folder := filepath.Join(scan, fmt.Sprint("sleep", i))
			if err := os.Mkdir(folder, 0o755); err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(folder, "run"), []byte("#!/bin/sh\nexec sleep 1000\n"), 0o755); err != nil {
				return err
			}
		}
		if up, down, err = run(quiet("s6-svscan", "-c", "2000", scan)); err != nil {
			return fmt.Errorf("s6: %w", err)
		}
		theirs[0], theirs[1] = append(theirs[0], up), append(theirs[1], down)
	}
	b.row("1000 copies of sleep, all started, ms", fmt.Sprintf("%s; %s s6 (%s)", ours[0], ours[0].over(theirs[0]), theirs[0]), "0.5 x s6")
	b.row("the same, all stopped after TERM, ms", fmt.Sprintf("%s; %s s6 (%s)", ours[1], ours[1].over(theirs[1]), theirs[1]), "0.25 x s6")
	return nil
}

// demo starts the KMS of the demonstration. Plain is the environment that names
// it, encrypted the same with ten ciphertexts.
func demo(b *bench) (plain, encrypted []string, stop func(), err error) {
	server := exec.Command(b.peer("kms-demo"), "-service", "5ms")
	out, err := server.StdoutPipe()
	if err != nil {
		return nil, nil, nil, err
	}
	if err := server.Start(); err != nil {
		return nil, nil, nil, err
	}
	stop = func() { _ = server.Process.Kill(); _ = server.Wait() }
	if plain, err = demoSettings(out); err != nil {
		stop()
		return nil, nil, nil, err
	}
	encrypted = slices.Clone(plain)
	for i := range 10 {
		name := fmt.Sprint("SECRET_", i)
		c := exec.Command(b.entrypoint, "encrypt", "--key-id", "alias/demo", name)
		c.Env = append(withoutAWS(os.Environ()), plain...)
		c.Stdin = strings.NewReader("value " + name)
		text, err := c.Output()
		if err != nil {
			stop()
			return nil, nil, nil, fmt.Errorf("encrypt: %w", err)
		}
		encrypted = append(encrypted, strings.TrimSpace(string(text)))
	}
	return plain, encrypted, stop, nil
}

// kmsBatch compares a start with ten ciphertexts to one with none, and what is
// left of it in memory.
func kmsBatch(b *bench) error {
	plain, encrypted, stop, err := demo(b)
	if err != nil {
		return err
	}
	defer stop()
	var none, ten series
	for range b.rounds {
		for i, more := range [][]string{plain, encrypted} {
			began := monotonic()
			c := quiet(b.entrypoint, b.peer("stamp"), "once")
			c.Env = append(withoutAWS(c.Env), more...)
			text, err := c.Output()
			if err != nil {
				return err
			}
			at, _ := strconv.ParseInt(strings.TrimSpace(string(text))[1:], 10, 64)
			if i == 0 {
				none = append(none, float64(at-began)/1e6)
			} else {
				ten = append(ten, float64(at-began)/1e6)
			}
		}
	}
	b.row("10 ciphertexts, 5 ms service time: start over start without, ms", fmt.Sprintf("%.1f (%s against %s)", ten.median()-none.median(), ten, none), "16")

	var before, after series
	for range 5 {
		for i, more := range [][]string{plain, encrypted} {
			if err := idle([]string{b.entrypoint, "run", "--", b.peer("stamp")}, 1, func(pid int) {
				if i == 0 {
					before = append(before, rollup(pid, "Private_Dirty"))
				} else {
					after = append(after, rollup(pid, "Private_Dirty"))
				}
			}, more...); err != nil {
				return err
			}
		}
	}
	b.row("private dirty memory with ten values decrypted over none, KiB", fmt.Sprintf("%.0f (%s against %s)", after.median()-before.median(), after, before), "200")
	return nil
}

// withoutAWS drops what the machine's user has set for the SDK: with a bundle of
// certificates or a profile to read, the SDK's whole chain is measured.
func withoutAWS(environ []string) []string {
	return slices.DeleteFunc(environ, func(entry string) bool { return strings.HasPrefix(entry, "AWS_") })
}

// demoSettings reads the NAME=value lines that the demonstration server prints.
func demoSettings(out io.Reader) ([]string, error) {
	var settings []string
	buffer := make([]byte, 4096)
	text := ""
	for !strings.Contains(text, "AWS_SECRET_ACCESS_KEY=") || !strings.HasSuffix(text, "\n") {
		n, err := out.Read(buffer)
		if err != nil {
			return nil, err
		}
		text += string(buffer[:n])
	}
	for line := range strings.Lines(text) {
		line = strings.TrimPrefix(strings.TrimSpace(line), "export ")
		if name, _, ok := strings.Cut(line, "="); ok && !strings.ContainsAny(name, " #") {
			settings = append(settings, line)
		}
	}
	return settings, nil
}

// noCredentials starts with ten ciphertexts, no credentials and no route.
func noCredentials(b *bench) error {
	var times series
	for range 5 {
		c := quiet("unshare", "--net", b.entrypoint, b.peer("stamp"), "once")
		c.Env = append(withoutAWS(c.Env), "AWS_REGION=eu-west-1", "HOME=/nonexistent")
		for i := range 10 {
			// A marked value is asked about, whatever is behind the marker.
			c.Env = append(c.Env, fmt.Sprintf("SECRET_%d=kms+base64:%s", i, strings.Repeat("QUJD", 50+i)))
		}
		began := time.Now()
		if out, err := c.CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		times = append(times, time.Since(began).Seconds())
	}
	b.row("10 ciphertexts, no credentials and no route, `keep`: until the application starts, s", times.String(), "2.1")
	return nil
}

// healthVerb measures the verb, and /readyz over TCP, with 200 copies.
func healthVerb(b *bench) error {
	address := freeAddress()
	c := quiet(b.entrypoint, "run", "-w", "200", "--admin", address, "--", "sleep", "1000")
	if err := c.Start(); err != nil {
		return err
	}
	defer func() { _ = c.Process.Signal(syscall.SIGTERM); _ = c.Wait() }()
	ready := func() bool {
		r, err := http.Get("http://" + address + "/readyz")
		if err != nil {
			return false
		}
		defer r.Body.Close()
		_, _ = io.Copy(io.Discard, r.Body)
		return r.StatusCode == http.StatusOK
	}
	if err := until(ready); err != nil {
		return err
	}
	var verb, nothing, readyz series
	for range b.rounds {
		for i, argv := range [][]string{{b.entrypoint, "health"}, {"/bin/true"}} {
			began := time.Now()
			if err := exec.Command(argv[0], argv[1:]...).Run(); err != nil {
				return fmt.Errorf("%v: %w", argv, err)
			}
			took := time.Since(began).Seconds() * 1e3
			if i == 0 {
				verb = append(verb, took)
			} else {
				nothing = append(nothing, took)
			}
		}
	}
	for range 1000 {
		began := time.Now()
		if !ready() {
			return errors.New("not ready any more")
		}
		readyz = append(readyz, time.Since(began).Seconds()*1e3)
	}
	b.row("`entrypoint health`, 200 copies, ms", fmt.Sprintf("%s; %s /bin/true", verb, verb.over(nothing)), "8 x /bin/true")
	b.row("/readyz, 200 copies, p99, ms", fmt.Sprintf("%.2f", readyz.at(0.99)), "1")
	return nil
}

func freeAddress() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fail(err)
	}
	defer l.Close()
	return l.Addr().String()
}

const wsgi = `def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "3")])
    return [b"ok\n"]
`

// web measures the CPU that a request costs in the servers, ours with two copies
// on one socket against gunicorn with two workers.
func web(b *bench) error {
	app, err := os.MkdirTemp(b.dir, "web-")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(app, "app.py"), []byte(wsgi), 0o644); err != nil {
		return err
	}
	var plain, two, ours series
	for range 5 {
		for i := range 3 {
			address, second := freeAddress(), freeAddress()
			argv := [][]string{
				{"gunicorn", "-w", "2", "-b", address, "app"},
				{"gunicorn", "-w", "2", "-b", address, "-b", second, "app"},
				{b.entrypoint, "run", "-w", "2", "--bind", address, "--", "gunicorn", "app"},
			}[i]
			cost, err := costPerRequest(app, address, argv)
			if err != nil {
				return err
			}
			switch i {
			case 0:
				plain = append(plain, cost)
			case 1:
				two = append(two, cost)
			case 2:
				ours = append(ours, cost)
			}
		}
	}
	b.row("CPU per request, two copies on one socket, each with a private one, us",
		fmt.Sprintf("%s; %s gunicorn -w 2 with two listeners, %s with one", ours, ours.over(two), ours.over(plain)), "1.05 x, 1.10 x")
	return nil
}

func costPerRequest(dir, address string, argv []string) (float64, error) {
	const requests, clients = 4000, 16
	c := quiet(argv[0], argv[1:]...)
	c.Dir = dir
	var said bytes.Buffer
	c.Stdout, c.Stderr = &said, &said
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := c.Start(); err != nil {
		return 0, err
	}
	transport := &http.Transport{DisableKeepAlives: true}
	client := &http.Client{Transport: transport}
	get := func() bool {
		r, err := client.Get("http://" + address + "/")
		if err != nil {
			return false
		}
		defer r.Body.Close()
		_, _ = io.Copy(io.Discard, r.Body)
		return r.StatusCode == http.StatusOK
	}
	if err := until(get); err != nil {
		return 0, fmt.Errorf("%w: %s", err, said.String())
	}
	settle := time.NewTimer(2 * time.Second) // all copies up
	<-settle.C
	before := cpuOf(c.Process.Pid)
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for range requests / clients {
				get()
			}
		})
	}
	all.Wait()
	cost := (cpuOf(c.Process.Pid) - before).Seconds() * 1e6 / requests
	_ = c.Process.Signal(syscall.SIGTERM)
	_ = c.Wait()
	return cost, nil
}

// cpuOf sums the time of a process and of all below it (proc(5), stat: utime and
// stime, in hundredths of a second).
func cpuOf(pid int) time.Duration {
	parents := map[int]int{}
	times := map[int]int{}
	names, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		head, rest, _ := strings.Cut(string(text), " (")
		fields := strings.Fields(rest[strings.LastIndex(rest, ")")+1:])
		id, _ := strconv.Atoi(head)
		parents[id], _ = strconv.Atoi(fields[1])
		user, _ := strconv.Atoi(fields[11])
		system, _ := strconv.Atoi(fields[12])
		times[id] = user + system
	}
	sum := 0
	for id, spent := range times {
		for up := id; up > 1; up = parents[up] {
			if up == pid {
				sum += spent
				break
			}
		}
	}
	return time.Duration(sum) * 10 * time.Millisecond
}

func size(b *bench) error {
	info, err := os.Stat(b.entrypoint)
	if err != nil {
		return err
	}
	b.row("size of the binary, MB", fmt.Sprintf("%.1f", float64(info.Size())/1e6), "17")
	return nil
}
