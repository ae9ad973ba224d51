// Package awskms asks AWS KMS. It keeps the SDK within bounds that the SDK does
// not set itself: off AWS its defaults wait for minutes (measured: 8 s without
// a route, 91 s for an endpoint that swallows packets, 270 s for a credential
// endpoint that does), and repeat all of it with every call.
package awskms

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/smithy-go/logging"

	"github.com/codeontap/entrypoint/internal/env"
	ours "github.com/codeontap/entrypoint/internal/kms"
)

// attempt bounds one request, connecting included.
const attempt = 5 * time.Second

// Client asks KMS. Nothing is looked up, read or dialled before its first
// request, and credentials are had once, or not at all. Retries are the
// caller's.
type Client struct {
	e   env.Environment
	cfg ours.Config
	log *slog.Logger

	once    sync.Once
	api     *kms.Client
	region  string
	failure *ours.Failure // why there is no api
}

// New returns a client with the AWS settings of e. The caller owes it that e is
// the process's own environment: profiles, SSO and roles are the SDK's, which
// reads them there.
func New(e env.Environment, cfg ours.Config, log *slog.Logger) *Client {
	return &Client{e: e, cfg: cfg, log: log}
}

// Decrypt asks once. Its error is a *kms.Failure, or that of ctx.
func (c *Client) Decrypt(ctx context.Context, ciphertext []byte) (ours.Plaintext, error) {
	if err := c.ready(ctx); err != nil {
		return ours.Plaintext{}, err
	}
	bounded, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	in := &kms.DecryptInput{CiphertextBlob: ciphertext, EncryptionContext: c.cfg.Context}
	if c.cfg.KeyID != "" {
		in.KeyId = &c.cfg.KeyID
	}
	out, err := c.api.Decrypt(bounded, in)
	switch {
	case err != nil:
		return ours.Plaintext{}, failureOf(err, c.region)
	case len(out.Plaintext) == 0:
		return ours.Plaintext{}, &ours.Failure{Cause: ours.Busy, Code: ours.CodeBroken, Region: c.region, Detail: "an answer without a plaintext"}
	}
	return ours.Plaintext{
		Text:  env.NewSecret(string(out.Plaintext)),
		KeyID: ours.Token(aws.ToString(out.KeyId)),
	}, nil
}

// Encrypt asks once. Its error is a *kms.Failure, or that of ctx.
func (c *Client) Encrypt(ctx context.Context, keyID string, plaintext env.Secret) ([]byte, error) {
	if err := c.ready(ctx); err != nil {
		return nil, err
	}
	bounded, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	out, err := c.api.Encrypt(bounded, &kms.EncryptInput{
		KeyId: &keyID, Plaintext: []byte(plaintext.Reveal()), EncryptionContext: c.cfg.Context,
	})
	switch {
	case err != nil:
		return nil, failureOf(err, c.region)
	case len(out.CiphertextBlob) == 0:
		return nil, &ours.Failure{Cause: ours.Busy, Code: ours.CodeBroken, Region: c.region, Detail: "an answer without a ciphertext"}
	}
	return out.CiphertextBlob, nil
}

// ready builds the SDK's client when it is first needed. All callers wait for
// the first one's build, and share its end: their contexts end together.
func (c *Client) ready(ctx context.Context) error {
	c.once.Do(func() { c.build(ctx) })
	if c.failure != nil {
		return c.failure
	}
	return nil
}

func (c *Client) build(ctx context.Context) {
	s, failure := read(c.e, c.cfg)
	if failure != nil {
		c.failure = failure
		return
	}
	if s.exposed() {
		c.log.Warn("KMS is asked over plain http: plaintext can be read on the way to " + s.endpoint.Host)
	}
	cfg, failure := s.config(ctx, c.log)
	if failure != nil {
		c.failure = failure
		return
	}
	c.region = cfg.Region
	if c.failure = retrieve(ctx, &cfg); c.failure != nil {
		return
	}
	c.api = kms.NewFromConfig(cfg, func(o *kms.Options) {
		o.Retryer = aws.NopRetryer{}
		o.HTTPClient = exchange{o.HTTPClient}
		if s.endpoint != nil {
			address := s.endpoint.String()
			o.BaseEndpoint = &address
		}
	})
}

// quiet is the SDK's logger: what it logs on its own goes to debug, and only
// the words that stand in its source, up to the first argument.
func quiet(log *slog.Logger) logging.Logger {
	return logging.LoggerFunc(func(_ logging.Classification, format string, _ ...any) {
		words, _, _ := strings.Cut(format, "%")
		log.Debug("AWS SDK: " + strings.TrimRight(words, " :,"))
	})
}
