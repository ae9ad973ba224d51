package awskms

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

const (
	dialTimeout = 2 * time.Second
	// connections is as many as are asked through at a time.
	connections = 16
)

// httpClient is the SDK's own, since AWS_CA_BUNDLE works with no other, with
// our limits. endpoint is nil for AWS's.
func httpClient(endpoint *url.URL) *awshttp.BuildableClient {
	roots := (*x509.CertPool)(nil)
	if endpoint == nil || endpoint.Scheme == "https" {
		roots = fallbackRoots(x509.SystemCertPool)
	}
	return awshttp.NewBuildableClient().
		WithDialerOptions(func(d *net.Dialer) { d.Timeout = dialTimeout }).
		WithTransportOptions(func(t *http.Transport) {
			t.TLSHandshakeTimeout = dialTimeout
			t.MaxIdleConnsPerHost = connections
			if roots == nil {
				return
			}
			if t.TLSClientConfig == nil {
				t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
			}
			t.TLSClientConfig.RootCAs = roots
		})
}

// fallbackRoots are Mozilla's, for images without any (scratch, slim); nil
// where the system has some.
func fallbackRoots(system func() (*x509.CertPool, error)) *x509.CertPool {
	if pool, err := system(); err == nil && !pool.Equal(x509.NewCertPool()) {
		return nil
	}
	return mozillaRoots()
}

func mozillaRoots() *x509.CertPool {
	pool := x509.NewCertPool()
	for root := range bundle.Roots() {
		certificate, err := x509.ParseCertificate(root.Certificate)
		switch {
		case err != nil: // one that this Go does not know is one less
		case root.Constraint == nil:
			pool.AddCert(certificate)
		default:
			pool.AddCertWithConstraint(certificate, root.Constraint)
		}
	}
	return pool
}

// maxAnswer bounds the body of an answer. The longest that KMS gives is 8 KiB;
// what is between is told by its length, what is over is not read.
const maxAnswer = 1 << 20

var errTooLong = errors.New("the answer is longer than any of KMS")

// exchange sends requests whole and bounds what is read of their answers.
type exchange struct{ client kms.HTTPClient }

// Do puts the request's body back as one that net/http knows to be in memory.
// The SDK's own wrapper is closed when the answer's header is there, which on
// loopback may be before net/http has looked for its end: it then takes the
// request for broken and closes the connection under the answer. In memory, it
// also goes out with its header in one packet.
func (x exchange) Do(request *http.Request) (*http.Response, error) {
	if request.Body != nil {
		body, err := io.ReadAll(request.Body)
		if err != nil {
			return nil, err
		}
		request.Body = io.NopCloser(bytes.NewReader(body))
	}
	response, err := x.client.Do(request)
	if response != nil {
		response.Body = &limited{response.Body, maxAnswer}
	}
	return response, err
}

type limited struct {
	io.ReadCloser
	left int
}

func (l *limited) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, errTooLong
	}
	n, err := l.ReadCloser.Read(p[:min(len(p), l.left)])
	l.left -= n
	return n, err
}
