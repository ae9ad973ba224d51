//go:build soak

package web

import (
	"bufio"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/codeontap/entrypoint/test/internal/stage"
)

const (
	soakRestarts = 500
	settled      = 10 // after so many restarts nothing may grow any more
	// mayGrow is what private dirty memory may differ by, in KiB, between two dips of
	// the collector's. A goroutine that is left behind by each restart would be 1000
	// KiB of stack at the least.
	mayGrow = 300
)

// footprint is what may not grow with the number of restarts.
type footprint struct {
	descriptors, copyDescriptors int // of ours, of the copy
	threads                      int // those of the runtime come as they are needed
	sockets                      int // files
	dirty                        int // KiB of private dirty memory
}

func (s *site) footprint() footprint {
	s.t.Helper()
	pid := s.cmd.Process.Pid
	f := footprint{
		descriptors: s.count("/proc/%d/fd", pid), copyDescriptors: s.count("/proc/%d/fd", s.pids()[0]),
		threads: s.count("/proc/%d/task", pid), dirty: s.dirty(pid),
	}
	err := filepath.WalkDir(s.home, func(_ string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type() == os.ModeSocket {
			f.sockets++
		}
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return f
}

// calm is the least of a few looks: a connection may just be closing.
func (s *site) calm() footprint {
	s.t.Helper()
	f := s.footprint()
	for range 9 {
		now := s.footprint()
		f.descriptors = min(f.descriptors, now.descriptors)
		f.copyDescriptors = min(f.copyDescriptors, now.copyDescriptors)
	}
	return f
}

func (s *site) count(folder string, pid int) int {
	s.t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf(folder, pid))
	if err != nil {
		s.t.Fatal(err)
	}
	return len(entries)
}

func (s *site) dirty(pid int) int {
	s.t.Helper()
	f, err := os.Open(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		s.t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), "Private_Dirty:"); ok {
			n, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				s.t.Fatal(err)
			}
			return n
		}
	}
	s.t.Fatal("the kernel does not say how much memory is private and dirty")
	return 0
}

// A container that is restarted with every release for years is as small as on
// its first day.
func TestSoakRollingRestarts(t *testing.T) {
	soak(t, stage.Self, "server")
}

func soak(t *testing.T, words ...string) {
	settle(t, stage.Binary)
	s := start(t, opts{
		args: append([]string{"--bind", "{address}", "--"}, words...),
		// Without the race detector's wait at the exit of our own server; and with a
		// collector that is eager, so that what is kept is not hidden by garbage.
		env: []string{"GORACE=atexit_sleep_ms=0", "GOGC=20"},
	})
	s.becomesReady(1)
	var before footprint
	early, late := math.MaxInt, math.MaxInt // the least memory in the first and the last hundred
	for i := 1; i <= soakRestarts; i++ {
		s.restarts()
		if i == settled {
			before = s.calm()
		}
		if i == settled || i%50 == 0 {
			t.Logf("after %3d restarts: %+v", i, s.footprint())
		}
		switch dirty := s.dirty(s.cmd.Process.Pid); {
		case i >= settled && i < settled+100:
			early = min(early, dirty)
		case i > soakRestarts-100:
			late = min(late, dirty)
		}
	}
	after := s.calm()
	if after.descriptors != before.descriptors || after.copyDescriptors != before.copyDescriptors || after.sockets != before.sockets {
		t.Errorf("descriptors or socket files have grown: %+v, and %+v after %d restarts", after, before, settled)
	}
	t.Logf("private and dirty at the least: %d KiB early, %d KiB late", early, late)
	if late > early+mayGrow {
		t.Errorf("%d KiB are private and dirty, and were %d", late, early)
	}
	s.get("/")
	s.stops(0)
}

// settle writes a file back: pages of a program that was built just now count as
// dirty wherever it is mapped.
func settle(t *testing.T, path string) {
	t.Helper()
	f, err := os.Open(path)
	if err == nil {
		err = f.Sync()
		f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}
