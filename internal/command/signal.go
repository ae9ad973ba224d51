package command

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The kernel's real-time signals as libc names them: glibc keeps 32 and 33 to
// itself, so SIGRTMIN is 34 (signal(7)).
const (
	rtMin = 34
	rtMax = 64
)

// SignalName is the name without SIG: TERM, RTMIN+3, or the number where there
// is none.
func SignalName(s syscall.Signal) string {
	if s >= rtMin && s <= rtMax {
		if s == rtMin {
			return "RTMIN"
		}
		return fmt.Sprintf("RTMIN+%d", int(s)-rtMin)
	}
	if name := unix.SignalName(s); name != "" {
		return strings.TrimPrefix(name, "SIG")
	}
	return strconv.Itoa(int(s))
}

// ParseSignal reads TERM, SIGTERM, term, 15, RTMIN+3 or RTMAX-1.
func ParseSignal(s string) (syscall.Signal, error) {
	wanted := fmt.Errorf("wanted: a signal's name such as TERM, USR1 or RTMIN+3, or its number from 1 to %d", rtMax)
	if n, err := strconv.ParseUint(s, 10, 8); err == nil {
		if n < 1 || n > rtMax {
			return 0, wanted
		}
		return syscall.Signal(n), nil
	}
	name := strings.TrimPrefix(strings.ToUpper(s), "SIG")
	for base, first := range map[string]int{"RTMIN": rtMin, "RTMAX": rtMax} {
		rest, ok := strings.CutPrefix(name, base)
		if !ok {
			continue
		}
		offset := 0
		if rest != "" {
			var err error
			if offset, err = strconv.Atoi(rest); err != nil || (rest[0] != '+' && rest[0] != '-') {
				return 0, wanted
			}
		}
		if n := first + offset; n >= rtMin && n <= rtMax {
			return syscall.Signal(n), nil
		}
		return 0, wanted
	}
	if n := unix.SignalNum("SIG" + name); n != 0 {
		return n, nil
	}
	return 0, wanted
}

// Rewrite says what becomes of a signal that arrives.
type Rewrite struct {
	To      syscall.Signal // 0 drops it
	Restart bool           // a rolling restart instead of a signal
}

// SignalMap rewrites what arrives, before anything else looks at it. A signal
// that it does not name stays as it is.
type SignalMap map[syscall.Signal]Rewrite

// ParseSignalMap reads "TERM:QUIT,USR1:0,HUP:restart".
func ParseSignalMap(s string) (SignalMap, error) {
	wanted := fmt.Errorf("wanted: FROM:TO pairs with commas between them, such as TERM:QUIT,USR1:0,HUP:restart (0 drops the signal)")
	m := SignalMap{}
	for pair := range strings.SplitSeq(s, ",") {
		from, to, ok := strings.Cut(strings.TrimSpace(pair), ":")
		if !ok {
			return nil, wanted
		}
		f, err := ParseSignal(strings.TrimSpace(from))
		if err != nil || f == syscall.SIGKILL || f == syscall.SIGSTOP {
			return nil, wanted
		}
		if _, twice := m[f]; twice {
			return nil, fmt.Errorf("wanted: each signal rewritten once")
		}
		switch to = strings.TrimSpace(to); to {
		case "0":
			m[f] = Rewrite{}
		case "restart":
			m[f] = Rewrite{Restart: true}
		default:
			t, err := ParseSignal(to)
			if err != nil {
				return nil, wanted
			}
			m[f] = Rewrite{To: t}
		}
	}
	return m, nil
}

// Stage is one step of a stop: the signal, and how long its effect is awaited.
type Stage struct {
	Signal syscall.Signal
	Wait   time.Duration
}

// Stages are the steps of a stop, in order. A KILL among them goes to the whole
// process group, everything else to the main process alone.
type Stages []Stage

func (s Stages) String() string {
	parts := make([]string, len(s))
	for i, stage := range s {
		parts[i] = SignalName(stage.Signal)
		if stage.Signal != syscall.SIGKILL {
			parts[i] += " " + stage.Wait.String()
		}
	}
	return strings.Join(parts, ", ")
}

// Length is the sum of the waits.
func (s Stages) Length() time.Duration {
	var sum time.Duration
	for _, stage := range s {
		sum += stage.Wait
	}
	return sum
}

// EndsInKill reports whether the last stage is KILL.
func (s Stages) EndsInKill() bool { return len(s) > 0 && s[len(s)-1].Signal == syscall.SIGKILL }

// ParseStages reads "TERM 5s, QUIT 3s, KILL". Nothing comes after a KILL: there
// is nobody left.
func ParseStages(s string) (Stages, error) {
	wanted := fmt.Errorf("wanted: signals with the wait after each, such as TERM 5s, QUIT 3s, KILL")
	var stages Stages
	var length time.Duration
	for part := range strings.SplitSeq(s, ",") {
		words := strings.Fields(part)
		if len(words) == 0 || len(words) > 2 || stages.EndsInKill() {
			return nil, wanted
		}
		signal, err := ParseSignal(words[0])
		if err != nil {
			return nil, wanted
		}
		stage := Stage{Signal: signal}
		if len(words) == 2 {
			if stage.Wait, err = ParseDuration(words[1]); err != nil || signal == syscall.SIGKILL {
				return nil, wanted
			}
			if length += stage.Wait; length < 0 {
				return nil, wanted // past what a duration holds
			}
		} else if signal != syscall.SIGKILL {
			return nil, wanted
		}
		stages = append(stages, stage)
	}
	return stages, nil
}
