package kms

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/codeontap/entrypoint/internal/env"
)

// Spawn starts the decrypting process: our own binary, which calls Serve. It
// gets the environment e, the request on its standard input, and our standard
// error; answer is its standard output. The end of ctx kills it. wait is called
// once, after answer is closed, and says how it ended.
type Spawn func(ctx context.Context, e env.Environment, request []byte) (answer io.ReadCloser, wait func() error, err error)

// Service is what Serve asks KMS through.
type Service interface {
	Client
	// Encrypt returns a ciphertext. Its error is a *Failure.
	Encrypt(ctx context.Context, keyID string, plaintext env.Secret) ([]byte, error)
}

// margin is what the child may take beside the batch's timeout: to start, to
// read, to write.
const margin = 2 * time.Second

// Serve is the child's whole life: a request from in, KMS, an answer to out. It
// returns the exit code; anything but 0 means that there is no answer. The
// caller owes it that out leads to the parent and nowhere else: the answer holds
// plaintext.
func Serve(ctx context.Context, in io.Reader, out io.Writer, open func(Config) Service, log *slog.Logger) int {
	const failed = 70
	var req request
	if err := read(in, &req); err != nil {
		log.Error("cannot decrypt: the request of the parent process: " + err.Error())
		return failed
	}
	service := open(req.Config)
	var a answer
	if req.Encrypt != nil {
		a = encryptAll(ctx, req.Config, *req.Encrypt, service)
	} else {
		a = answerOf(Resolve(ctx, req.Config, req.candidates(), service, log))
	}
	b, err := json.Marshal(a)
	if err == nil {
		_, err = out.Write(b)
	}
	if err != nil {
		log.Error("cannot decrypt: the parent process does not take the answer")
		return failed
	}
	return 0
}

// Ask has the candidates decrypted by a child process, so that the memory it
// takes goes with it, and returns when each has its outcome, at the latest a
// moment after the timeout. Without candidates nothing is started. A child that
// dies or talks nonsense is a temporary failure of all of them.
//
// e is the merged environment that AWS settings are read from. log gets what
// has to be said before the end; Result.Log says the rest.
func Ask(ctx context.Context, cfg Config, e env.Environment, candidates []Candidate, spawn Spawn, log *slog.Logger) Result {
	if len(candidates) == 0 {
		return Result{}
	}
	start := time.Now()
	toAsk := false
	for _, c := range candidates {
		toAsk = toAsk || !c.Ciphertext.IsEmpty()
	}
	if !toAsk {
		return Offline(candidates)
	}
	var a answer
	err := converse(ctx, requestOf(cfg, candidates), &a, childEnvironmentOf(e, candidates, log), spawn)
	var r Result
	if err == nil {
		r, err = a.result(candidates)
	}
	if err != nil {
		r = Result{Requests: map[string]int{}, Elapsed: time.Since(start), Stopped: ctx.Err() != nil}
		f := &Failure{Cause: Busy, Code: CodeChild, Detail: err.Error()}
		if r.Stopped {
			f = &Failure{Cause: Stopped, Code: CodeStopped}
		}
		for _, c := range candidates {
			if c.Ciphertext.IsEmpty() {
				r.Outcomes = append(r.Outcomes, unasked(c))
			} else {
				r.Outcomes = append(r.Outcomes, failed(c, f, cfg))
			}
		}
	}
	return r
}

func childEnvironmentOf(e env.Environment, candidates []Candidate, log *slog.Logger) env.Environment {
	child, warnings := childEnvironment(e, candidates)
	for _, w := range warnings {
		log.Warn(w)
	}
	return child
}

// converse is one request and its answer.
func converse(ctx context.Context, req request, a *answer, e env.Environment, spawn Spawn) error {
	ctx, cancel := context.WithTimeout(ctx, req.Config.Timeout+margin)
	defer cancel()
	b, err := json.Marshal(req)
	if err != nil {
		return err
	}
	out, wait, err := spawn(ctx, e, b)
	if err != nil {
		return fmt.Errorf("it cannot be started: %w", err)
	}
	err = read(out, a)
	_ = out.Close() // it was read from: nothing is lost
	ended := wait()
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded) && (err != nil || ended != nil):
		return fmt.Errorf("it did not end within %v", req.Config.Timeout+margin)
	case ended != nil:
		return fmt.Errorf("it ended with %w", ended)
	case err != nil:
		return fmt.Errorf("its answer: %w", err)
	}
	return nil
}
