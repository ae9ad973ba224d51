package command

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// HealthKind is the way a check asks.
type HealthKind int

const (
	HealthNone HealthKind = iota
	HealthHTTP            // GET of a path on the copy's private socket, else the shared one
	HealthTCP             // a connection to host:port
	HealthExec            // a command's exit code
	HealthFile            // a file's age
)

// String is the name of a check of this kind, wherever it is talked about: its
// target may hold what is for nobody, as a token in a path.
func (k HealthKind) String() string {
	switch k {
	case HealthHTTP:
		return "http"
	case HealthTCP:
		return "tcp"
	case HealthExec:
		return "exec"
	case HealthFile:
		return "file"
	}
	return "none"
}

// Health is a check and its rhythm, with the meanings of Docker's HEALTHCHECK.
type Health struct {
	Kind   HealthKind
	Target string        // path, host:port, command line or file
	MaxAge time.Duration // of the file

	Interval, Timeout, StartPeriod time.Duration
	Retries                        int
}

// String is the check as it was asked for.
func (h Health) String() string {
	switch h.Kind {
	case HealthNone:
		return h.Kind.String()
	case HealthFile:
		return h.Kind.String() + ":" + h.Target + "<" + h.MaxAge.String()
	}
	return h.Kind.String() + ":" + h.Target
}

// ParseHealth reads http:/path, tcp:host:port, exec:command, file:path<30s or
// none. The rhythm is the caller's.
func ParseHealth(s string) (Health, error) {
	wanted := fmt.Errorf("wanted: http:/path, tcp:host:port, exec:command, file:path<30s or none")
	if s == "none" {
		return Health{}, nil
	}
	kind, target, _ := strings.Cut(s, ":")
	switch kind {
	case "http":
		if strings.HasPrefix(target, "//") {
			return Health{}, fmt.Errorf("wanted: http:/path on our own address; another host is asked by tcp:host:port")
		}
		u, err := url.ParseRequestURI(target)
		// A space would end the request line's path.
		if strings.HasPrefix(target, "/") && err == nil && u.Host == "" && !strings.Contains(target, " ") {
			return Health{Kind: HealthHTTP, Target: target}, nil
		}
	case "tcp":
		host, port, err := net.SplitHostPort(target)
		if n, e := strconv.ParseUint(port, 10, 16); err == nil && host != "" && e == nil && n > 0 {
			return Health{Kind: HealthTCP, Target: target}, nil
		}
	case "exec":
		if strings.TrimSpace(target) != "" {
			return Health{Kind: HealthExec, Target: target}, nil
		}
	case "file":
		i := strings.LastIndex(target, "<")
		if i > 0 {
			if age, err := ParseDuration(target[i+1:]); err == nil && age > 0 {
				return Health{Kind: HealthFile, Target: target[:i], MaxAge: age}, nil
			}
		}
	}
	return Health{}, wanted
}
