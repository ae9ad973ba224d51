package awskms

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"io"
	stdlog "log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/x509roots/fallback/bundle"

	"github.com/codeontap/entrypoint/internal/env"
	ours "github.com/codeontap/entrypoint/internal/kms"
	"github.com/codeontap/entrypoint/internal/kms/kmstest"
)

const (
	key     = "arn:aws:kms:eu-west-1:111122223333:key/one"
	other   = "arn:aws:kms:eu-west-1:111122223333:key/other"
	unknown = "arn:aws:kms:eu-west-1:999999999999:key/not-ours"
)

// log collects all that is said, at every level.
type log struct {
	mutex sync.Mutex
	text  strings.Builder
}

func (l *log) Write(b []byte) (int, error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.text.Write(b)
}

func (l *log) String() string {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.text.String()
}

func logger() (*slog.Logger, *log) {
	l := &log{}
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug})), l
}

// bare is a process without AWS settings or files of its own; home is its
// HOME.
func bare(t *testing.T) (home string) {
	t.Helper()
	home = t.TempDir()
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, "AWS_") || strings.HasSuffix(strings.ToLower(name), "_proxy") {
			t.Setenv(name, "")
			os.Unsetenv(name)
		}
	}
	t.Setenv("HOME", home)
	return home
}

// settingsOf sets the variables for the process, where the SDK's chain reads
// them, and returns them as its environment.
func settingsOf(t *testing.T, block ...string) env.Environment {
	t.Helper()
	for _, entry := range block {
		name, value, _ := strings.Cut(entry, "=")
		t.Setenv(name, value)
	}
	e, _ := env.Parse(append(block, "HOME="+os.Getenv("HOME")))
	return e
}

// serving starts a server and returns what an environment needs to ask it.
func serving(t *testing.T, s *kmstest.Server) []string {
	t.Helper()
	s.Keys = map[string]string{"alias/one": key, "alias/other": other}
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	return []string{
		"AWS_ENDPOINT_URL_KMS=" + h.URL, "AWS_REGION=eu-west-1",
		"AWS_ACCESS_KEY_ID=AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY=secretaccesskey",
	}
}

// resolve runs a batch as the child does, and returns the environment that
// comes of it.
func resolve(t *testing.T, cfg ours.Config, settings []string, block ...string) (env.Environment, ours.Result, *log) {
	t.Helper()
	if cfg.Timeout == 0 {
		cfg.Timeout = 10 * time.Second
	}
	e := settingsOf(t, settings...)
	variables, _ := env.Parse(block)
	slogger, said := logger()
	r := ours.Resolve(t.Context(), cfg, ours.Classify(variables, ours.Auto), New(e, cfg, slogger), slogger)
	r.Log(slogger)
	return ours.Apply(variables, r), r, said
}

func TestRoundTripOverHTTP(t *testing.T) {
	bare(t)
	server := &kmstest.Server{}
	settings := serving(t, server)
	after, r, said := resolve(t, ours.Config{}, settings,
		"A="+kmstest.Text(kmstest.Current, key, "one value", 1),
		"B=kms+base64:"+kmstest.Text(kmstest.Older, other, "another", 2),
		"C="+kmstest.Text(kmstest.Year2014, key, strings.Repeat("long ", 800), 3),
		"D=plain",
	)
	got := map[string]string{}
	for _, v := range after.Variables() {
		got[v.Name] = v.Value.Reveal()
	}
	if diff := cmp.Diff(map[string]string{"A": "one value", "B": "another", "C": strings.Repeat("long ", 800), "D": "plain"}, got); diff != "" {
		t.Error(diff)
	}
	if r.ExitCode() != 0 || r.Requests["OK"] != 3 {
		t.Errorf("%d, %v", r.ExitCode(), r.Requests)
	}
	for _, call := range server.Calls() {
		if call.Region != "eu-west-1" || call.AccessKey != "AKIAEXAMPLE" || call.KeyID != "" || len(call.Context) != 0 {
			t.Errorf("%+v", call)
		}
	}
	for _, want := range []string{"decrypted A, C with " + key, "decrypted B with " + other} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("the log lacks %q:\n%s", want, said)
		}
	}
}

