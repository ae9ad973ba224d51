package secrets

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// option is one setting, as --help shows it.
type option struct{ flag, variable string }

// optionsOf reads a verb's settings off its help, so that none is forgotten.
func optionsOf(t *testing.T, verb string) []option {
	t.Helper()
	r := run(t, given{args: []string{verb, "--help"}})
	r.wantExit(0)
	var options []option
	for _, line := range regexp.MustCompile(`(?m)^   (--[a-z-]+).*\[([A-Z_]+)\]`).FindAllStringSubmatch(r.stdout.String(), -1) {
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
				byFlag := run(t, given{args: append([]string{verb, o.flag, secret.text()}, words...), env: env, stdin: strings.NewReader("x")})
				byVariable := run(t, given{args: append([]string{verb}, words...), env: append(env, o.variable+"="+secret.text()), stdin: strings.NewReader("x")})
				for _, r := range []*running{byFlag, byVariable} {
					wantNone(t, []canary{secret}, "stderr", r.stderr.String())
					if verb != "plan" || r.exit() != 0 { // a plan says what it would do
						wantNone(t, []canary{secret}, "stdout", r.stdout.String())
					}
					if code := r.exit(); code == 70 || code < 0 {
						t.Errorf("exit code %d\n%s", code, r)
					}
				}
				if taken[o.flag] || isClient && o.flag != "--control" { // how we log is not theirs to judge
					return
				}
				byFlag.wantExit(64)
				byVariable.wantExit(78)
				for name, r := range map[string]*running{o.flag: byFlag, o.variable: byVariable} {
					if !strings.Contains(r.stderr.String()+r.stdout.String(), name) {
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
