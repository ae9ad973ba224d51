package command_test

import (
	"strings"
	"testing"

	"github.com/codeontap/entrypoint/internal/command"
)

func TestAddressesAreReadAndWritten(t *testing.T) {
	for text, want := range map[string]command.Address{
		"0.0.0.0:8000":   {Host: "0.0.0.0", Port: 8000},
		":8000":          {Port: 8000},
		"[::]:80":        {Host: "::", Port: 80},
		"[::1]:0":        {Host: "::1"},
		"127.0.0.1:0":    {Host: "127.0.0.1"},
		"unix:/run/a":    {Path: "/run/a"},
		"unix:/run/a:b":  {Path: "/run/a:b"},
		"[fe80::1%2]:80": {Host: "fe80::1%2", Port: 80},
		"10.0.0.1:65535": {Host: "10.0.0.1", Port: 65535},
	} {
		got, err := command.ParseAddress(text)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
		if got.String() != text {
			t.Errorf("%s is written %s", text, got)
		}
	}
	if got, err := command.ParseAddress("localhost:80"); err != nil || got.Host != "127.0.0.1" {
		t.Errorf("localhost: %+v, %v", got, err)
	}
}

func TestAddressesThatAreNone(t *testing.T) {
	for _, text := range []string{
		"", "8000", "0.0.0.0", "0.0.0.0:", ":", "host:80", "example.org:80", "0.0.0.0:-1", "0.0.0.0:65536", "0.0.0.0:+80", "0.0.0.0:http",
		"::1:80", "[::1]", "[::1]80", "http://0.0.0.0:80", "1.2.3:80", "01.2.3.4:80", "[fe80::1%eth0]:80",
		"unix:", "unix:a", "unix:./a", "unix:/", "unix:/run/", "unix:/a\x00b", "unix:/" + strings.Repeat("x", 107),
	} {
		if got, err := command.ParseAddress(text); err == nil {
			t.Errorf("%q is %+v", text, got)
		}
	}
	if _, err := command.ParseAddress("unix:/" + strings.Repeat("x", 106)); err != nil {
		t.Errorf("107 bytes fit sockaddr_un with their NUL: %v", err)
	}
}

func FuzzParseAddress(f *testing.F) {
	for _, seed := range []string{"0.0.0.0:8000", "[::]:80", "unix:/run/a", "localhost:1", ":0", "[::ffff:1.2.3.4]:9"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, err := command.ParseAddress(text)
		if err != nil {
			return
		}
		again, err := command.ParseAddress(a.String())
		if err != nil || again != a {
			t.Errorf("%q: %+v written down and read again is %+v, %v", text, a, again, err)
		}
	})
}
