package awskms

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
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

// limitAnswer puts the limit next to the wire, before anything reads the body.
func limitAnswer(stack *middleware.Stack) error {
	return stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("LimitAnswer", func(
		ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler,
	) (middleware.DeserializeOutput, middleware.Metadata, error) {
		out, metadata, err := next.HandleDeserialize(ctx, in)
		if response, ok := out.RawResponse.(*smithyhttp.Response); ok && response != nil {
			response.Body = &limited{response.Body, maxAnswer}
		}
		return out, metadata, err
	}), middleware.After)
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
