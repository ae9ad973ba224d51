package health

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/codeontap/entrypoint/internal/env"
)

// ParseTarget reads one word of --wait-for: host:port, a URL, or the name of a
// variable that holds one of them. The errors name the word where it is an
// address or a variable's name, and never quote a URL: a password may stand in
// it.
func ParseTarget(word string, e env.Environment) (Target, error) {
	if v, ok := e.Lookup(word); ok {
		address, err := addressOf(v.Value.Reveal())
		if err != nil {
			return Target{}, fmt.Errorf("cannot wait for the variable %s: %w", word, err)
		}
		return Target{Name: word, Address: address}, nil
	}
	if isName(word) {
		return Target{}, fmt.Errorf("cannot wait for %s: it is no variable that is set, and no host:port", word)
	}
	address, err := addressOf(word)
	switch {
	case err != nil && strings.Contains(word, "://"):
		return Target{}, fmt.Errorf("cannot wait for a URL: %w", err)
	case err != nil:
		return Target{}, fmt.Errorf("cannot wait for %q: %w", word, err)
	}
	return Target{Name: address, Address: address}, nil
}

func isName(s string) bool {
	return s != "" && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") == ""
}

var errTarget = errors.New("wanted: host:port, or a URL whose host is one server")

// addressOf reads host:port, unix:/path or a URL. net/url is not used: it quotes
// the URL in its errors, and refuses passwords that clients accept.
func addressOf(s string) (string, error) {
	s = strings.TrimSpace(s)
	if path, ok := strings.CutPrefix(s, "unix:"); ok && !strings.HasPrefix(path, "//") {
		if !strings.HasPrefix(path, "/") {
			return "", errTarget
		}
		return s, nil
	}
	scheme, rest, isURL := strings.Cut(s, "://")
	if !isURL {
		host, port, err := net.SplitHostPort(s)
		if err != nil {
			return "", errTarget
		}
		return join(host, port)
	}
	authority, path := rest, ""
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority, path = rest[:i], rest[i:]
	}
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		authority = authority[i+1:]
	} else if i := strings.LastIndexByte(path, '@'); i >= 0 && strings.Contains(authority, ":") {
		// user:pass/word@host: what looks like the host is the user.
		return "", errors.New("the / ? or # of its password has to be written as %2F, %3F or %23")
	}
	if authority == "" {
		if strings.HasSuffix(scheme, "unix") || strings.HasSuffix(scheme, "+socket") {
			if i := strings.IndexAny(path, "?#"); i >= 0 {
				path = path[:i]
			}
			if path != "" {
				return "unix:" + path, nil
			}
		}
		return "", errors.New("it has no host")
	}
	host, port, err := net.SplitHostPort(authority)
	if err != nil {
		scheme, _, _ = strings.Cut(strings.ToLower(scheme), "+") // postgresql+psycopg2
		if port = defaultPort(scheme); port == "" {
			return "", errors.New("it has no port, and its scheme has no known one")
		}
		host = authority
		if inner, ok := strings.CutPrefix(authority, "["); ok && strings.HasSuffix(inner, "]") {
			host = strings.TrimSuffix(inner, "]")
		} else if strings.Contains(authority, ":") {
			return "", errTarget
		}
	}
	return join(host, port)
}

func join(host, port string) (string, error) {
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 || host == "" || strings.ContainsAny(host, ", \t\n\x00/@[]") {
		return "", errTarget
	}
	return net.JoinHostPort(host, port), nil
}

// defaultPort is what the clients of that scheme assume.
func defaultPort(scheme string) string {
	switch scheme {
	case "postgres", "postgresql", "postgis", "pgsql":
		return "5432"
	case "mysql", "mysql2", "mariadb":
		return "3306"
	case "mssql":
		return "1433"
	case "oracle":
		return "1521"
	case "amqp", "pyamqp", "librabbitmq":
		return "5672"
	case "amqps":
		return "5671"
	case "redis", "rediss":
		return "6379"
	case "memcached":
		return "11211"
	case "mongodb":
		return "27017"
	case "http", "ws":
		return "80"
	case "https", "wss":
		return "443"
	case "smtp":
		return "25"
	case "smtps":
		return "465"
	case "nats":
		return "4222"
	}
	return ""
}
