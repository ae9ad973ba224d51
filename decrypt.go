package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/codeontap/entrypoint/internal/command"
	"github.com/codeontap/entrypoint/internal/early"
	"github.com/codeontap/entrypoint/internal/env"
	"github.com/codeontap/entrypoint/internal/kms"
	"github.com/codeontap/entrypoint/internal/kms/awskms"
	"github.com/codeontap/entrypoint/internal/reap"
	"github.com/codeontap/entrypoint/internal/shim"
)

// decryption is the settings' part about KMS.
type decryption struct {
	mode   kms.Mode
	policy kms.Policy
	config kms.Config
}

// decryption reads the settings; what is wrong is added to the problems.
func (s *prepared) decryption() decryption {
	d := decryption{config: kms.Config{Timeout: s.duration("decrypt-timeout", 10*time.Second)}}
	read(s, nil, "decrypt", &d.mode, kms.ParseMode)
	read(s, nil, "decrypt-failure", &d.policy, kms.ParsePolicy)
	if v := s.of("kms-region"); v.set() {
		d.config.Region = v.text[0]
	}
	if v := s.of("kms-key-id"); v.set() {
		d.config.KeyID = v.text[0]
	}
	if v := s.of("encryption-context"); v.set() {
		d.config.Context = map[string]string{}
		for pair := range strings.SplitSeq(v.text[0], ",") {
			name, value, ok := strings.Cut(pair, "=")
			if name = strings.TrimSpace(name); !ok || name == "" {
				s.add(v, fmt.Errorf("wanted: k=v,k=v"))
				break
			}
			d.config.Context[name] = value
		}
	}
	return d
}

// decrypt replaces what KMS decrypts. It starts nothing and asks nobody where
// there is no candidate. Under exit the error ends us; under keep the log has
// said it and the value stays.
func (s *prepared) decrypt(ctx context.Context, reaper *reap.Reaper) (kms.Result, error) {
	d := s.how.decryption
	candidates := kms.Classify(s.environment, d.mode)
	if len(candidates) == 0 {
		return kms.Result{}, nil
	}
	result := kms.Ask(ctx, d.config, s.environment, candidates, spawnDecrypter(reaper), s.log)
	result.Log(s.log)
	if result.Stopped {
		return result, silent(codeStopped)
	}
	if code := result.ExitCode(); code != 0 && d.policy == kms.Exit {
		return result, fail(code, cannotStart+"not every value could be decrypted, and ENTRYPOINT_DECRYPT_FAILURE is exit")
	}
	s.environment = kms.Apply(s.environment, result)
	return result, nil
}

// lost are the variables that were decrypted before and are not now.
func lost(before, now kms.Result) []string {
	var names []string
	for _, was := range before.Outcomes {
		if was.Verdict == kms.OK && slices.ContainsFunc(now.Outcomes, func(is kms.Outcome) bool { return is.Name == was.Name && is.Verdict != kms.OK }) {
			names = append(names, was.Name)
		}
	}
	return names
}

// sayOff names what the application gets as ciphertexts because nothing was to
// be decrypted.
func (s *prepared) sayOff(encrypted []string) {
	if s.how.mode == kms.Off && len(encrypted) > 0 {
		s.log.Error("handed on as ciphertexts, because ENTRYPOINT_DECRYPT is off: " + strings.Join(encrypted, ", "))
	}
}

// decrypterVariable tells our own binary that it is the decrypting child of the
// process that it names.
const decrypterVariable = "ENTRYPOINT_DECRYPTER"

// spawnDecrypter starts our own binary to talk to KMS: the SDK's memory goes
// with it, and the plaintext comes back over a pipe.
func spawnDecrypter(reaper *reap.Reaper) kms.Spawn {
	return func(ctx context.Context, e env.Environment, request []byte) (io.ReadCloser, func() error, error) {
		hold() // before the answer is there
		theirIn, ourOut, err := os.Pipe()
		if err != nil {
			return nil, nil, err
		}
		ourIn, theirOut, err := os.Pipe()
		if err != nil {
			theirIn.Close()
			ourOut.Close()
			return nil, nil, err
		}
		child, err := reaper.Start(reap.Program{
			Path: shim.Executable, Argv: []string{"entrypoint"},
			Env:   e.Set(env.Injected, decrypterVariable, strconv.Itoa(os.Getpid())).Block(),
			Files: []uintptr{theirIn.Fd(), theirOut.Fd(), 2},
		})
		theirIn.Close()
		theirOut.Close()
		if err != nil {
			ourOut.Close()
			ourIn.Close()
			return nil, nil, reap.Explain(shim.Executable, err)
		}
		go func() {
			_, _ = ourOut.Write(request) // EPIPE: wait tells how the child ended
			ourOut.Close()
		}()
		go func() {
			select {
			case <-ctx.Done():
				reaper.Kill(child.Group())
			case <-child.Done():
			}
		}()
		wait := func() error {
			<-child.Done()
			reaper.Kill(child.Group()) // a credential_process may have left something
			switch status := child.Status(); {
			case status.Signaled():
				return fmt.Errorf("signal %s", command.SignalName(status.Signal()))
			case status.ExitStatus() != 0:
				return fmt.Errorf("code %d", status.ExitStatus())
			}
			return nil
		}
		return ourIn, wait, nil
	}
}

// isDecrypter reports whether we are that child.
func (p *program) isDecrypter() bool {
	return slices.Contains(p.environ, decrypterVariable+"="+strconv.Itoa(os.Getppid()))
}

// decryptAsChild is that child's whole life. It dies of a signal at once: it
// has nothing to clean up.
func (p *program) decryptAsChild() int {
	early.Release()
	hold()
	e, _ := env.Parse(p.environ)
	e = e.Without(func(name string) bool { return name == decrypterVariable })
	s := &prepared{given: given{env: e, table: settings()}, environment: e}
	return awskms.Child(context.Background(), p.stdin, p.stdout, e, p.logger(s))
}

// relay passes signals on through a channel of its own, so that a stop can
// cancel what is under way and still be seen by who reads the channel next.
func relay(signals <-chan os.Signal, rewrite command.SignalMap) (<-chan os.Signal, context.Context) {
	ctx, cancel := context.WithCancel(context.Background())
	onward := make(chan os.Signal, 256)
	go func() {
		for s := range signals {
			to := s.(syscall.Signal)
			if r, ok := rewrite[to]; ok {
				to = r.To
			}
			if to == syscall.SIGTERM || to == syscall.SIGINT || to == syscall.SIGQUIT {
				cancel()
			}
			select {
			case onward <- s:
			default: // full: as the kernel does with a signal that is pending already
			}
		}
	}()
	return onward, ctx
}

// hold keeps our memory and environment from being read by others of our user
// once we hold secrets (PR_SET_DUMPABLE, prctl(2)): what the application is
// talked into reading is not /proc/1/mem. Its own is set anew by its exec.
func hold() { _ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) }
