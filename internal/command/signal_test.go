package command_test

import (
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/codeontap/entrypoint/internal/command"
)

func TestSignalsHaveNamesAndNumbers(t *testing.T) {
	for text, want := range map[string]syscall.Signal{
		"TERM": 15, "SIGTERM": 15, "term": 15, "sigTerm": 15, "15": 15, "1": 1, "64": 64, "KILL": 9,
		"RTMIN": 34, "RTMIN+3": 37, "SIGRTMIN+3": 37, "rtmin+30": 64, "RTMAX": 64, "RTMAX-1": 63, "RTMAX-30": 34, "RTMIN+0": 34,
	} {
		if got, err := command.ParseSignal(text); err != nil || got != want {
			t.Errorf("%s: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "0", "65", "-1", "SIG", "BANANA", "SIGSIGTERM", "RTMIN-1", "RTMIN+31", "RTMAX+1", "RTMAX-31", "RTMIN3", "RTMIN+", "RTMIN++1", "RTMIN+-1", "TERM ", "1.5", "+15"} {
		if got, err := command.ParseSignal(text); err == nil {
			t.Errorf("%q is %d", text, got)
		}
	}
}

// Every number has a name, and the name is read as the number.
func TestSignalNamesAreReadBack(t *testing.T) {
	for n := syscall.Signal(1); n <= 64; n++ {
		name := command.SignalName(n)
		if got, err := command.ParseSignal(name); err != nil || got != n {
			t.Errorf("%d is called %s, which is %d, %v", n, name, got, err)
		}
	}
}

func TestSignalMaps(t *testing.T) {
	got, err := command.ParseSignalMap("TERM:QUIT, USR1:0,HUP:restart,RTMIN+3:15")
	want := command.SignalMap{
		syscall.SIGTERM: {To: syscall.SIGQUIT}, syscall.SIGUSR1: {}, syscall.SIGHUP: {Restart: true}, 37: {To: syscall.SIGTERM},
	}
	if err != nil || !cmp.Equal(want, got) {
		t.Errorf("%v, %v", got, err)
	}
	for _, text := range []string{"", ",", "TERM", "TERM:", ":QUIT", "TERM:QUIT,", "TERM:BANANA", "KILL:TERM", "STOP:0", "TERM:QUIT,15:INT", "TERM:QUIT:INT", "TERM:-1", "0:TERM", "TERM:restart:x"} {
		if got, err := command.ParseSignalMap(text); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
}

func TestStages(t *testing.T) {
	got, err := command.ParseStages("TERM 5s, QUIT 3s, KILL")
	want := command.Stages{{Signal: syscall.SIGTERM, Wait: 5 * time.Second}, {Signal: syscall.SIGQUIT, Wait: 3 * time.Second}, {Signal: syscall.SIGKILL}}
	if err != nil || !cmp.Equal(want, got) || got.Length() != 8*time.Second || !got.EndsInKill() || got.String() != "TERM 5s, QUIT 3s, KILL" {
		t.Errorf("%v, %v", got, err)
	}
	if endless, err := command.ParseStages("sigint 500ms,TERM 1m"); err != nil || endless.EndsInKill() {
		t.Errorf("%v, %v", endless, err)
	}
	for _, text := range []string{"", ",", "TERM", "TERM 5", "TERM 5s,", "TERM, KILL", "TERM -5s, KILL", "5s TERM", "TERM 5s KILL", "BANANA 5s", "KILL, TERM 5s", "KILL 3s", "TERM 5s, KILL, KILL", "TERM 2562047h, INT 2562047h"} {
		if got, err := command.ParseStages(text); err == nil {
			t.Errorf("%q is %v, %s long", text, got, got.Length())
		}
	}
}

func FuzzParseSignalMap(f *testing.F) {
	for _, seed := range []string{"TERM:QUIT,USR1:0,HUP:restart", "RTMIN+3:TERM", "1:2", " TERM : INT "} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		m, err := command.ParseSignalMap(text)
		if err != nil {
			return
		}
		for from, to := range m {
			if from < 1 || from > 64 || to.To < 0 || to.To > 64 || from == syscall.SIGKILL || from == syscall.SIGSTOP || to.Restart && to.To != 0 {
				t.Errorf("%q: %d to %+v", text, from, to)
			}
		}
	})
}

func FuzzParseStages(f *testing.F) {
	for _, seed := range []string{"TERM 5s, QUIT 3s, KILL", "INT 1h", "RTMIN+3 1ms,KILL"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := command.ParseStages(text)
		if err != nil {
			return
		}
		if s.Length() < 0 {
			t.Errorf("%q lasts %s", text, s.Length())
		}
		again, err := command.ParseStages(s.String())
		if err != nil || !cmp.Equal(s, again) {
			t.Errorf("%q: %v written down and read again is %v, %v", text, s, again, err)
		}
	})
}
