// Package secrets tests what the binary decrypts, what it says about the
// environment, and that no secret stands in anything that it lets out. KMS is the
// stand-in of internal/kms/kmstest.
package secrets

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/codeontap/entrypoint/internal/kms/kmstest"
	"github.com/codeontap/entrypoint/test/internal/stage"
)

// The stories wait for timeouts more than for processors.
func TestMain(m *testing.M) { stage.Main(m, 8, nil) }

// The key of the stand-in.
const (
	alias = "alias/app"
	arn   = "arn:aws:kms:eu-west-1:111122223333:key/app"
)

// kms is a stand-in for KMS and the environment that leads to it.
type kms struct {
	*kmstest.Server
	env []string
	url string
}

func newKMS(t *testing.T) kms {
	t.Helper()
	k := kms{Server: &kmstest.Server{Keys: map[string]string{alias: arn}}}
	s := httptest.NewServer(k.Server)
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	k.url = s.URL
	k.env = awsEnvironment(s.URL)
	return k
}

// awsEnvironment is where to ask, with credentials of nobody.
func awsEnvironment(endpoint string) []string {
	return []string{
		"AWS_ENDPOINT_URL_KMS=" + endpoint, "AWS_REGION=eu-west-1", "AWS_ACCESS_KEY_ID=nobody",
		"AWS_SECRET_ACCESS_KEY=nothing", "AWS_EC2_METADATA_DISABLED=true",
	}
}

var nonces struct {
	sync.Mutex
	last uint64
}

// seal is a ciphertext of the stand-in's key, as it stands in an environment.
func seal(plaintext string) string { return sealUnder(arn, plaintext) }

func sealUnder(key, plaintext string) string {
	nonces.Lock()
	defer nonces.Unlock()
	nonces.last++
	return kmstest.Text(kmstest.Current, key, plaintext, nonces.last)
}

// start starts a story: on the machine itself, in an empty folder if it has none,
// with the control socket where the environment says.
func start(t *testing.T, s stage.Story) *stage.Running {
	t.Helper()
	s.Place = stage.OnMachine
	if s.Home == "" {
		s.Home = stage.Folder(t)
	}
	if s.Dir == "" {
		s.Dir = stage.Folder(t)
	}
	socket := filepath.Join(s.Home, "control.sock")
	s.Env = append([]string{"ENTRYPOINT_CONTROL=" + socket}, s.Env...)
	r := stage.Start(t, s)
	r.Socket = socket
	return r
}

// run starts a story and waits for its end.
func run(t *testing.T, s stage.Story) *stage.Running {
	t.Helper()
	r := start(t, s)
	r.Exit()
	return r
}

// write makes a file, and of a script a program.
func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	if filepath.Ext(name) == ".sh" {
		return stage.Write(t, dir, name, text, 0o755)
	}
	return stage.Write(t, dir, name, text, 0o644)
}

func isThere(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// sh is the command line of a shell script.
func sh(script string) []string { return []string{"--", "sh", "-c", script} }
