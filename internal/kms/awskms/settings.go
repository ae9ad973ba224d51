package awskms

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	"github.com/aws/aws-sdk-go-v2/credentials/ssocreds"
	"github.com/aws/smithy-go"

	"github.com/codeontap/entrypoint/internal/env"
	ours "github.com/codeontap/entrypoint/internal/kms"
)

// settings are the AWS settings that the environment and our flags make up by
// themselves, without a file.
type settings struct {
	e        env.Environment
	region   string   // empty: the profile's
	endpoint *url.URL // nil: AWS's, or the profile's
}

// read takes the settings from the environment. --kms-region comes before
// AWS_REGION before AWS_DEFAULT_REGION; the instance metadata service is not
// asked for one.
func read(e env.Environment, cfg ours.Config) (settings, *ours.Failure) {
	s := settings{e: e, region: cfg.Region}
	for _, name := range [...]string{"AWS_REGION", "AWS_DEFAULT_REGION"} {
		if s.region == "" {
			s.region = e.Get(name).Reveal()
		}
	}
	if s.region != "" && !isLabel(s.region) {
		return settings{}, misconfigured("the region is no name of a region, such as eu-west-1")
	}
	if strings.EqualFold(e.Get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS").Reveal(), "true") {
		return s, nil
	}
	for _, name := range [...]string{"AWS_ENDPOINT_URL_KMS", "AWS_ENDPOINT_URL"} {
		address := e.Get(name).Reveal()
		if address == "" {
			continue
		}
		u, err := url.Parse(address)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return settings{}, misconfigured(name + " is no URL: wanted https://HOST")
		}
		s.endpoint = u
		break
	}
	return s, nil
}

func misconfigured(detail string) *ours.Failure {
	return &ours.Failure{Cause: ours.Misconfigured, Code: ours.CodeConfiguration, Detail: detail}
}

// isLabel reports whether s may stand in a host's name (RFC 1123, section 2.1).
func isLabel(s string) bool {
	odd := func(r rune) bool { return !('a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '-') }
	return len(s) <= 63 && !strings.ContainsFunc(strings.ToLower(s), odd)
}

// exposed reports whether what is sent and answered can be read on the way.
func (s settings) exposed() bool {
	return s.endpoint != nil && s.endpoint.Scheme == "http" && !ours.IsLoopback(s.endpoint)
}

// static reports whether the environment holds all there is to know: keys, and
// nothing else that the SDK might be told by. The SDK's full chain costs 3 ms
// and is left alone then.
func (s settings) static() bool {
	if !s.e.Has("AWS_ACCESS_KEY_ID") || !s.e.Has("AWS_SECRET_ACCESS_KEY") || s.region == "" || !s.e.Has("HOME") {
		return false
	}
	for _, v := range s.e.Variables() {
		switch v.Name {
		case "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION",
			"AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_KMS", "AWS_EXECUTION_ENV", "AWS_EC2_METADATA_DISABLED":
		default:
			if strings.HasPrefix(v.Name, "AWS_") && !v.Value.IsEmpty() {
				return false
			}
		}
	}
	for _, name := range [...]string{"config", "credentials"} {
		if _, err := os.Stat(filepath.Join(s.e.Get("HOME").Reveal(), ".aws", name)); !errors.Is(err, os.ErrNotExist) {
			return false
		}
	}
	return true
}

// config makes the SDK's configuration: by hand where the environment says it
// all, else by the SDK's chain of profiles, SSO, roles, web identity and
// container credentials. It dials nothing.
func (s settings) config(ctx context.Context, log *slog.Logger) (aws.Config, *ours.Failure) {
	client := httpClient(s.endpoint)
	if s.static() {
		return aws.Config{
			Region:     s.region,
			HTTPClient: client,
			Logger:     quiet(log),
			Credentials: credentials.NewStaticCredentialsProvider(
				s.e.Get("AWS_ACCESS_KEY_ID").Reveal(), s.e.Get("AWS_SECRET_ACCESS_KEY").Reveal(), s.e.Get("AWS_SESSION_TOKEN").Reveal()),
		}, nil
	}
	options := []func(*config.LoadOptions) error{config.WithHTTPClient(client), config.WithLogger(quiet(log))}
	if s.region != "" {
		options = append(options, config.WithRegion(s.region))
	}
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		// The SDK's text may quote the file.
		if profile, ok := errors.AsType[config.SharedConfigProfileNotExistError](err); ok {
			return aws.Config{}, misconfigured("there is no profile " + ours.Token(profile.Profile) + " in ~/.aws")
		}
		if _, err := os.ReadFile(s.e.Get("AWS_CA_BUNDLE").Reveal()); s.e.Has("AWS_CA_BUNDLE") && err != nil {
			return aws.Config{}, misconfigured("the file that AWS_CA_BUNDLE names cannot be read")
		}
		return aws.Config{}, misconfigured("the AWS variables or the files in ~/.aws cannot be read; `aws sts get-caller-identity` says more")
	}
	if cfg.Region == "" {
		return aws.Config{}, &ours.Failure{Cause: ours.Misconfigured, Code: ours.CodeNoRegion}
	}
	return cfg, nil
}

// metadataPatience is how long the instance metadata service is awaited where
// nothing else could have credentials. On EC2 it answers in milliseconds;
// elsewhere it never does.
const metadataPatience = 1900 * time.Millisecond

// retrieve gets the credentials, once, and puts them into cfg for all requests
// of the batch.
func retrieve(ctx context.Context, cfg *aws.Config) *ours.Failure {
	onlyMetadata := aws.IsCredentialsProvider(cfg.Credentials, (*ec2rolecreds.Provider)(nil))
	// A source that hangs shall be named by us, before the batch's end is
	// blamed on KMS.
	patience := metadataPatience
	if end, ok := ctx.Deadline(); ok && (!onlyMetadata || time.Until(end) < patience) {
		patience = time.Until(end) * 9 / 10
	}
	bounded, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	found, err := cfg.Credentials.Retrieve(bounded)
	if err == nil {
		cfg.Credentials = credentials.StaticCredentialsProvider{Value: found}
		return nil
	}
	f := &ours.Failure{Cause: ours.NoCredentials, Code: ours.CodeNoCredentials, Region: cfg.Region}
	switch {
	case onlyMetadata:
		f.Detail = "none are configured, and the instance metadata service gave none (to a container on EC2 it does with a hop limit of 2)"
	case isSSO(err):
		f.Detail = "the SSO session is over, `aws sso login` begins another"
	case bounded.Err() != nil:
		f.Detail = "their source did not answer in time"
	default:
		f.Detail = "their source, a profile, role or container endpoint, gave none"
		if u := untrusted(err); u != nil {
			return u
		}
		if u := unreachable(err); u != nil {
			f.Detail = "their source cannot be reached, " + u.Detail
		}
		if api, ok := errors.AsType[smithy.APIError](err); ok {
			f.Detail += ", " + ours.Token(api.ErrorCode())
		}
	}
	return f
}

func isSSO(err error) bool {
	_, ok := errors.AsType[*ssocreds.InvalidTokenError](err)
	return ok
}
