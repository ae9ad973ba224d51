package kms

import "strings"

// lenientMarker stands before other things than ciphertexts as well (Laravel's
// keys), so that an unrecognised value behind it is no error.
const lenientMarker = "base64:"

// markers are what the ecosystem writes before a ciphertext, the longer ones
// of a common beginning first.
func markers() [5]string {
	return [...]string{"kms+base64:", "kms://", "kms:", "secure:", lenientMarker}
}

// cutMarker splits a value into its marker, empty if it has none, and the rest.
// prefix is one more marker, from $KMS_PREFIX; empty for none.
func cutMarker(value, prefix string) (marker, rest string) {
	if prefix != "" && strings.HasPrefix(value, prefix) {
		return prefix, value[len(prefix):]
	}
	if value == "" || value[0] != 'k' && value[0] != 's' && value[0] != 'b' {
		return "", value
	}
	for _, m := range markers() {
		if strings.HasPrefix(value, m) {
			return m, value[len(m):]
		}
	}
	return "", value
}