func TestKeyPinAndContext(t *testing.T) {
	context := map[string]string{"app": "shop", "stage": "prod"}
	sealed := "A=" + "kms+base64:" + encode(kmstest.BlobWith(kmstest.Current, key, "sealed", 1, context))
	open := "A=" + kmstest.Text(kmstest.Current, key, "open", 1)
	for name, c := range map[string]struct {
		cfg   ours.Config
		value string
		want  ours.Verdict
		says  string
	}{
		"the right context":           {ours.Config{Context: context}, sealed, ours.OK, ""},
		"no context":                  {ours.Config{}, sealed, ours.Invalid, "set --encryption-context"},
		"another context":             {ours.Config{Context: map[string]string{"app": "shop"}}, sealed, ours.Invalid, "encrypted with the same one"},
		"a context for an open value": {ours.Config{Context: context}, open, ours.Invalid, "none that were encrypted without"},
		"its key":                     {ours.Config{KeyID: key}, open, ours.OK, ""},
		"its key by alias":            {ours.Config{KeyID: "alias/one"}, open, ours.OK, ""},
		"another key":                 {ours.Config{KeyID: other}, open, ours.WrongKey, "another key than the one that may decrypt"},
		"no such key":                 {ours.Config{KeyID: "alias/none"}, open, ours.KeyState, "there is no such key in eu-west-1"},
	} {
		t.Run(name, func(t *testing.T) {
			bare(t)
			server := &kmstest.Server{}
			_, r, said := resolve(t, c.cfg, serving(t, server), c.value)
			if got := r.Outcomes[0].Verdict; got != c.want || !strings.Contains(said.String(), c.says) {
				t.Errorf("%v:\n%s", got, said)
			}
			if call := server.Calls()[0]; call.KeyID != c.cfg.KeyID || !cmp.Equal(call.Context, c.cfg.Context) {
				t.Errorf("asked with %+v", call)
			}
		})
	}
}

