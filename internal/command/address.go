package command

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
)

// Address is where a socket is bound: tcp with host and port, or unix with a
// path.
type Address struct {
	Host string // empty for all addresses of both families
	Port int
	Path string // a unix socket when set
}

// IsUnix reports whether it is a path.
func (a Address) IsUnix() bool { return a.Path != "" }

func (a Address) String() string {
	if a.IsUnix() {
		return "unix:" + a.Path
	}
	return net.JoinHostPort(a.Host, strconv.Itoa(a.Port))
}

// maxUnixPath is what fits sockaddr_un with its final NUL (unix(7)).
const maxUnixPath = 107

// ParseAddress reads host:port, :port, [v6]:port or unix:/path. A name is not
// resolved here: only addresses and localhost are taken, because a bind that
// waits for a name server is a start that hangs.
func ParseAddress(s string) (Address, error) {
	wanted := fmt.Errorf("wanted: host:port with an IP address (0.0.0.0:8000, [::]:8000, :8000), or unix:/absolute/path of at most %d bytes", maxUnixPath)
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		if !filepath.IsAbs(path) || strings.HasSuffix(path, "/") || len(path) > maxUnixPath || strings.ContainsRune(path, 0) {
			return Address{}, wanted
		}
		return Address{Path: path}, nil
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return Address{}, wanted
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return Address{}, wanted
	}
	if host == "localhost" {
		host = "127.0.0.1"
	}
	if host != "" {
		a, err := netip.ParseAddr(host)
		if err != nil || strings.Trim(a.Zone(), "0123456789") != "" { // bind(2) takes an interface's number
			return Address{}, wanted
		}
	}
	return Address{Host: host, Port: int(n)}, nil
}
