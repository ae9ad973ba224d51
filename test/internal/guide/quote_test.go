package guide

import (
	"slices"
	"testing"
)

func TestQuotesAreCompared(t *testing.T) {
	quotes, err := Quotes(page(t, "'''text table\nCOPY  PID\n0     ...  ready\n'''\n'''text\nno name\n'''\n'''sh\nmake\n'''\n"))
	if err != nil || len(quotes) != 1 {
		t.Fatalf("%v, %v", quotes, err)
	}
	for _, c := range []struct{ said, unsaid string }{
		{"before\nCOPY PID\nbetween\n0  12345   ready\nafter\n", ""},
		{"COPY PID\n0 12 starting\n", "0 ... ready"},
		{"COPY PID\n10 12 ready\n", "0 ... ready"},
		{"0 12 ready\nCOPY PID\n", "0 ... ready"}, // in another order
		{"", "COPY PID"},
	} {
		if got := quotes["table"].Unsaid(c.said); got != c.unsaid {
			t.Errorf("of %q it misses %q, not %q", c.said, got, c.unsaid)
		}
	}
}

func TestQuotesThatAreWrong(t *testing.T) {
	for name, text := range map[string]string{
		"two of one name": "'''text a\nx\n'''\n'''text a\ny\n'''\n",
		"an empty one":    "'''text a\n\n'''\n",
	} {
		if _, err := Quotes(page(t, text)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	blocks, err := Read(page(t, "'''text a\nx\n'''\n"))
	if err != nil || !slices.ContainsFunc(blocks, func(b Block) bool { return b.Language == "text a" }) {
		t.Errorf("%v, %v", blocks, err)
	}
}
