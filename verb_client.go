package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/codeontap/entrypoint/internal/admin"
	"github.com/codeontap/entrypoint/internal/early"
	"github.com/codeontap/entrypoint/internal/env"
)

// askFor bounds a question to the supervisor: it answers from memory.
const askFor = 3 * time.Second

// client finds the running supervisor. It reads neither .env nor files: a health
// check runs every few seconds.
func (p *program) client(c *cli.Context, purpose admin.Purpose) (*admin.Client, context.Context, context.CancelFunc, error) {
	early.Release()
	if c.NArg() > 0 {
		return nil, nil, nil, fail(codeUsage, "cannot %s %d words: it takes none; see entrypoint %s --help", c.Command.Name, c.NArg(), c.Command.Name)
	}
	e, _ := env.Parse(p.environ)
	settings := given{flags: flagsGiven(c), env: e, table: settings()}
	path := ""
	if v := settings.of("control"); v.set() {
		path = v.text[0]
		if err := controlPath(path); err != nil {
			return nil, nil, nil, fail(v.code(), "cannot use %s: %w", v.name(), err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), askFor)
	found, err := admin.Find(ctx, path, admin.SearchFolders(e.Get("XDG_RUNTIME_DIR").Reveal()), purpose)
	if err != nil {
		cancel()
		return nil, nil, nil, &exitError{1, err}
	}
	return found, ctx, cancel, nil
}

// healthVerb is for HEALTHCHECK: 0 or 1 and one line. Without a flag it is
// unhealthy until every first copy was ready once, then it says whether the
// supervisor lives: orchestrators replace what is unhealthy, and a database that
// is away must not cost the fleet.
func (p *program) healthVerb(c *cli.Context) error {
	client, ctx, cancel, err := p.client(c, admin.ToProbe)
	if err != nil {
		return err
	}
	defer cancel()
	endpoint := admin.Startupz // which stays true once it is
	asked := 0
	for flag, path := range map[string]string{"ready": admin.Readyz, "live": admin.Livez, "startup": admin.Startupz} {
		if c.Bool(flag) {
			endpoint = path
			asked++
		}
	}
	if asked > 1 {
		return fail(codeUsage, "cannot ask for more than one of --ready, --live and --startup")
	}
	answer, err := client.Ask(ctx, endpoint)
	if err != nil {
		return &exitError{1, err}
	}
	fmt.Fprintln(p.stdout, answer)
	if !answer.OK {
		return silent(1)
	}
	return nil
}

func (p *program) statusVerb(c *cli.Context) error {
	client, ctx, cancel, err := p.client(c, admin.ToCommand)
	if err != nil {
		return err
	}
	defer cancel()
	status, err := client.Status(ctx)
	if err != nil {
		return &exitError{1, err}
	}
	if c.Bool("json") {
		text, err := json.Marshal(status)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(p.stdout, string(text))
		return err
	}
	_, err = fmt.Fprint(p.stdout, admin.Table(status, time.Now()))
	return err
}

func (p *program) restartVerb(c *cli.Context) error {
	client, _, cancel, err := p.client(c, admin.ToCommand)
	if err != nil {
		return err
	}
	cancel()
	err = client.Restart(context.Background(), func(line string) { fmt.Fprintln(p.stdout, line) })
	if err != nil {
		return &exitError{1, err}
	}
	return nil
}
