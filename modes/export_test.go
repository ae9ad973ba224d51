package modes

import "github.com/codeontap/entrypoint/internal/env"

// LookUnder is Look with another root directory.
func LookUnder(root string, s Settings, e env.Environment) Facts {
	return place{root}.look(s.withDefaults(), e)
}

// Auto is the number that `auto` stands for.
func Auto(cpus float64, memory int64, async bool) int {
	n, _ := auto(cpus, memory, async)
	return n
}

// ServerName is the server that words start, and whether words alone hand it
// our socket.
func ServerName(words ...string) (name string, ready bool) {
	s, _ := serverOf(words)
	return s.name, s.takes != byWords && s.takes != never
}

// Launch is what a script starts.
func Launch(text string) (words []string, exec bool) {
	l := (&Script{Text: text}).launch()
	return l.words, l.exec
}

// ScriptArgv is how a script is started.
func ScriptArgv(s Script) []string {
	argv, _ := s.argv()
	return argv
}
