package awskms

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"syscall"
	"time"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	ours "github.com/codeontap/entrypoint/internal/kms"
)

// failureOf makes of an SDK error what may be said aloud: codes, and the
// kernel's words. The SDK's own texts repeat what the server said.
func failureOf(err error, region string) *ours.Failure {
	f := classify(err)
	f.Region = region
	return f
}

func classify(err error) *ours.Failure {
	if f := untrusted(err); f != nil {
		return f
	}
	if f := unreachable(err); f != nil {
		return f
	}
	// The SDK wraps in this what had no answer as well.
	if response, ok := errors.AsType[*awshttp.ResponseError](err); ok && response.Response != nil && response.HTTPStatusCode() != 0 {
		return answered(err, response)
	}
	if errors.Is(err, context.DeadlineExceeded) || isTimeout(err) {
		return &ours.Failure{Cause: ours.Busy, Code: ours.CodeTimeout}
	}
	if _, ok := errors.AsType[*smithyhttp.RequestSendError](err); ok {
		return &ours.Failure{Cause: ours.Busy, Code: ours.CodeBroken, Detail: "the connection broke off"}
	}
	if _, ok := errors.AsType[*smithy.DeserializationError](err); ok {
		return broken(err, 0)
	}
	if errors.Is(err, context.Canceled) {
		return &ours.Failure{Cause: ours.Busy, Code: ours.CodeStopped}
	}
	// Nothing was sent: no endpoint for this region, no signature.
	return misconfigured("no request can be made for this region and endpoint")
}

// answered is a failure with an HTTP answer.
func answered(err error, response *awshttp.ResponseError) *ours.Failure {
	status := response.HTTPStatusCode()
	api, ok := errors.AsType[smithy.APIError](err)
	code := ""
	if ok {
		code = ours.Token(api.ErrorCode())
	}
	if code == "" || code == "UnknownError" { // the SDK's word for none
		if errors.Is(err, context.DeadlineExceeded) || isTimeout(err) {
			return &ours.Failure{Cause: ours.Busy, Code: ours.CodeTimeout, Detail: "an answer that did not end"}
		}
		return broken(err, status)
	}
	f := &ours.Failure{Cause: ours.CauseOf(code, status), Code: code, RequestID: ours.Token(response.ServiceRequestID())}
	skew := skewOf(response)
	if bad := code == "InvalidSignatureException" || code == "SignatureDoesNotMatch"; bad && skew.Abs() > tolerance {
		f.Cause = ours.ClockSkew
	}
	if f.Cause == ours.ClockSkew && skew.Abs() > time.Minute {
		f.Detail = fmt.Sprintf("KMS is %v %s", skew.Abs().Round(time.Minute), map[bool]string{true: "ahead", false: "behind"}[skew > 0])
	}
	return f
}

// tolerance is how far off a signature may be (Signature Version 4: five
// minutes), less what the way takes.
const tolerance = 4 * time.Minute

// skewOf is how far the server's clock is ahead of ours.
func skewOf(response *awshttp.ResponseError) time.Duration {
	if response.Response == nil || response.Response.Response == nil {
		return 0
	}
	date, err := http.ParseTime(response.Response.Header.Get("Date"))
	if err != nil {
		return 0
	}
	return time.Until(date)
}

// broken is an answer that is none of KMS.
func broken(err error, status int) *ours.Failure {
	f := &ours.Failure{Cause: ours.Busy, Code: ours.CodeBroken, Detail: "an answer that is not KMS's"}
	switch {
	case errors.Is(err, errTooLong):
		f.Detail = "an answer longer than KMS gives"
	case status >= 300:
		f.Detail = fmt.Sprintf("an answer that is not KMS's, HTTP %d", status)
	}
	return f
}

func untrusted(err error) *ours.Failure {
	detail := ""
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		detail = "signed by an authority that this container does not know"
	} else if _, ok := errors.AsType[x509.HostnameError](err); ok {
		detail = "made out to another host"
	} else if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		detail = "not valid for this"
		if invalid.Reason == x509.Expired {
			detail = "expired, or not valid yet by this machine's clock"
		}
	} else if _, ok := errors.AsType[*tls.CertificateVerificationError](err); !ok {
		return nil
	}
	return &ours.Failure{Cause: ours.Untrusted, Code: ours.CodeUntrusted, Detail: detail}
}

// unreachable is a connection that was not made. What it says comes from the
// kernel and the resolver: names, addresses and error numbers.
func unreachable(err error) *ours.Failure {
	f := &ours.Failure{Cause: ours.Unreachable, Code: ours.CodeUnreachable}
	if name, ok := errors.AsType[*net.DNSError](err); ok {
		f.Detail = "the name " + ours.Token(name.Name) + " cannot be resolved"
		return f
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && (op.Op == "dial" || op.Op == "proxyconnect") {
		f.Detail = "connecting to the proxy failed"
		if op.Op == "dial" && op.Addr != nil {
			f.Detail = "connecting to " + op.Addr.String() + " failed"
			if errno, ok := errors.AsType[syscall.Errno](op.Err); ok {
				f.Detail += ", " + errno.Error()
			}
			if op.Timeout() {
				f.Detail = "no answer from " + op.Addr.String()
			}
		}
		return f
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok || errors.Is(err, http.ErrSchemeMismatch) {
		f.Detail = "the server does not speak TLS"
		return f
	}
	if _, ok := errors.AsType[tls.AlertError](err); ok {
		f.Detail = "the server refuses the TLS handshake"
		return f
	}
	return nil
}

func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}
