package kms

import (
	"errors"
	"fmt"
)

// Mode says which values KMS is asked about.
type Mode int

// The modes, as --decrypt takes them.
const (
	Auto Mode = iota // recognised or marked ones
	All              // every base64 value beside
	Off              // none
)

func (m Mode) String() string {
	switch m {
	case Auto:
		return "auto"
	case All:
		return "all"
	case Off:
		return "off"
	}
	return fmt.Sprintf("mode %d", int(m))
}

// ParseMode reads auto, all or off.
func ParseMode(s string) (Mode, error) {
	for _, m := range [...]Mode{Auto, All, Off} {
		if s == m.String() {
			return m, nil
		}
	}
	return 0, errors.New("wanted: auto, all or off")
}

// Policy says what follows when a ciphertext cannot be decrypted.
type Policy int

// The policies, as --decrypt-failure takes them.
const (
	Keep Policy = iota // the value stays as it is, with an ERROR
	Exit               // nothing is started; 78, or 75 where another try may help
)

func (p Policy) String() string {
	switch p {
	case Keep:
		return "keep"
	case Exit:
		return "exit"
	}
	return fmt.Sprintf("policy %d", int(p))
}

// ParsePolicy reads keep or exit.
func ParsePolicy(s string) (Policy, error) {
	for _, p := range [...]Policy{Keep, Exit} {
		if s == p.String() {
			return p, nil
		}
	}
	return 0, errors.New("wanted: keep or exit")
}
