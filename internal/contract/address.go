package contract

import (
	"net"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/codeontap/entrypoint/internal/env"
)

// Address returns host:port of the server behind a set that is in use, with
// the contract's defaults. ok is false where there is none: the set has no
// server, is not in use, names the folder of a socket, or its value is wrong
// (which Check says).
func (s Set) Address(e env.Environment) (address string, ok bool) {
	if s.Always || !s.InUse(e) {
		return "", false
	}
	host, port := "", ""
	for _, v := range s.Variables {
		value := e.Get(v.Name).Reveal()
		if value == "" {
			value = v.defaultIn(e)
		}
		switch v.Kind {
		case Host:
			host = value
		case Port:
			port = value
		case URL, Endpoint:
			host, port = split(value)
		default:
			continue
		}
		if problem, _ := v.wrong(value); problem != "" {
			return "", false
		}
	}
	if host == "" || port == "" || filepath.IsAbs(host) {
		return "", false
	}
	return net.JoinHostPort(strings.Trim(host, "[]"), port), true // [::1] is written with and without
}

// defaultIn is the default, which for the port of a database goes by its
// engine.
func (v Variable) defaultIn(e env.Environment) string {
	if v.Name == "DATABASE_PORT" {
		switch e.Get("DATABASE_ENGINE").Reveal() {
		case "mysql":
			return "3306"
		case "oracle":
			return "1521"
		}
	}
	return v.Default
}

// split returns host and port of a URL or an endpoint.
func split(value string) (host, port string) {
	if isURL(value) {
		u, err := url.Parse(value)
		if err != nil {
			return "", ""
		}
		if port = u.Port(); port == "" {
			port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
		}
		return u.Hostname(), port
	}
	host, port, err := net.SplitHostPort(value)
	if err != nil {
		return value, "9200" // Elasticsearch's own clients take it
	}
	return host, port
}
