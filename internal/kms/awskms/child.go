package awskms

import (
	"context"
	"io"
	"log/slog"

	"github.com/codeontap/entrypoint/internal/env"
	ours "github.com/codeontap/entrypoint/internal/kms"
)

// Child is the decrypting process's whole life: a request from in, KMS, an
// answer to out, and the exit code. e is the process's own environment.
func Child(ctx context.Context, in io.Reader, out io.Writer, e env.Environment, log *slog.Logger) int {
	return ours.Serve(ctx, in, out, func(cfg ours.Config) ours.Service { return New(e, cfg, log) }, log)
}
