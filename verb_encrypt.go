package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/codeontap/entrypoint/internal/early"
	"github.com/codeontap/entrypoint/internal/env"
	"github.com/codeontap/entrypoint/internal/kms"
)

// encryptVerb turns values into what may stand in a repository.
func (p *program) encryptVerb(c *cli.Context) error {
	names := c.Args().Slice()
	if len(names) == 0 {
		return fail(codeUsage, "cannot encrypt: no name is given; entrypoint encrypt --key-id ARN NAME...")
	}
	for _, name := range names {
		if !isVariable(name) {
			return fail(codeUsage, "cannot encrypt: a name has letters, digits and _ and begins with no digit; values are read from the terminal or stdin")
		}
	}
	s := p.prepare(flagsGiven(c))
	s.how = s.readHow()
	if err := s.settled(); err != nil {
		return err
	}
	key := c.String("key-id")
	if key == "" {
		key = s.how.config.KeyID
	}
	if key == "" {
		return fail(codeUsage, "cannot encrypt: no key is named; set --key-id to its ARN or to alias/NAME, or ENTRYPOINT_KMS_KEY_ID")
	}
	hold()
	values, err := p.readValues(s, names)
	if err != nil {
		return err
	}
	reaper, err := p.startReaper(s)
	if err != nil {
		return err
	}
	_, ctx := relay(early.Signals(), nil)
	s.how.config.KeyID = ""
	texts, err := kms.AskEncrypt(ctx, s.how.config, s.environment, key, values, spawnDecrypter(reaper), s.log)
	if ctx.Err() != nil {
		return silent(codeStopped)
	}
	if err != nil {
		var refused *kms.EncryptError
		if errors.As(err, &refused) {
			return &exitError{refused.ExitCode(), err}
		}
		return err
	}
	for i, name := range names {
		if _, err := fmt.Fprintf(p.stdout, "%s=%s\n", name, texts[i]); err != nil {
			return fail(codeTemporary, "cannot write the result: %w", err)
		}
	}
	return nil
}

func isVariable(name string) bool {
	for i, c := range name {
		letter := c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}

// readValues reads a value for each name: from the terminal without echo, else
// from stdin: all of it for one name, a line each for several. A last newline is
// cut, which echo puts there.
func (p *program) readValues(s *prepared, names []string) ([]env.Secret, error) {
	if term.IsTerminal(int(p.stdin.Fd())) {
		return p.askValues(names)
	}
	const most = 1 << 20 // KMS takes 4096 bytes; its answer says so
	if len(names) == 1 {
		all, err := io.ReadAll(io.LimitReader(p.stdin, most))
		if err != nil {
			return nil, fail(codeUsage, "cannot read the value from stdin: %w", err)
		}
		value, cut := strings.CutSuffix(string(all), "\n")
		if cut {
			value = strings.TrimSuffix(value, "\r")
			s.log.Warn("a newline at the end of the value was cut; printf '%s' writes none")
		}
		return []env.Secret{env.NewSecret(value)}, nil
	}
	var values []env.Secret
	lines := bufio.NewScanner(io.LimitReader(p.stdin, most))
	lines.Buffer(nil, most)
	for lines.Scan() {
		values = append(values, env.NewSecret(strings.TrimSuffix(lines.Text(), "\r")))
	}
	if err := lines.Err(); err != nil {
		return nil, fail(codeUsage, "cannot read the values from stdin: %w", err)
	}
	if len(values) != len(names) {
		return nil, fail(codeUsage, "cannot encrypt: %d names and %d lines on stdin; wanted: a line for each name", len(names), len(values))
	}
	return values, nil
}

// askValues asks once per name, without echo. However it ends, the terminal is as
// it was.
func (p *program) askValues(names []string) ([]env.Secret, error) {
	fd := int(p.stdin.Fd())
	before, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err == nil {
		quiet := *before
		quiet.Lflag = quiet.Lflag&^unix.ECHO | unix.ICANON | unix.ISIG
		quiet.Iflag |= unix.ICRNL
		err = unix.IoctlSetTermios(fd, unix.TCSETS, &quiet)
	}
	if err != nil {
		return nil, fail(codeUsage, "cannot read from the terminal: %w", err)
	}
	defer func() {
		_ = unix.IoctlSetTermios(fd, unix.TCSETS, before) // it may have gone
		fmt.Fprintln(p.messages)
	}()
	type line struct {
		text string
		err  error
	}
	lines := make(chan line)
	go func() { // until the process ends, which waits in a read; what is typed ahead is the shell's
		terminal := bufio.NewReader(p.stdin)
		for range names {
			text, err := terminal.ReadString('\n')
			lines <- line{text, err}
		}
	}()
	var values []env.Secret
	for i, name := range names {
		if i > 0 {
			fmt.Fprintln(p.messages)
		}
		fmt.Fprintf(p.messages, "%s (not shown): ", name)
		select {
		case l := <-lines:
			if l.err != nil {
				return nil, fail(codeUsage, "cannot encrypt: no value of %s came from the terminal: %w", name, l.err)
			}
			values = append(values, env.NewSecret(strings.TrimSuffix(l.text, "\n")))
		case signal := <-early.Signals():
			return nil, silent(128 + int(signal.(syscall.Signal)))
		}
	}
	return values, nil
}