// Every scripted failure on the wire, as the user meets it. The canary stands
// in what the server says, and must not stand in the log.
func TestFailuresOnTheWire(t *testing.T) {
	const canary = "hunter2canary"
	for name, c := range map[string]struct {
		answers []kmstest.Answer
		timeout time.Duration
		want    ours.Verdict
		code    int
		says    string
	}{
		"denied":       {[]kmstest.Answer{kmstest.Refuse(400, "AccessDeniedException", canary)}, 0, ours.Denied, 78, "access denied in eu-west-1 (AccessDeniedException, request 7a4c0fb2"},
		"rejected":     {[]kmstest.Answer{kmstest.Refuse(400, "InvalidCiphertextException", canary)}, 0, ours.Invalid, 78, "genuine ciphertext rejected"},
		"disabled":     {[]kmstest.Answer{kmstest.Refuse(400, "DisabledException", canary)}, 0, ours.KeyState, 78, "its key is disabled"},
		"namespaced":   {[]kmstest.Answer{kmstest.Refuse(400, "com.amazonaws.kms#NotFoundException", canary)}, 0, ours.KeyState, 78, "there is no such key in eu-west-1"},
		"expired":      {[]kmstest.Answer{kmstest.Refuse(400, "ExpiredTokenException", canary)}, 0, ours.WithoutCredentials, 75, "the AWS credentials are not accepted in eu-west-1"},
		"skewed":       {[]kmstest.Answer{kmstest.Skewed(20 * time.Minute)}, 0, ours.WithoutCredentials, 75, "this machine's clock is off: KMS is 20m0s ahead"},
		"skewed back":  {[]kmstest.Answer{kmstest.Skewed(-20 * time.Minute)}, 0, ours.WithoutCredentials, 75, "this machine's clock is off: KMS is 20m0s behind"},
		"skew learned": {[]kmstest.Answer{kmstest.Skewed(20 * time.Minute), kmstest.Normal}, 0, ours.OK, 0, "decrypted A"},
		"wrong secret": {[]kmstest.Answer{kmstest.Refuse(403, "InvalidSignatureException", canary)}, 0, ours.WithoutCredentials, 75, "a secret key that does not fit and a wrong clock look the same"},
		"throttled, then not": {[]kmstest.Answer{kmstest.Refuse(400, "ThrottlingException", canary), kmstest.Refuse(500, "KMSInternalException", canary), kmstest.Normal},
			0, ours.OK, 0, "decrypted A"},
		"throttled":           {[]kmstest.Answer{kmstest.Refuse(400, "ThrottlingException", canary)}, time.Second / 2, ours.Unavailable, 75, "last error ThrottlingException"},
		"HTML":                {[]kmstest.Answer{kmstest.HTML(200, canary)}, time.Second / 2, ours.Unavailable, 75, "last error BrokenAnswer: an answer that is not KMS's"},
		"HTML, HTTP 403":      {[]kmstest.Answer{kmstest.HTML(403, canary)}, time.Second / 2, ours.Unavailable, 75, "an answer that is not KMS's, HTTP 403"},
		"HTML, HTTP 502":      {[]kmstest.Answer{kmstest.HTML(502, canary)}, time.Second / 2, ours.Unavailable, 75, "an answer that is not KMS's, HTTP 502"},
		"code with a value":   {[]kmstest.Answer{kmstest.Refuse(400, "no "+canary+"!", canary)}, time.Second / 2, ours.Unavailable, 75, "BrokenAnswer"},
		"cut off":             {[]kmstest.Answer{kmstest.CutOff}, time.Second / 2, ours.Unavailable, 75, "last error BrokenAnswer"},
		"cut off, then whole": {[]kmstest.Answer{kmstest.CutOff, kmstest.Normal}, 0, ours.OK, 0, "decrypted A"},
		"hanging":             {[]kmstest.Answer{kmstest.Hang}, time.Second / 2, ours.Unavailable, 75, "no good answer of KMS within 500ms, last error Timeout"},
		"20 MB":               {[]kmstest.Answer{kmstest.Huge(20 << 20)}, time.Second / 2, ours.Unavailable, 75, "an answer longer than KMS gives"},
		"no plaintext":        {[]kmstest.Answer{kmstest.Plaintext(key, "")}, time.Second / 2, ours.Unavailable, 75, "an answer without a plaintext"},
		"NUL":                 {[]kmstest.Answer{kmstest.Plaintext(key, canary+"\x00")}, 0, ours.Invalid, 78, "holds a NUL"},
		"too long for execve": {[]kmstest.Answer{kmstest.Plaintext(key, strings.Repeat("x", 131070))}, 0, ours.Invalid, 78, "longer than a variable can be"},
		"key id with a value": {[]kmstest.Answer{kmstest.Plaintext("it is "+canary, "x")}, 0, ours.OK, 0, "a key that KMS did not name"},
	} {
		t.Run(name, func(t *testing.T) {
			bare(t)
			server := &kmstest.Server{}
			settings := serving(t, server)
			server.Script(nil, c.answers...)
			_, r, said := resolve(t, ours.Config{Timeout: c.timeout}, settings, "A="+kmstest.Text(kmstest.Current, key, canary, 1))
			if got := r.Outcomes[0].Verdict; got != c.want || r.ExitCode() != c.code || !strings.Contains(said.String(), c.says) {
				t.Errorf("%v, %d:\n%s\nwant %v, %d, %q", got, r.ExitCode(), said, c.want, c.code, c.says)
			}
			if strings.Contains(said.String(), canary) {
				t.Errorf("the log holds what the server said:\n%s", said)
			}
		})
	}
}

// The whole batch waits for a hung answer no longer than its timeout, and one
// that hangs costs only itself.
func TestOneHungAnswerCostsOnlyItself(t *testing.T) {
	bare(t)
	server := &kmstest.Server{}
	settings := serving(t, server)
	server.Script(kmstest.Blob(kmstest.Current, key, "stuck", 2), kmstest.Hang)
	after, r, _ := resolve(t, ours.Config{Timeout: time.Second}, settings,
		"A="+kmstest.Text(kmstest.Current, key, "fine", 1), "B="+kmstest.Text(kmstest.Current, key, "stuck", 2))
	if after.Get("A").Reveal() != "fine" || r.Outcomes[1].Verdict != ours.Unavailable {
		t.Errorf("%+v", r.Outcomes)
	}
}

