package kms

// State is the shape in the words of `plan`: plain, ciphertext or damaged.
func (b Blob) State() string {
	switch b.Shape {
	case Plain, Guess:
		return "plain"
	case Damaged, TooLong:
		return "damaged"
	}
	return "ciphertext"
}

// Inspection is what `check` says about one ciphertext; its JSON is promised
// to scripts.
type Inspection struct {
	Variable        string  `json:"variable"`
	Generation      string  `json:"generation"`
	KeyGroup        string  `json:"key_group"` // a, b, ...: equal for equal keys; empty if unknown
	PlaintextLength int     `json:"plaintext_length"`
	Result          Verdict `json:"result"`
	Damage          string  `json:"damage,omitempty"`
}

// Offline is the Result of asking nobody: damaged values are what they are,
// everything else has not been asked.
func Offline(candidates []Candidate) Result {
	var r Result
	for _, c := range candidates {
		if c.Damage != "" {
			r.Outcomes = append(r.Outcomes, unasked(c))
		} else {
			r.Outcomes = append(r.Outcomes, Outcome{Name: c.Name, Verdict: NotAsked})
		}
	}
	return r
}

// Inspect describes candidates beside what became of them: r is of Offline,
// Resolve or Ask for the same candidates. Base64 that turned out to be no
// ciphertext is left out.
func Inspect(candidates []Candidate, r Result) []Inspection {
	groups := map[Fingerprint]string{}
	inspections := []Inspection{}
	for i, c := range candidates {
		verdict := r.Outcomes[i].Verdict
		if c.Shape == Guess && verdict != OK {
			continue
		}
		group := ""
		if c.Fingerprint != (Fingerprint{}) {
			if groups[c.Fingerprint] == "" {
				groups[c.Fingerprint] = letters(len(groups))
			}
			group = groups[c.Fingerprint]
		}
		inspections = append(inspections, Inspection{
			Variable: c.Name, Generation: c.Generation.String(), KeyGroup: group,
			PlaintextLength: c.PlaintextLength, Result: verdict, Damage: c.Damage,
		})
	}
	return inspections
}

// letters counts a, b ... z, aa, ab as the columns of a spreadsheet.
func letters(n int) string {
	s := string(rune('a' + n%26))
	if n >= 26 {
		s = letters(n/26-1) + s
	}
	return s
}
