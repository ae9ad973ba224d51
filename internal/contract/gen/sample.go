package main

import (
	"slices"
	"strings"

	"github.com/codeontap/entrypoint/internal/contract"
)

// sample is a file of variables to copy and to fill in. It has to mean the same
// to `docker run --env-file`, to every docker-compose and to python-dotenv: no
// quotes, no comments behind values, no white space around "=".
type sample struct {
	path  string
	intro []string // comment lines at the top
	// set are the variables that are set, as NAME=value: those of the contract
	// in its order, and what else there is before them. All others stand in
	// comments.
	set []string
}

func samples() []sample {
	return []sample{
		{
			path: "devops/docker/app.env.sample",
			intro: []string{
				"The environment of web, worker, beat and task: cp app.env.sample app.env",
				"Encrypt what is secret before it goes into a repository; `entrypoint encrypt",
				"DATABASE_PASSWORD` prints the line that belongs here. A value that cannot be",
				"decrypted ends the container (ENTRYPOINT_DECRYPT_FAILURE=exit).",
				"Or give it by a file: DATABASE_PASSWORD_FILE=/run/secrets/database_password",
			},
			set: []string{
				"ENTRYPOINT_DECRYPT_FAILURE=exit",
				"DJANGO_DEBUG=False", "DJANGO_SECRET_KEY=change-me-to-fifty-random-characters", "BASE_URL=http://127.0.0.1:8888",
				"DATABASE_HOST=database", "DATABASE_NAME=app", "DATABASE_USERNAME=app", "DATABASE_PASSWORD=change-me",
				"RABBITMQ_HOST=rabbitmq", "RABBITMQ_VHOST=app", "RABBITMQ_USERNAME=app", "RABBITMQ_PASSWORD=change-me",
				"SESSION_REDIS_HOST=redis", "SESSION_REDIS_DB=0", "CACHE_REDIS_HOST=redis", "CACHE_REDIS_DB=1",
			},
		},
		{
			path: "devops/docker-local/local-classic.env.example",
			intro: []string{
				"For work without containers: cp local-classic.env.example src/.env",
				"As it stands everything runs on embedded parts: SQLite, tasks by files.",
				"It is read on platform local only; what is set in the shell wins.",
			},
			set: []string{"DJANGO_DEBUG=True"},
		},
	}
}

func (s sample) text() string {
	set := slices.Clone(s.set)
	take := func(name string) (line string, ok bool) {
		i := slices.IndexFunc(set, func(line string) bool { return strings.HasPrefix(line, name+"=") })
		if i < 0 {
			return "", false
		}
		line = set[i]
		set = slices.Delete(set, i, i+1)
		return line, true
	}
	var body strings.Builder
	for _, of := range contract.Sets() {
		body.WriteString("\n# " + strings.ToUpper(of.Title[:1]) + of.Title[1:])
		if !of.Always {
			body.WriteString(": in use if " + of.Variables[0].Name + " is set")
		}
		body.WriteString("\n")
		for _, v := range of.Variables {
			line, ok := take(v.Name)
			if !ok {
				line = "#" + v.Name + "=" + v.Default
			}
			body.WriteString(line + "\n")
		}
	}
	var head strings.Builder
	for _, line := range s.intro {
		head.WriteString("# " + line + "\n")
	}
	head.WriteString("#\n# Made by `make generate`; docs/environment.md says what each variable means.\n")
	if len(set) > 0 {
		head.WriteString("\n" + strings.Join(set, "\n") + "\n")
	}
	return head.String() + body.String()
}