func TestHTTPS(t *testing.T) {
	value := "A=" + kmstest.Text(kmstest.Current, key, "over TLS", 1)
	serve := func(t *testing.T) (*httptest.Server, []string) {
		h := httptest.NewUnstartedServer(&kmstest.Server{Keys: map[string]string{"k": key}})
		h.Config.ErrorLog = stdlog.New(io.Discard, "", 0) // refused handshakes are what is tested
		h.StartTLS()
		t.Cleanup(h.Close)
		return h, []string{"AWS_ENDPOINT_URL=" + h.URL, "AWS_REGION=eu-west-1", "AWS_ACCESS_KEY_ID=AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY=x"}
	}
	t.Run("trusted by AWS_CA_BUNDLE", func(t *testing.T) {
		home := bare(t)
		h, settings := serve(t)
		file := filepath.Join(home, "ca.pem")
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.Certificate().Raw}), 0o600); err != nil {
			t.Fatal(err)
		}
		after, _, said := resolve(t, ours.Config{}, append(settings, "AWS_CA_BUNDLE="+file), value)
		if after.Get("A").Reveal() != "over TLS" {
			t.Errorf("%s", said)
		}
	})
	t.Run("not trusted", func(t *testing.T) {
		bare(t)
		_, settings := serve(t)
		_, r, said := resolve(t, ours.Config{}, settings, value)
		if r.ExitCode() != 75 || r.Requests[ours.CodeUntrusted] != 1 ||
			!strings.Contains(said.String(), "the server's certificate is not trusted: signed by an authority that this container does not know") {
			t.Errorf("%d, %v\n%s", r.ExitCode(), r.Requests, said)
		}
	})
	t.Run("another host", func(t *testing.T) {
		home := bare(t)
		h, settings := serve(t)
		file := filepath.Join(home, "ca.pem")
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.Certificate().Raw}), 0o600); err != nil {
			t.Fatal(err)
		}
		settings[0] = strings.Replace(settings[0], "127.0.0.1", "localhost", 1)
		_, r, said := resolve(t, ours.Config{}, append(settings, "AWS_CA_BUNDLE="+file), value)
		if r.ExitCode() != 75 || !strings.Contains(said.String(), "made out to another host") {
			t.Errorf("%d\n%s", r.ExitCode(), said)
		}
	})
	t.Run("no TLS there", func(t *testing.T) {
		bare(t)
		h := httptest.NewServer(&kmstest.Server{})
		t.Cleanup(h.Close)
		_, r, said := resolve(t, ours.Config{Timeout: 5 * time.Second}, []string{
			"AWS_ENDPOINT_URL=" + strings.Replace(h.URL, "http:", "https:", 1), "AWS_REGION=eu-west-1", "AWS_ACCESS_KEY_ID=A", "AWS_SECRET_ACCESS_KEY=x"}, value)
		if r.ExitCode() != 75 || !strings.Contains(said.String(), "the server does not speak TLS") {
			t.Errorf("%d\n%s", r.ExitCode(), said)
		}
	})
}

// Images without authorities get those that we carry; Amazon's are among them.
func TestFallbackRoots(t *testing.T) {
	pool := func(certificates ...*x509.Certificate) func() (*x509.CertPool, error) {
		return func() (*x509.CertPool, error) {
			p := x509.NewCertPool()
			for _, c := range certificates {
				p.AddCert(c)
			}
			return p, nil
		}
	}
	var amazon *x509.Certificate
	for root := range bundle.Roots() {
		if c, err := x509.ParseCertificate(root.Certificate); err == nil && c.Subject.CommonName == "Amazon Root CA 1" {
			amazon = c
		}
	}
	if amazon == nil {
		t.Fatal("Amazon Root CA 1 is not in the bundle")
	}
	if fallbackRoots(pool(amazon)) != nil {
		t.Error("a system's own roots are not trusted alone")
	}
	for name, system := range map[string]func() (*x509.CertPool, error){
		"none": pool(), "cannot be read": func() (*x509.CertPool, error) { return nil, os.ErrPermission },
	} {
		roots := fallbackRoots(system)
		if roots == nil {
			t.Fatalf("%s: no fallback", name)
		}
		if _, err := amazon.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}, CurrentTime: amazon.NotAfter}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A host whose clock is off asks a second time with the time that it learned
