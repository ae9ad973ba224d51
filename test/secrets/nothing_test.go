package secrets

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/codeontap/entrypoint/test/internal/stage"
)

// watch tells whether anybody has opened a file in a folder since it was called
// (inotify(7)).
func watch(t *testing.T, folder string) (opened func() bool) {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	must(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	_, err = unix.InotifyAddWatch(fd, folder, unix.IN_OPEN|unix.IN_ACCESS)
	must(t, err)
	return func() bool {
		buffer := make([]byte, 4096)
		n, err := unix.Read(fd, buffer)
		if err != nil && !errors.Is(err, unix.EAGAIN) {
			t.Fatal(err)
		}
		return n > 0
	}
}

// listen counts the connections that somebody makes, and answers none.
func listen(t *testing.T) (address string, connections *atomic.Int32) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { l.Close() })
	connections = &atomic.Int32{}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			c.Close()
		}
	}()
	return l.Addr().String(), connections
}

// Nothing to decrypt: no connection is made, to KMS, to a source of credentials
// or to a proxy, and no file of ~/.aws is opened. With a ciphertext both happen:
// that is the control.
func TestNothingToDecryptCostsNothing(t *testing.T) {
	address, connections := listen(t)
	home := stage.Folder(t)
	aws := filepath.Join(home, ".aws")
	write(t, aws, "config", "[profile app]\nregion = eu-west-1\n")
	write(t, aws, "credentials", "[app]\naws_access_key_id = a\naws_secret_access_key = b\n")
	must(t, os.Mkdir(filepath.Join(home, "app"), 0o755))
	url := "http://" + address
	env := []string{
		"AWS_PROFILE=app", "AWS_ENDPOINT_URL=" + url, "AWS_ENDPOINT_URL_KMS=" + url, "AWS_CONTAINER_CREDENTIALS_FULL_URI=" + url,
		"HTTP_PROXY=" + url, "HTTPS_PROXY=" + url, "AWS_EC2_METADATA_SERVICE_ENDPOINT=" + url, "ENTRYPOINT_DECRYPT_TIMEOUT=2s",
		// Values that many take for ciphertexts.
		"A=postgres", "B=true", "C=8000", "D=/usr/bin", "E=cGFzc3dvcmQ=", "F=" + strings.Repeat("QUJD", 60), "G=base64:" + strings.Repeat("QUJD", 11), "H=AQICAH", "I=",
	}
	sealed := "SECRET=" + seal("x")
	for _, test := range []struct {
		words []string
		env   []string
		asks  bool
	}{
		{[]string{"exec", "true"}, nil, false},
		{[]string{"true"}, nil, false},
		{[]string{"run", "--", "true"}, nil, false},
		{[]string{"run", "--decrypt-failure", "exit", "--", "true"}, nil, false},
		{[]string{"check"}, nil, false},
		{[]string{"plan", "--", "true"}, nil, false},
		{[]string{"health"}, nil, false},
		{[]string{"version"}, nil, false},
		{[]string{"plan", "--", "true"}, []string{sealed}, false},
		{[]string{"plan", "--reveal", "--", "true"}, []string{sealed}, false},
		{[]string{"check", "--offline"}, []string{sealed}, false},
		{[]string{"exec", "--decrypt", "off", "true"}, []string{sealed}, false},
		{[]string{"run", "--decrypt", "off", "--", "true"}, []string{sealed}, false},
		{[]string{"exec", "true"}, []string{"BAD=kms+base64:?"}, false},
		{[]string{"exec", "true"}, []string{"ENTRYPOINT_X=" + seal("x"), "AWS_X=" + seal("x"), "KMS_X=" + seal("x"), "PYTHONX=" + seal("x")}, false},

		{[]string{"exec", "true"}, []string{sealed}, true},
		{[]string{"exec", "--decrypt", "all", "true"}, nil, true},
		{[]string{"check"}, []string{sealed}, true},
	} {
		opened := watch(t, aws)
		before := connections.Load()
		r := run(t, stage.Story{Words: test.words, Env: append(env[:len(env):len(env)], test.env...), Home: home, Dir: filepath.Join(home, "app")})
		r.Exit()
		if got := connections.Load() > before; got != test.asks {
			t.Errorf("it makes connections: %v\n%s", got, r)
		}
		if got := opened(); got != test.asks {
			t.Errorf("it opens files of ~/.aws: %v\n%s", got, r)
		}
	}
}
