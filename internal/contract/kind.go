package contract

import (
	"net"
	"net/url"
	"strconv"
	"strings"
	"unicode"
)

// Kind is what may stand in a variable.
type Kind int

// The kinds. Values are taken as they stand: white space around a number is
// wrong, since not everything that reads it trims it.
const (
	Text     Kind = iota // anything
	Host                 // a server's name or address, or the folder of its socket
	Port                 // 1 to 65535
	Number               // a whole number from 0
	Boolean              // as Bool reads it
	URL                  // http or https with a host
	Endpoint             // a URL, host:port, or a full host name
	Choice               // one of Choices, or a dotted path
)

// Bool reads a boolean as Python's configuration libraries do, in any case:
// true on ok y yes 1, false off n no 0.
func Bool(s string) (value, ok bool) {
	switch strings.ToLower(s) {
	case "true", "on", "ok", "y", "yes", "1":
		return true, true
	case "false", "off", "n", "no", "0":
		return false, true
	}
	return false, false
}

// wrong says what is wrong with a value that is set, and what is wanted; both
// are empty if nothing is. Neither holds anything of the value.
func (v Variable) wrong(value string) (problem, hint string) {
	switch v.Kind {
	case Host:
		if strings.Contains(value, "://") {
			return "not a host name but a URL", "wanted: a server's name or address alone; its port, user and path have variables of their own"
		}
		if strings.ContainsFunc(value, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }) {
			return "not a host name", "wanted: a server's name or address, without white space"
		}
	case Port:
		if isServiceLink(value) {
			return "not a port number but a service link of Kubernetes",
				"set enableServiceLinks: false in the pod's spec: Kubernetes sets " + v.Name + " for a Service called " + serviceOf(v.Name)
		}
		if n, err := strconv.ParseUint(value, 10, 16); err != nil || n == 0 {
			return "not a port number", "wanted: a number from 1 to 65535, without white space"
		}
	case Number:
		if _, err := strconv.ParseUint(value, 10, 31); err != nil {
			return "not a number", "wanted: a whole number from 0 on"
		}
	case Boolean:
		if _, ok := Bool(value); !ok {
			return "not a boolean", "wanted: true, on, ok, y, yes or 1; or false, off, n, no or 0"
		}
	case URL:
		if !isURL(value) {
			return "not a URL", "wanted: http:// or https:// with a host"
		}
	case Endpoint:
		if !isURL(value) && !isEndpoint(value) {
			return "not an endpoint", "wanted: http:// or https:// with a host, or host:port"
		}
	case Choice:
		if !isChoice(v.Choices, value) {
			return "not a known choice", "wanted: " + oneOf(v.Choices) + ", or a dotted path"
		}
	}
	return "", ""
}

// isServiceLink reports whether Kubernetes has made the value for a Service:
// RABBITMQ_PORT=tcp://10.0.0.1:5672.
func isServiceLink(value string) bool {
	scheme, _, ok := strings.Cut(value, "://")
	return ok && (scheme == "tcp" || scheme == "udp" || scheme == "sctp")
}

// serviceOf is the Service whose link a variable looks like.
func serviceOf(name string) string {
	return strings.ReplaceAll(strings.ToLower(strings.TrimSuffix(name, "_PORT")), "_", "-")
}

func isURL(value string) bool {
	u, err := url.Parse(value)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && isPort(u.Port(), true)
}

func isEndpoint(value string) bool {
	if strings.ContainsAny(value, "/@?# ") {
		return false
	}
	host, port, err := net.SplitHostPort(value)
	if err == nil {
		return host != "" && isPort(port, false)
	}
	return strings.Contains(value, ".") && !strings.Contains(value, ":") // as AWS names its domains
}

func isPort(s string, empty bool) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return s == "" && empty || err == nil && n > 0
}

func isChoice(choices []string, value string) bool {
	for _, c := range choices {
		if c == value {
			return true
		}
	}
	words := strings.Split(value, ".")
	for _, word := range words {
		if word == "" || strings.ContainsFunc(word, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
			return false
		}
	}
	return len(words) > 1
}

func oneOf(words []string) string { return strings.Join(words, ", ") }