// of the server.
func TestClockIsLearned(t *testing.T) {
	for _, ahead := range []time.Duration{20 * time.Minute, -20 * time.Minute, 24 * time.Hour} {
		bare(t)
		server := &kmstest.Server{Ahead: ahead}
		block := ten()
		_, r, said := resolve(t, ours.Config{}, serving(t, server), block...)
		if r.Counts()[ours.OK] != len(block) || r.Requests["InvalidSignatureException"] == 0 {
			t.Errorf("%v: %v\n%s", ahead, r.Requests, said)
		}
	}
}

func TestUnreachable(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := listener.Addr().String()
	listener.Close()
	for name, c := range map[string]struct{ endpoint, says string }{
		"refused": {"http://" + closed, "KMS in eu-west-1 cannot be reached: connecting to " + closed + " failed, connection refused"},
		"no name": {"http://kms.invalid", "KMS in eu-west-1 cannot be reached: the name kms.invalid cannot be resolved"},
	} {
		t.Run(name, func(t *testing.T) {
			bare(t)
			_, r, said := resolve(t, ours.Config{Timeout: 8 * time.Second}, []string{
				"AWS_ENDPOINT_URL=" + c.endpoint, "AWS_REGION=eu-west-1", "AWS_ACCESS_KEY_ID=A", "AWS_SECRET_ACCESS_KEY=x"},
				"A="+kmstest.Text(kmstest.Current, key, "x", 1))
			if r.ExitCode() != 75 || !strings.Contains(said.String(), c.says) {
				t.Errorf("%d\n%s", r.ExitCode(), said)
			}
		})
	}
}

