package secrets

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/codeontap/entrypoint/test/internal/stage"
)

// option is one setting, as --help shows it.
type option struct{ flag, variable string }

// optionsOf reads a verb's settings off its help, so that none is forgotten.
func optionsOf(t *testing.T, verb string) []option {
	t.Helper()
	r := run(t, stage.Story{Words: []string{verb, "--help"}})
	r.WantExit(0)
	var options []option
	for _, line := range regexp.MustCompile(`(?m)^   (--[a-z-]+).*\[([A-Z_]+)\]`).FindAllStringSubmatch(r.Stdout.String(), -1) {
		options = append(options, option{line[1], line[2]})
	}
	return options
}

// A secret that stands where a setting belongs is not repeated, by no verb that
// reads the setting, whether it came by flag or by variable. What takes any text
// takes this one as well; then the verb has to do its work or say what is wrong
// in other words.
func TestABadSettingIsNotRepeated(t *testing.T) {
	secret := canary{"a setting", "Set7Qz2Rm9Tx4Vb6N"}
	k := newKMS(t)
	clients := []string{"health", "status", "restart"}
	for verb, words := range map[string][]string{
		"run": {"--", "true"}, "plan": {"--", "true"}, "exec": {"--", "true"}, "check": nil,
		"encrypt": {"NAME"}, "health": nil, "status": nil, "restart": nil, // as clients has them
	} {
		options := optionsOf(t, verb)
		if len(options) < 2 {
			t.Fatalf("%s --help shows %d settings", verb, len(options))
		}
		isClient := slices.Contains(clients, verb)
		for _, o := range options {
			t.Run(verb+" "+o.flag, func(t *testing.T) {
				t.Parallel()
				// A ciphertext, so that the settings of KMS are used.
				env := append(k.env, "SECRET="+seal("x"), "APP_DEBUG=1", "ENTRYPOINT_DECRYPT_TIMEOUT=1s")
				if verb == "encrypt" {
					env = append(env, "ENTRYPOINT_KMS_KEY_ID="+alias)
				}
				byFlag := run(t, stage.Story{Words: append([]string{verb, o.flag, secret.text()}, words...), Env: env, Stdin: strings.NewReader("x")})
				byVariable := run(t, stage.Story{Words: append([]string{verb}, words...), Env: append(env, o.variable+"="+secret.text()), Stdin: strings.NewReader("x")})
				for _, r := range []*stage.Running{byFlag, byVariable} {
					wantNone(t, []canary{secret}, "stderr", r.Stderr.String())
					if verb != "plan" || r.Exit() != 0 { // a plan says what it would do
						wantNone(t, []canary{secret}, "stdout", r.Stdout.String())
					}
					if code := r.Exit(); code == 70 || code < 0 {
						t.Errorf("exit code %d\n%s", code, r)
					}
				}
				if taken[o.flag] || isClient && o.flag != "--control" { // how we log is not theirs to judge
					return
				}
				byFlag.WantExit(64)
				byVariable.WantExit(78)
				for name, r := range map[string]*stage.Running{o.flag: byFlag, o.variable: byVariable} {
					if !strings.Contains(r.Stderr.String()+r.Stdout.String(), name) {
						t.Errorf("%s is not named\n%s", name, r)
					}
				}
			})
		}
	}
}

// taken are the settings that take any text.
var taken = map[string]bool{
	"--kms-region": true, "--kms-key-id": true, "--encryption-context": true, "--app": true,
	"--wait-for": true, "--task": true, "--init-task": true, "--mode": true, "--health": true, "--bind": true, "--admin": true,
}
