package kms

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Cause groups failures by what may be done about them: whether another try
// can help, and whether it concerns one value or all.
type Cause int

// The causes.
const (
	Busy          Cause = iota // another try may help this value
	Refused                    // KMS said no to this value
	Unreachable                // no connection: some tries, then the same for all
	Untrusted                  // the server's certificate: the same for all
	NoCredentials              // none, expired ones or wrong ones: the same for all
	ClockSkew                  // the signature's time: once more, since the client has learned the server's, then the same for all
	Misconfigured              // no region and the like: the same for all
	Stopped                    // somebody asked us to end
)

// Failure is why a value was not decrypted. It holds no text of the server's
// but its code and its request id: emulators echo what they were sent.
type Failure struct {
	Cause     Cause
	Code      string // KMS's, such as AccessDeniedException, or one of ours
	RequestID string // empty if there was none
	Region    string // that was asked
	Detail    string // our own words, or the kernel's; empty if the code says all
}

// The codes of what KMS does not name.
const (
	CodeTimeout       = "Timeout"       // no answer in time
	CodeBroken        = "BrokenAnswer"  // not what KMS answers: HTML, cut off, too long
	CodeUnreachable   = "Unreachable"   // no connection
	CodeUntrusted     = "Untrusted"     // the certificate
	CodeNoCredentials = "NoCredentials" // no source had any
	CodeNoRegion      = "NoRegion"      // nobody said where to ask
	CodeConfiguration = "Configuration" // the AWS settings cannot be read
	CodeStopped       = "Stopped"       // TERM, INT or QUIT
	CodeChild         = "Child"         // the decrypting process failed
)

func (f *Failure) Error() string {
	if f.Detail == "" {
		return f.reference()
	}
	return f.Detail + " (" + f.reference() + ")"
}

// CauseOf tells the cause from an answer of KMS: the error code, and the HTTP
// status for codes that nobody has heard of. Most of the codes are no types in
// the SDK (the common errors of the AWS APIs are not).
func CauseOf(code string, status int) Cause {
	switch code {
	case "KeyUnavailableException", "KMSInternalException", "DependencyTimeoutException",
		"ThrottlingException", "Throttling", "ThrottledException", "TooManyRequestsException", "RequestLimitExceeded",
		"LimitExceededException", "ServiceUnavailable", "ServiceUnavailableException", "InternalFailure", "InternalError":
		return Busy
	case "ExpiredTokenException", "ExpiredToken", "UnrecognizedClientException", "InvalidClientTokenId",
		"InvalidSignatureException", "SignatureDoesNotMatch", "IncompleteSignature", "IncompleteSignatureException",
		"MissingAuthenticationToken", "MissingAuthenticationTokenException", "InvalidAccessKeyId", "AuthFailure",
		"OptInRequired", "NotAuthorized":
		return NoCredentials
	case "RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture":
		return ClockSkew
	}
	if status == 429 || status >= 500 || code == CodeBroken {
		return Busy
	}
	return Refused
}

// final reports whether the try-th failure of this cause is the value's last.
// A value's own temporary error is tried again until the deadline.
func (c Cause) final(try int) bool {
	switch c {
	case Busy:
		return false
	case Unreachable:
		return try >= connectTries
	case ClockSkew:
		return try >= 2
	}
	return true
}

// shared reports whether what befell one value befalls all.
func (c Cause) shared() bool { return c != Busy && c != Refused }

// failureOf makes a Failure of whatever a Client returns.
func failureOf(err error) *Failure {
	if f, ok := errors.AsType[*Failure](err); ok {
		return f
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return &Failure{Cause: Busy, Code: CodeTimeout}
	}
	return &Failure{Cause: Busy, Code: CodeBroken}
}