func TestSettings(t *testing.T) {
	value := "A=" + kmstest.Text(kmstest.Current, key, "found", 1)
	// The SDK settles where ~/.aws is when it is initialised: a test that has
	// another home has to name the file.
	write := func(t *testing.T, home, name, content string) (setting string) {
		t.Helper()
		file := filepath.Join(home, name)
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return map[string]string{"config": "AWS_CONFIG_FILE=", "credentials": "AWS_SHARED_CREDENTIALS_FILE="}[name] + file // the bare path for any other
	}
	for name, c := range map[string]struct {
		cfg      ours.Config
		settings []string
		files    map[string]string
		region   string // that the server saw; empty: it was not asked
		code     int
		says     string
	}{
		"the flag first": {cfg: ours.Config{Region: "ap-southeast-2"}, settings: []string{"AWS_REGION=eu-west-1", "AWS_DEFAULT_REGION=us-east-1"}, region: "ap-southeast-2"},
		"AWS_REGION":     {settings: []string{"AWS_REGION=eu-west-1", "AWS_DEFAULT_REGION=us-east-1"}, region: "eu-west-1"},
		"the default":    {settings: []string{"AWS_DEFAULT_REGION=us-east-1"}, region: "us-east-1"},
		"the profile's last": {files: map[string]string{"config": "[default]\nregion = eu-north-1\n"},
			region: "eu-north-1"},
		"a profile by name": {settings: []string{"AWS_PROFILE=shop"}, files: map[string]string{"config": "[profile shop]\nregion = eu-south-1\n"}, region: "eu-south-1"},
		"no region":         {code: 78, says: "no AWS region is set (NoRegion): set AWS_REGION or --kms-region"},
		"no such profile":   {settings: []string{"AWS_PROFILE=none", "AWS_REGION=eu-west-1"}, code: 78, says: "there is no profile none in ~/.aws"},
		"a broken setting":  {settings: []string{"AWS_REGION=eu-west-1", "AWS_MAX_ATTEMPTS=hunter2"}, code: 78, says: "the AWS variables or the files in ~/.aws cannot be read"},
		"no such CA bundle": {settings: []string{"AWS_REGION=eu-west-1", "AWS_CA_BUNDLE=/nowhere/ca.pem"}, code: 78, says: "the file that AWS_CA_BUNDLE names cannot be read"},
		"no region's name":  {settings: []string{"AWS_REGION=eu-west-1/"}, code: 78, says: "the region is no name of a region"},
		"no URL":            {settings: []string{"AWS_REGION=eu-west-1", "AWS_ENDPOINT_URL_KMS=localhost:4566"}, code: 78, says: "AWS_ENDPOINT_URL_KMS is no URL"},
		"empty is unset":    {settings: []string{"AWS_REGION=", "AWS_DEFAULT_REGION=us-east-1", "AWS_PROFILE="}, region: "us-east-1"},
	} {
		t.Run(name, func(t *testing.T) {
			home := bare(t)
			server := &kmstest.Server{}
			base := serving(t, server)
			endpoint, _ := strings.CutPrefix(base[0], "AWS_ENDPOINT_URL_KMS=")
			settings := append([]string{"AWS_ENDPOINT_URL=" + endpoint, base[2], base[3]}, c.settings...)
			for name, content := range c.files {
				settings = append(settings, write(t, home, name, content))
			}
			_, r, said := resolve(t, c.cfg, settings, value)
			region := ""
			if calls := server.Calls(); len(calls) > 0 {
				region = calls[0].Region
			}
			if region != c.region || r.ExitCode() != c.code || !strings.Contains(said.String(), c.says) {
				t.Errorf("region %q, code %d\n%s", region, r.ExitCode(), said)
			}
			if strings.Contains(said.String(), "hunter2") {
				t.Error("the log quotes the setting")
			}
		})
	}

	t.Run("keys of the credentials file", func(t *testing.T) {
		home := bare(t)
		server := &kmstest.Server{}
		base := serving(t, server)
		file := write(t, home, "credentials", "[default]\naws_access_key_id = AKIAFILE\naws_secret_access_key = x\n")
		after, _, said := resolve(t, ours.Config{}, append(base[:2], file), value)
		if after.Get("A").Reveal() != "found" || server.Calls()[0].AccessKey != "AKIAFILE" {
			t.Errorf("%s", said)
		}
	})
	t.Run("a container's role", func(t *testing.T) {
		bare(t)
		server := &kmstest.Server{}
		base := serving(t, server)
		role := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "token of the task" {
				w.WriteHeader(http.StatusForbidden)
				return
			}
			_, _ = w.Write([]byte(`{"AccessKeyId":"ASIAROLE","SecretAccessKey":"x","Token":"y","Expiration":"2099-01-01T00:00:00Z"}`))
		}))
		t.Cleanup(role.Close)
		after, r, said := resolve(t, ours.Config{}, append(base[:2], "AWS_CONTAINER_CREDENTIALS_FULL_URI="+role.URL, "AWS_CONTAINER_AUTHORIZATION_TOKEN=token of the task"), value)
		if after.Get("A").Reveal() != "found" || server.Calls()[0].AccessKey != "ASIAROLE" {
			t.Errorf("%+v\n%s", r, said)
		}
	})
	t.Run("a container's role that never answers", func(t *testing.T) {
		bare(t)
		server := &kmstest.Server{}
		base := serving(t, server)
		gone := make(chan struct{})
		role := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-r.Context().Done():
			case <-gone:
			}
		}))
		t.Cleanup(role.Close)
		t.Cleanup(func() { close(gone) })
		_, r, said := resolve(t, ours.Config{Timeout: time.Second}, append(base[:2], "AWS_CONTAINER_CREDENTIALS_FULL_URI="+role.URL), value)
		if r.ExitCode() != 75 || !strings.Contains(said.String(), "cannot decrypt A: there are no AWS credentials: their source did not answer in time") {
			t.Errorf("%v, %d\n%s", r.Elapsed, r.ExitCode(), said)
		}
	})
	t.Run("a web identity that is refused", func(t *testing.T) {
		home := bare(t)
		server := &kmstest.Server{}
		base := serving(t, server)
		token := write(t, home, "token", "hunter2")
		sts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusForbidden)
			_, _ = w.Write([]byte(`<ErrorResponse><Error><Code>AccessDenied</Code><Message>hunter2</Message></Error></ErrorResponse>`))
		}))
		t.Cleanup(sts.Close)
		_, r, said := resolve(t, ours.Config{}, append(base[:2], "AWS_WEB_IDENTITY_TOKEN_FILE="+token,
			"AWS_ROLE_ARN=arn:aws:iam::111122223333:role/shop", "AWS_ENDPOINT_URL_STS="+sts.URL), value)
		if r.ExitCode() != 75 || !strings.Contains(said.String(), "gave none, AccessDenied (NoCredentials)") || strings.Contains(said.String(), "hunter2") {
			t.Errorf("%d\n%s", r.ExitCode(), said)
		}
	})
	t.Run("no credentials", func(t *testing.T) {
		bare(t)
		server := &kmstest.Server{}
		base := serving(t, server)
		_, r, said := resolve(t, ours.Config{}, append(base[:2], "AWS_EC2_METADATA_DISABLED=true"), value, "B="+kmstest.Text(kmstest.Current, key, "x", 2))
		if r.ExitCode() != 75 || len(server.Calls()) != 0 || strings.Count(said.String(), "level=ERROR") != 1 ||
			!strings.Contains(said.String(), "cannot decrypt A, B: there are no AWS credentials") {
			t.Errorf("%d, %d calls\n%s", r.ExitCode(), len(server.Calls()), said)
		}
	})
}

