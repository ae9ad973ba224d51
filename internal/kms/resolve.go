package kms

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/codeontap/entrypoint/internal/env"
)

// Config is how a batch is asked.
type Config struct {
	Timeout time.Duration     // of the whole batch
	Region  string            // empty: AWS_REGION, AWS_DEFAULT_REGION, the profile's
	KeyID   string            // the only key that may decrypt; empty for any
	Context map[string]string // encryption context; empty for none
}

// Plaintext is KMS's answer.
type Plaintext struct {
	Text  env.Secret
	KeyID string // ARN
}

// Client asks KMS once, without a try of its own after a failure. It returns
// before ctx ends or soon after, and every error that is no *Failure counts as
// Busy. It is called from several goroutines.
type Client interface {
	Decrypt(ctx context.Context, ciphertext []byte) (Plaintext, error)
}

const (
	workers       = 16 // requests under way
	connectTries  = 5  // until no connection counts as none for anybody
	firstPause    = 100 * time.Millisecond
	longestPause  = 2 * time.Second
	progressAfter = time.Second
)

// codeOK is the code of a request that was answered with a plaintext, for the
// metric.
const codeOK = "OK"

// Resolve asks KMS about the candidates, the certain ones first, equal
// ciphertexts once, and returns when each has its outcome, at the latest when
// the timeout is over or ctx is cancelled (Result.Stopped). It logs only that
// it takes long; Result.Log says the rest.
//
// One failure that concerns all (no connection, no credentials, no region)
// ends the batch for all.
func Resolve(ctx context.Context, cfg Config, candidates []Candidate, client Client, log *slog.Logger) Result {
	start := time.Now()
	bounded, cancel := context.WithTimeout(ctx, cfg.Timeout)
	defer cancel()
	progress := time.NewTimer(progressAfter)
	defer progress.Stop()

	b := batch{client: client, log: log, progress: progress.C, requests: map[string]int{}}
	certain, guesses := questions(candidates)
	b.left = len(certain) + len(guesses)
	b.round(bounded, certain, false)
	b.round(bounded, guesses, true)

	r := Result{Requests: b.requests, Elapsed: time.Since(start), Stopped: ctx.Err() != nil && b.unanswered}
	r.Outcomes = make([]Outcome, len(candidates))
	for i, c := range candidates {
		if c.Ciphertext.IsEmpty() {
			r.Outcomes[i] = unasked(c)
		}
	}
	for _, q := range append(certain, guesses...) {
		for _, i := range q.candidates {
			if q.failure != nil {
				r.Outcomes[i] = failed(candidates[i], q.failure, cfg)
			} else {
				r.Outcomes[i] = succeeded(candidates[i], q.plaintext)
			}
		}
	}
	return r
}

// question is one ciphertext, and its answer.
type question struct {
	ciphertext []byte
	candidates []int // that hold it, by index

	plaintext Plaintext
	failure   *Failure // nil if there is a plaintext
}

// questions gathers what is to be asked: what is certain to be meant for KMS,
// and what is base64 and may be anything.
func questions(candidates []Candidate) (certain, guesses []*question) {
	known := map[string]*question{}
	for _, guess := range [...]bool{false, true} {
		for i, c := range candidates {
			if c.Ciphertext.IsEmpty() || (c.Shape == Guess) != guess {
				continue
			}
			text := c.Ciphertext.Reveal()
			q, ok := known[text]
			if !ok {
				q = &question{ciphertext: []byte(text)}
				known[text] = q
				if guess {
					guesses = append(guesses, q)
				} else {
					certain = append(certain, q)
				}
			}
			q.candidates = append(q.candidates, i)
		}
	}
	return certain, guesses
}

// batch is owned by the goroutine that calls round.
type batch struct {
	client   Client
	log      *slog.Logger
	progress <-chan time.Time

	requests   map[string]int
	left       int
	last       string   // code of the last failure
	broken     *Failure // what ended the batch for all
	unanswered bool     // some question was given up because ctx ended
}

// event is what a goroutine that asks has to tell: each request's code, and in
// the end that the question is answered.
type event struct {
	code string
	done *question
}

// round asks all questions, workers at a time. The first failure that concerns
// all ends it; of guesses, which are asked once, any that is no refusal.
func (b *batch) round(ctx context.Context, questions []*question, guesses bool) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	if b.broken != nil {
		stop(b.broken)
	}
	events := make(chan event)
	places := make(chan struct{}, workers)
	for _, q := range questions {
		go func() {
			select {
			case places <- struct{}{}:
				b.ask(ctx, q, guesses, events)
				if f := q.failure; f != nil && (f.Cause.shared() || guesses && f.Cause != Refused) {
					stop(f) // before the next one gets the place
				}
				<-places
			case <-ctx.Done():
				q.failure = ended(ctx, nil)
			}
			events <- event{done: q}
		}()
	}
	for answered := 0; answered < len(questions); {
		select {
		case <-b.progress:
			last := "no answer yet"
			if b.last != "" {
				last = "last error " + b.last
			}
			b.log.Warn(fmt.Sprintf("still decrypting: %d left, %s", b.left, last))
		case e := <-events:
			if e.code != "" {
				b.requests[e.code]++
			}
			if e.code != "" && e.code != codeOK {
				b.last = e.code
			}
			if e.done == nil {
				continue
			}
			answered++
			b.left--
			if f := e.done.failure; f != nil && f.Cause == Stopped {
				b.unanswered = true
			}
		}
	}
	if f, ok := errors.AsType[*Failure](context.Cause(ctx)); ok {
		b.broken = f
	}
}

// ask asks one question until it has an answer, or another try is of no use.
func (b *batch) ask(ctx context.Context, q *question, once bool, events chan<- event) {
	q.failure = persist(ctx, once, func() (err error) {
		q.plaintext, err = b.client.Decrypt(ctx, q.ciphertext)
		return err
	}, func(code string) { events <- event{code: code} })
}

// persist tries until it succeeds (nil), another try is of no use, or ctx ends.
// tell hears the code of each try that came to an end by itself.
func persist(ctx context.Context, once bool, do func() error, tell func(code string)) *Failure {
	var last *Failure
	for try := 1; ; try++ {
		if ctx.Err() != nil {
			return ended(ctx, last)
		}
		err := do()
		if err == nil {
			tell(codeOK)
			return nil
		}
		if ctx.Err() != nil { // the error is that of the end
			return ended(ctx, last)
		}
		last = failureOf(err)
		tell(last.Code)
		if once || last.Cause.final(try) {
			return last
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause(try)):
		}
	}
}

// ended is the failure of a question that the end of ctx left without an
// answer; last is how its last try failed, nil if it had none.
func ended(ctx context.Context, last *Failure) *Failure {
	cause := context.Cause(ctx)
	if f, ok := errors.AsType[*Failure](cause); ok {
		return f
	}
	if !errors.Is(cause, context.DeadlineExceeded) {
		return &Failure{Cause: Stopped, Code: CodeStopped}
	}
	if last != nil {
		return last
	}
	return &Failure{Cause: Busy, Code: CodeTimeout}
}

// pause is the wait after a try: exponential with full jitter ("Exponential
// Backoff And Jitter", AWS Architecture Blog), so that a fleet that starts at
// once does not ask at once.
func pause(try int) time.Duration {
	ceiling := longestPause
	if shift := try - 1; shift < 10 {
		ceiling = min(longestPause, firstPause<<shift)
	}
	return rand.N(ceiling) + 1
}
