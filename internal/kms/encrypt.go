package kms

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"

	"github.com/codeontap/entrypoint/internal/env"
)

// encryptedMarker stands before what we encrypt: a reader of the file sees what
// it is, and values of emulators are decrypted too.
const encryptedMarker = "kms+base64:"

// maxPlaintext is what Encrypt takes, in bytes (KMS API reference, Encrypt).
const maxPlaintext = 4096

// EncryptError is why nothing was encrypted. It holds nothing of the values.
type EncryptError struct {
	Problem   string
	Temporary bool // another try may help: 75, else 78
}

func (e *EncryptError) Error() string { return "cannot encrypt: " + e.Problem }

// ExitCode is what the verb ends with.
func (e *EncryptError) ExitCode() int {
	if e.Temporary {
		return exitTemporary
	}
	return exitConfiguration
}

// AskEncrypt has the values encrypted under a key, an id, ARN or alias, by a
// child process that Serve serves. It returns them as they may stand in an
// environment, in their order, or an *EncryptError: all of them or none.
func AskEncrypt(ctx context.Context, cfg Config, e env.Environment, keyID string, values []env.Secret, spawn Spawn, log *slog.Logger) ([]string, error) {
	req := request{Config: cfg, Encrypt: &toEncrypt{KeyID: keyID}}
	for _, v := range values {
		text := v.Reveal()
		if text == "" {
			return nil, &EncryptError{Problem: "an empty value; an empty variable is an unset one"}
		}
		if len(text) > maxPlaintext {
			return nil, &EncryptError{Problem: fmt.Sprintf("a value of %d bytes; KMS takes %d", len(text), maxPlaintext)}
		}
		req.Encrypt.Values = append(req.Encrypt.Values, []byte(text))
	}
	var a answer
	err := converse(ctx, req, &a, childEnvironmentOf(e, nil, log), spawn)
	if err == nil && a.Problem == "" && len(a.Encrypted) != len(values) {
		err = errors.New("it answered about another number of values")
	}
	switch {
	case err != nil:
		return nil, &EncryptError{Problem: "the process that asks KMS failed: " + err.Error(), Temporary: true}
	case a.Problem != "":
		return nil, &EncryptError{Problem: a.Problem, Temporary: a.Temporary}
	}
	texts := make([]string, len(values))
	for i, b := range a.Encrypted {
		texts[i] = encryptedMarker + base64.StdEncoding.EncodeToString(b)
	}
	return texts, nil
}

func encryptAll(ctx context.Context, cfg Config, what toEncrypt, service Service) answer {
	ctx, cancel := context.WithTimeout(ctx, cfg.Timeout)
	defer cancel()
	a := answer{}
	for _, v := range what.Values {
		var b []byte
		f := persist(ctx, false, func() (err error) {
			b, err = service.Encrypt(ctx, what.KeyID, env.NewSecret(string(v)))
			return err
		}, func(string) {})
		if f != nil {
			return answer{Problem: explainEncrypt(f, cfg), Temporary: f.Cause != Refused && f.Cause != Misconfigured}
		}
		a.Encrypted = append(a.Encrypted, b)
	}
	return a
}

func explainEncrypt(f *Failure, cfg Config) string {
	problem, hint := explain(f, Candidate{}, cfg)
	if f.Cause == Refused {
		where := ""
		if f.Region != "" {
			where = " in " + f.Region
		}
		problem, hint = "KMS refused it"+where, "check the key's id"
		switch f.Code {
		case "AccessDeniedException":
			problem, hint = "access denied"+where, "allow kms:Encrypt on the key to this identity"
		case "NotFoundException":
			problem, hint = "there is no such key"+where, "check the key's id and the region; an alias begins with alias/"
		}
	}
	return fmt.Sprintf("%s (%s): %s", problem, f.reference(), hint)
}
