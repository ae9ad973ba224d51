package kms

import "github.com/codeontap/entrypoint/internal/env"

// Candidate is a variable with something to say about it: a value to ask KMS
// about, or one that claims to be a ciphertext and cannot be.
type Candidate struct {
	Name string
	Blob
}

// Classify finds the candidates of an environment, in the order of their
// names. It asks nobody. $KMS_PREFIX is one more marker.
func Classify(e env.Environment, mode Mode) []Candidate {
	if mode == Off {
		return nil
	}
	prefix := e.Get("KMS_PREFIX").Reveal()
	var candidates []Candidate
	for _, v := range e.Variables() {
		value := v.Value.Reveal()
		b := Recognise(value, prefix)
		if b.Shape == Plain && mode == All {
			b = guess(value, prefix)
		}
		if b.Shape != Plain && !never(v.Name) {
			candidates = append(candidates, Candidate{v.Name, b})
		}
	}
	return candidates
}

// Encrypted returns the names of the variables that still look like
// ciphertexts, in order, decrypted or not: after a batch those that KMS would
// not decrypt, or whose plaintext is another ciphertext.
func Encrypted(e env.Environment) []string {
	var names []string
	for _, c := range Classify(e, Auto) {
		names = append(names, c.Name)
	}
	return names
}