// explain says what happened and what to do about it, for a value that the
// failure kept from being decrypted.
func explain(f *Failure, c Candidate, cfg Config) (problem, hint string) {
	where, detail := "", ""
	if f.Region != "" {
		where = " in " + f.Region
	}
	if f.Detail != "" {
		detail = ": " + f.Detail
	}
	switch f.Cause {
	case Busy:
		if f.Code == CodeChild {
			return "the process that asks KMS failed" + detail, "try again"
		}
		return fmt.Sprintf("no good answer of KMS%s within %v, last error %s%s", where, cfg.Timeout, f.Code, detail),
			"try again; --decrypt-timeout is the time that it has"
	case Unreachable:
		return "KMS" + where + " cannot be reached" + detail, "check network, security group, endpoint and proxy"
	case Untrusted:
		return "the server's certificate is not trusted" + detail,
			"AWS_CA_BUNDLE or SSL_CERT_FILE name further authorities"
	case NoCredentials:
		if f.Code == CodeNoCredentials {
			return "there are no AWS credentials" + detail,
				"give the task a role, or set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
		}
		return "the AWS credentials are not accepted" + where + detail,
			"renew them; a secret key that does not fit and a wrong clock look the same"
	case ClockSkew:
		return "this machine's clock is off" + detail, "set the clock"
	case Misconfigured:
		if f.Code == CodeNoRegion {
			return "no AWS region is set", "set AWS_REGION or --kms-region"
		}
		return "the AWS settings cannot be used" + detail, "correct them"
	case Stopped:
		return "we were asked to stop", ""
	}

	const rejected = "genuine ciphertext rejected: wrong context or modified"
	switch f.Code {
	case "InvalidCiphertextException":
		switch {
		case c.Damage != "":
			return c.Damage, "take the value from its source again"
		case c.Shape == Marked:
			return "KMS does not take it for a ciphertext: wrong context or modified", "encrypt it again"
		case len(cfg.Context) > 0:
			return rejected, "with --encryption-context only values can be read that were encrypted with the same one, and none that were encrypted without"
		}
		return rejected, "if it was encrypted with a context, set --encryption-context; else encrypt it again"
	case "AccessDeniedException":
		return "access denied" + where, "allow kms:Decrypt on its key to this role, or set the region that the key is in"
	case "IncorrectKeyException":
		return "it was encrypted under another key than the one that may decrypt", "encrypt it under the key of --kms-key-id"
	case "DisabledException":
		return "its key is disabled", "enable the key"
	case "KMSInvalidStateException":
		return "its key cannot be used in the state it is in", "a key that waits for its deletion or for its material decrypts nothing"
	case "InvalidKeyUsageException":
		return "its key is not one that decrypts", "encrypt it under a symmetric key"
	case "NotFoundException":
		return "there is no such key" + where, "check --kms-key-id and the region"
	}
	return "KMS refused it" + where, ""
}

// reference is what a line about the failure ends with, to be looked up or
// given to the support.
func (f *Failure) reference() string {
	if f.RequestID == "" {
		return f.Code
	}
	return f.Code + ", request " + f.RequestID
}

// verdictOf is the failure in the words of `check --json`.
func verdictOf(f *Failure, c Candidate) Verdict {
	switch f.Cause {
	case Busy, Unreachable, Untrusted:
		return Unavailable
	case NoCredentials, ClockSkew:
		return WithoutCredentials
	case Misconfigured, Stopped:
		return NotAsked
	}
	switch f.Code {
	case "InvalidCiphertextException":
		if c.Damage != "" {
			return BadlyDamaged
		}
	case "AccessDeniedException", "InvalidGrantTokenException":
		return Denied
	case "IncorrectKeyException":
		return WrongKey
	case "DisabledException", "KMSInvalidStateException", "InvalidKeyUsageException", "NotFoundException":
		return KeyState
	}
	return Invalid
}

// Token returns s if it looks like a code, a request id or the name of a key,
// and nothing otherwise: what a server calls so and is none is not repeated.
func Token(s string) string {
	const longest = 256
	odd := func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-_.:/", r))
	}
	if len(s) > longest || strings.ContainsFunc(s, odd) {
		return ""
	}
	return s
}