func TestPlainHTTPElsewhereIsWarnedOf(t *testing.T) {
	for address, want := range map[string]bool{
		"http://127.0.0.1:4566": false, "http://localhost:4566": false, "http://[::1]:4566": false, "https://kms.example": false,
		"http://10.0.0.1": true, "http://kms.internal": true, "http://127.0.0.1.example": true,
	} {
		e, _ := env.Parse([]string{"AWS_ENDPOINT_URL=" + address})
		s, failure := read(e, ours.Config{})
		if failure != nil || s.exposed() != want {
			t.Errorf("%s: %v, %v", address, s.exposed(), failure)
		}
	}
}

func TestStopWhileAsking(t *testing.T) {
	bare(t)
	server := &kmstest.Server{}
	e := settingsOf(t, serving(t, server)...)
	ctx, cancel := context.WithCancel(t.Context())
	server.Script(nil, func(s *kmstest.Server, w http.ResponseWriter, r *http.Request, call kmstest.Call) {
		cancel()
		kmstest.Hang(s, w, r, call)
	})
	variables, _ := env.Parse([]string{"A=" + kmstest.Text(kmstest.Current, key, "x", 1)})
	slogger, said := logger()
	cfg := ours.Config{Timeout: time.Minute}
	r := ours.Resolve(ctx, cfg, ours.Classify(variables, ours.Auto), New(e, cfg, slogger), slogger)
	if !r.Stopped || strings.Contains(said.String(), "ERROR") {
		t.Errorf("%+v\n%s", r, said)
	}
}

func TestUnknownKeyIsDenied(t *testing.T) {
	bare(t)
	_, r, said := resolve(t, ours.Config{}, serving(t, &kmstest.Server{}),
		"A="+kmstest.Text(kmstest.Current, unknown, "x", 1), "B="+kmstest.Text(kmstest.Current, unknown, "y", 2))
	if r.ExitCode() != 78 || strings.Count(said.String(), "level=ERROR") != 1 || !strings.Contains(said.String(), "cannot decrypt A, B: access denied in eu-west-1") {
		t.Errorf("%d\n%s", r.ExitCode(), said)
	}
}

func encode(b []byte) string { return base64.StdEncoding.EncodeToString(b) }
