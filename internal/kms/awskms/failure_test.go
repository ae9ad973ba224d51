package awskms

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"syscall"
	"testing"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	ours "github.com/codeontap/entrypoint/internal/kms"
)

// What cannot be brought about with a server on this machine: errors as the
// transport wraps them.
func TestClassify(t *testing.T) {
	sent := func(err error) error {
		return &smithyhttp.RequestSendError{Err: &url.Error{Op: "Post", URL: "https://kms.eu-west-1.amazonaws.com/?hunter2", Err: err}}
	}
	address := &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 443}
	for name, c := range map[string]struct {
		err    error
		cause  ours.Cause
		detail string
	}{
		"no route":       {sent(&net.OpError{Op: "dial", Net: "tcp", Addr: address, Err: os.NewSyscallError("connect", syscall.ENETUNREACH)}), ours.Unreachable, "connecting to 10.0.0.1:443 failed, network is unreachable"},
		"a black hole":   {sent(&net.OpError{Op: "dial", Net: "tcp", Addr: address, Err: os.ErrDeadlineExceeded}), ours.Unreachable, "no answer from 10.0.0.1:443"},
		"proxy":          {sent(&net.OpError{Op: "proxyconnect", Net: "tcp", Err: &net.OpError{Op: "dial", Addr: address, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}}), ours.Unreachable, "connecting to the proxy failed"},
		"proxy refuses":  {sent(errors.New("Proxy Authentication Required: hunter2")), ours.Busy, "the connection broke off"},
		"reset":          {sent(&net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)}), ours.Busy, "the connection broke off"},
		"name":           {sent(&net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "kms.internal", IsNotFound: true}}), ours.Unreachable, "the name kms.internal cannot be resolved"},
		"expired":        {sent(&tls.CertificateVerificationError{Err: x509.CertificateInvalidError{Reason: x509.Expired}}), ours.Untrusted, "expired, or not valid yet by this machine's clock"},
		"not a server's": {sent(&tls.CertificateVerificationError{Err: x509.CertificateInvalidError{Reason: x509.IncompatibleUsage}}), ours.Untrusted, "not valid for this"},
		"constraint":     {sent(&tls.CertificateVerificationError{Err: errors.New("hunter2")}), ours.Untrusted, ""},
		"TLS alert":      {sent(&net.OpError{Op: "remote error", Err: tls.AlertError(40)}), ours.Unreachable, "the server refuses the TLS handshake"},
		"attempt's end":  {sent(context.DeadlineExceeded), ours.Busy, ""},
		"no answer at all, wrapped as one": {&awshttp.ResponseError{ResponseError: &smithyhttp.ResponseError{Err: sent(context.DeadlineExceeded)}},
			ours.Busy, ""},
		"no request": {fmt.Errorf("resolve endpoint: hunter2"), ours.Misconfigured, "no request can be made for this region and endpoint"},
		"no code, HTTP 500": {&awshttp.ResponseError{ResponseError: &smithyhttp.ResponseError{
			Response: &smithyhttp.Response{Response: &http.Response{StatusCode: 500, Header: http.Header{}}}, Err: errors.New("hunter2")}},
			ours.Busy, "an answer that is not KMS's, HTTP 500"},
	} {
		f := failureOf(c.err, "eu-west-1")
		if f.Cause != c.cause || f.Detail != c.detail || f.Region != "eu-west-1" {
			t.Errorf("%s: %+v", name, f)
		}
	}
}
