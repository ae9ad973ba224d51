package kms

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/codeontap/entrypoint/internal/env"
)

// IsLoopback reports whether a URL's host is this machine by an address or by
// the name localhost. Nobody is asked for other names.
func IsLoopback(u *url.URL) bool {
	host := u.Hostname()
	if host == "localhost" {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.IsLoopback()
}

// childEnvironment is what the decrypting process gets: all that an AWS
// credential source may read, which is anything, less the candidates
// themselves, which stand in the request. Warnings are whole lines.
//
// An endpoint from a .env file counts on loopback only: whoever can write that
// file could have the values sent to himself.
func childEnvironment(e env.Environment, candidates []Candidate) (child env.Environment, warnings []string) {
	child = e.Without(func(name string) bool {
		return slices.ContainsFunc(candidates, func(c Candidate) bool { return c.Name == name })
	})
	for _, v := range child.Variables() {
		if !strings.HasPrefix(v.Name, "AWS_ENDPOINT_URL") || v.Source != env.FromDotenv {
			continue
		}
		if u, err := url.Parse(v.Value.Reveal()); err != nil || !IsLoopback(u) {
			warnings = append(warnings, fmt.Sprintf("%s from the .env file is ignored: there it may only name this machine: set it in the environment", v.Name))
			child = child.Without(func(name string) bool { return name == v.Name })
		}
	}
	// A trace of the process that holds the plaintext is for nobody.
	return child.Set(env.Injected, "GOTRACEBACK", "none"), warnings
}
