// Entrypoint is the PID 1 of a container: it decrypts its environment, chooses
// the run mode, starts the application's copies, and forwards signals and health
// checks.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"

	"github.com/urfave/cli/v2"
)

func main() {
	debug.SetTraceback("none") // a trace may hold what a variable held
	p := &program{args: os.Args[1:], environ: os.Environ(), stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}
	messages := newPatient(os.Stderr)
	p.messages = messages
	code := p.run()
	messages.flush()
	os.Exit(code)
}

// program is one run of the binary, with what it got from the system.
type program struct {
	args           []string
	environ        []string
	stdin          *os.File
	stdout, stderr io.Writer
	messages       io.Writer // our own lines, on stderr too
}

// run does what the words say and returns the exit code.
func (p *program) run() int {
	err := guarded(func() error {
		if p.isDecrypter() {
			return silent(p.decryptAsChild())
		}
		return p.verb(firstWord(p.args))
	})
	var quiet silent
	if err != nil && !errors.As(err, &quiet) {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			fmt.Fprintln(p.messages, "entrypoint: error: "+oneLine(line))
		}
	}
	return codeOf(err)
}

// guarded turns a panic into an error that says nothing of the panic's value: it
// may hold anything, a secret too.
func guarded(do func() error) (err error) {
	defer func() {
		if bug := recover(); bug != nil {
			err = fail(codeBug, "a bug of ours (%T) in version %s; please report it with what you ran", bug, buildVersion())
		}
	}()
	return do()
}

// verb runs the verb that words begin with. The commonest of all, a command
// without a flag of ours, does without the cli: that is a tenth of its start.
func (p *program) verb(words []string) error {
	if len(words) > 1 && words[0] == "exec" && words[1] == "--" {
		return p.exec(nil, words[2:])
	}
	return p.app(words[0]).Run(append([]string{"entrypoint"}, words...))
}

// app is the command line. Only the chosen verb gets its flags.
func (p *program) app(chosen string) *cli.App {
	command := func(name, usage, words string, on verb, action cli.ActionFunc, more ...cli.Flag) *cli.Command {
		if name != chosen {
			on, more = 0, nil
		}
		return &cli.Command{
			Name: name, Usage: usage, ArgsUsage: words, Action: action, OnUsageError: usageError,
			Flags: append(flagsOf(on), more...), HideHelpCommand: true,
		}
	}
	flag := func(name, usage string) cli.Flag { return &cli.BoolFlag{Name: name, Usage: usage} }
	return &cli.App{
		Name:      "entrypoint",
		Usage:     "the PID 1 that a container deserves",
		UsageText: "entrypoint [verb] [flags] [--] [command [arg...]]\n\nWithout a verb: flags or nothing are run's, any other word is a command for exec.",
		Commands: []*cli.Command{
			command("run", "supervise: choose the mode, start the copies, restart, forward, stop", "[--] [command [arg...]]", onRun, p.runVerb),
			command("exec", "run one command once, with the decrypted environment", "[--] command [arg...]", onExec, p.execVerb),
			command("plan", "what run would do, and why; starts nothing", "[--] [command [arg...]]", onPlan, p.planVerb,
				flag("json", "as JSON"), flag("reveal", "show plain values")),
			command("check", "the contract and every ciphertext, all problems in one list", " ", onCheck, p.checkVerb,
				flag("json", "as JSON"), flag("offline", "do not ask KMS")),
			command("health", "0 or 1 and one line, for HEALTHCHECK", " ", onHealth, p.healthVerb,
				flag("ready", "ask /readyz"), flag("live", "ask /livez"), flag("startup", "ask /startupz")),
			command("status", "the running supervisor", " ", onStatus, p.statusVerb, flag("json", "as JSON")),
			command("restart", "replace the copies, one at a time, each ready before the old one goes", " ", onRestart, p.restartVerb),
			command("encrypt", "values from the terminal without echo, or stdin; prints NAME=kms+base64:...", "NAME...", onEncrypt, p.encryptVerb,
				&cli.StringFlag{Name: "key-id", Usage: "ARN or alias of the key (ENTRYPOINT_KMS_KEY_ID)"}),
			command("version", "the version", " ", 0, p.versionVerb),
		},
		Writer: p.stdout, ErrWriter: p.messages,
		HideHelpCommand: true, HideVersion: true,
		// A child's *exec.ExitError would make the library exit by itself.
		ExitErrHandler:            func(*cli.Context, error) {},
		OnUsageError:              usageError,
		DisableSliceFlagSeparator: true,
	}
}

// usageError keeps the library's words where they hold no value.
func usageError(c *cli.Context, err error, _ bool) error {
	text := err.Error()
	if strings.HasPrefix(text, "invalid") {
		text = "a flag has a value that it cannot take"
	}
	return fail(codeUsage, "cannot read the flags: %s; see entrypoint %s --help", text, c.Command.Name)
}

func (p *program) versionVerb(*cli.Context) error {
	_, err := fmt.Fprintln(p.stdout, "entrypoint "+buildVersion())
	return err
}
