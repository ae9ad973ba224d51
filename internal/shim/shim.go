// Package shim is what a copy runs for its first moment when something has to
// be done between fork and exec that Go's fork cannot do: tell the server its
// own pid (LISTEN_PID, sd_listen_fds(3)), hand over the terminal, or ignore a
// signal that we inherited as ignored. The supervisor starts our own binary
// with an order as the first entry of its environment.
//
// The order is carried out twice over. At the binary's entry point (entry.go) it
// costs a tenth of a millisecond and no thread: where a container is at its limit
// of processes, Go's runtime could not start. What the kernel refuses there, and
// what was linked without that entry point, comes to init, which does the same
// in Go and has words for it. It imports syscall alone, so that Go initialises it
// before any library.
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

// The order's parts stand at fixed places, which the assembly knows as well:
// the parent, the flags, the signals to ignore as a set of bits, the path. Each
// number is so many letters, a for 0 to p for 15.
const (
	parentDigits = 8
	flagDigits   = 1
	ignoreDigits = 16

	flagListenPID  = 1
	flagForeground = 2
)

// Entries are the first entries of the environment of a child of the process
// parent, as the assembly expects them there. The second, if there is one, is
// the LISTEN_PID with room for every pid; the rest may have none.
func (o Order) Entries(parent int) []string {
	var flags, ignore uint64
	if o.ListenPID {
		flags |= flagListenPID
	}
	if o.Foreground {
		flags |= flagForeground
	}
	for _, s := range o.Ignore {
		ignore |= 1 << (uint(s) - 1)
	}
	order := letters(uint64(parent), parentDigits) + letters(flags, flagDigits) + letters(ignore, ignoreDigits)
	entries := []string{Variable + "=" + order + o.Path}
	if o.ListenPID {
		entries = append(entries, "LISTEN_PID=0000000000")
	}
	return entries
}

func parse(value string) (parent int, o Order, ok bool) {
	const head = parentDigits + flagDigits + ignoreDigits
	if len(value) <= head {
		return 0, Order{}, false
	}
	of, ok1 := number(value[:parentDigits])
	flags, ok2 := number(value[parentDigits : parentDigits+flagDigits])
	ignore, ok3 := number(value[parentDigits+flagDigits : head])
	if !ok1 || !ok2 || !ok3 || flags > flagListenPID|flagForeground {
		return 0, Order{}, false
	}
	o = Order{Path: value[head:], ListenPID: flags&flagListenPID != 0, Foreground: flags&flagForeground != 0}
	for s := syscall.Signal(1); s <= 64; s++ {
		if ignore&(1<<(uint(s)-1)) != 0 {
			o.Ignore = append(o.Ignore, s)
		}
	}
	return int(of), o, true
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

// The functions below stand in for strings and strconv, whose import would let
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

func letters(n uint64, digits int) string {
	b := make([]byte, digits)
	for i := digits - 1; i >= 0; i-- {
		b[i] = 'a' + byte(n&15)
		n >>= 4
	}
	return string(b)
}

func number(letters string) (n uint64, ok bool) {
	for i := 0; i < len(letters); i++ {
		c := letters[i] - 'a'
		if c > 15 {
			return 0, false
		}
		n = n<<4 | uint64(c)
	}
	return n, true
}
