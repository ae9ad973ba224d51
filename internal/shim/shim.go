// Package shim is what a copy runs for its first millisecond when something has
// to be done between fork and exec that Go's fork cannot do: tell the server
// its own pid (LISTEN_PID, sd_listen_fds(3)), or ignore a signal that we
// inherited as ignored. The supervisor starts our own binary with Marker set;
// init finds it, does the work and becomes the program.
//
// It imports syscall alone, so that Go initialises it before any library
// (1.5 ms instead of 5).
package shim

import "syscall"

// Variable carries the order. Its value names the parent, so that one that a
// user has set, or that an application has inherited, means nothing.
const Variable = "ENTRYPOINT_SHIM"

// Executable is our own binary, also when its file was replaced meanwhile.
const Executable = "/proc/self/exe"

// Order is what the shim does before it becomes Path.
type Order struct {
	Path      string // the program, resolved
	ListenPID bool   // set LISTEN_PID to the copy's own pid
	Ignore    []syscall.Signal

	// Foreground puts the copy's process group in the foreground of the
	// terminal that is its stdin. Here, because the group must have the terminal
	// before the program looks at it, and TTOU must be blocked meanwhile.
	Foreground bool
}

// Marker returns the environment entry that gives the order to a child of the
// process parent.
func (o Order) Marker(parent int) string {
	s := Variable + "=" + itoa(parent) + " "
	if o.ListenPID {
		s += "l"
	}
	if o.Foreground {
		s += "f"
	}
	for _, sig := range o.Ignore {
		s += "i" + itoa(int(sig))
	}
	return s + " " + o.Path
}

func parse(value string) (parent int, o Order, ok bool) {
	head, rest, ok1 := cut(value, ' ')
	flags, path, ok2 := cut(rest, ' ')
	parent, ok3 := atoi(head)
	if !ok1 || !ok2 || !ok3 || path == "" {
		return 0, Order{}, false
	}
	o.Path = path
	for len(flags) > 0 {
		switch flags[0] {
		case 'l':
			o.ListenPID = true
			flags = flags[1:]
		case 'f':
			o.Foreground = true
			flags = flags[1:]
		case 'i':
			end := 1
			for end < len(flags) && flags[end] >= '0' && flags[end] <= '9' {
				end++
			}
			n, ok := atoi(flags[1:end])
			if !ok || n > 64 {
				return 0, Order{}, false
			}
			o.Ignore = append(o.Ignore, syscall.Signal(n))
			flags = flags[end:]
		default:
			return 0, Order{}, false
		}
	}
	return parent, o, true
}

func init() {
	value, ok := syscall.Getenv(Variable)
	if !ok {
		return
	}
	parent, order, ok := parse(value)
	if !ok || parent != syscall.Getppid() {
		return
	}
	become(order)
}

// become does not return.
func become(o Order) {
	argv, err := arguments()
	if err != nil {
		die(126, "cannot read our own arguments from /proc/self/cmdline: "+err.Error())
	}
	block := make([]string, 0, len(syscall.Environ())+1)
	for _, entry := range syscall.Environ() {
		if name, _, _ := cut(entry, '='); name == Variable || (o.ListenPID && name == "LISTEN_PID") {
			continue
		}
		block = append(block, entry)
	}
	if o.ListenPID {
		block = append(block, "LISTEN_PID="+itoa(syscall.Getpid()))
	}
	for _, s := range o.Ignore {
		ignore(s)
	}
	if o.Foreground {
		foreground()
	}
	err = syscall.Exec(o.Path, argv, block)
	code := 126 // ENOENT may also be about the script's interpreter
	if syscall.Access(o.Path, 0) != nil {
		code = 127
	}
	why := err.Error()
	if err == syscall.ENOEXEC {
		why = "it is neither a program for this machine nor a script with #!"
	}
	die(code, "cannot run "+o.Path+": "+why)
}

// arguments reads argv; package syscall has it only behind os.
func arguments() ([]string, error) {
	fd, err := syscall.Open("/proc/self/cmdline", syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer syscall.Close(fd)
	var all []byte
	buf := make([]byte, 16384)
	for {
		n, err := syscall.Read(fd, buf)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return nil, err
		}
		if n == 0 {
			break
		}
		all = append(all, buf[:n]...)
	}
	var argv []string
	start := 0
	for i, c := range all {
		if c == 0 {
			argv = append(argv, string(all[start:i]))
			start = i + 1
		}
	}
	return argv, nil
}

func die(code int, message string) {
	_, _ = syscall.Write(2, []byte("entrypoint: error: "+message+"\n"))
	syscall.Exit(code)
}

// The three below stand in for strings and strconv, whose import would let
// other packages be initialised first.

func cut(s string, sep byte) (before, after string, found bool) {
	for i := 0; i < len(s); i++ {
		if s[i] == sep {
			return s[:i], s[i+1:], true
		}
	}
	return s, "", false
}

func itoa(n int) string {
	if n == 0 {
		return "0"
	}
	var b [20]byte
	i := len(b)
	for ; n > 0; n /= 10 {
		i--
		b[i] = byte('0' + n%10)
	}
	return string(b[i:])
}

func atoi(s string) (int, bool) {
	if s == "" || len(s) > 10 {
		return 0, false
	}
	n := 0
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n, true
}
