package env

import (
	"fmt"
	"log/slog"
)

// redacted is what every printer gets to see of a Secret.
const redacted = "<secret>"

// Secret is a value that may be sensitive. Every way of printing it says
// "<secret>"; Reveal is the only way out, and easy to search for.
//
// The value stands behind a pointer because package fmt does not call the
// methods of an unexported field (%v of a struct that holds one), nor those of
// an operand under a wrong verb (%p, %w): it prints the bare fields, and the
// address of a string is all it may find. Two Secrets are compared by Equal;
// == does not compile, since it would compare the addresses.
type Secret struct {
	_     [0]func()
	value *string
}

// NewSecret wraps a value.
func NewSecret(value string) Secret {
	if value == "" {
		return Secret{}
	}
	return Secret{value: &value}
}

// Reveal returns the value itself. The caller owes it that it ends in a
// process's environment or in a request to KMS, not in text for people.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// IsEmpty reports whether there is nothing to hide: an empty variable is an
// unset one.
func (s Secret) IsEmpty() bool { return s.value == nil }

// Equal reports whether both hold the same value.
func (s Secret) Equal(other Secret) bool { return s.Reveal() == other.Reveal() }

func (Secret) String() string { return redacted }

// GoString covers %#v.
func (Secret) GoString() string { return redacted }

// Format covers every verb, %x and %d included.
func (Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue covers log/slog.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON covers encoding/json.
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// MarshalText covers encoding/xml, maps' keys and whatever else asks for text.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
