package main

import (
	"slices"
	"strings"
)

// verbs are the words that are ours. There is no help among them: a program may
// be called so.
var verbs = []string{"run", "exec", "plan", "check", "health", "status", "restart", "encrypt", "version"}

// firstWord applies the rule that lets Docker's habits work: nothing or a flag
// is run, a verb is that verb, and everything else is a command to run once.
// "--" in front ends our words. It returns the arguments with the verb in front.
func firstWord(args []string) []string {
	switch {
	case len(args) == 0:
		return []string{"run"}
	case args[0] == "--":
		return append([]string{"exec", "--"}, args[1:]...)
	case args[0] == "--help" || args[0] == "-h":
		return args
	case strings.HasPrefix(args[0], "-") && args[0] != "-":
		return append([]string{"run"}, args...)
	case slices.Contains(verbs, args[0]):
		return args
	}
	return append([]string{"exec", "--"}, args...)
}

// misplaced reports a verb that stands after flags: its flags would be run's.
// args are the program's, words what is left of them after run's flags.
func misplaced(args, words []string) (verb string, yes bool) {
	if len(args) == 0 || !strings.HasPrefix(args[0], "-") || len(words) == 0 || !slices.Contains(verbs, words[0]) {
		return "", false
	}
	before := len(args) - len(words) - 1
	return words[0], before < 0 || args[before] != "--"
}
