package main

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"testing"
)

// A stderr that nobody reads holds nobody up; what was lost is said when
// somebody does.
func TestNobodyWaitsForStderr(t *testing.T) {
	r, w := io.Pipe()
	p := newPatient(w)
	const lines = queued + 100
	for i := range lines {
		fmt.Fprintf(p, "line %d\n", i) // would hang here if it waited
	}
	p.flush()
	go func() { p.flush(); w.Close() }()
	read, said := 0, ""
	for scanner := bufio.NewScanner(r); scanner.Scan(); {
		if strings.HasPrefix(scanner.Text(), "line ") {
			read++
		} else {
			said = scanner.Text()
		}
	}
	if read >= lines || !strings.Contains(said, fmt.Sprintf("%d lines of ours were lost", lines-read)) {
		t.Errorf("%d of %d lines, and then %q", read, lines, said)
	}
}

func TestWhatIsWrittenArrivesInOrder(t *testing.T) {
	var b strings.Builder
	p := newPatient(&b)
	want := ""
	for i := range 1000 {
		fmt.Fprintf(p, "line %d\n", i)
		want += fmt.Sprintf("line %d\n", i)
	}
	p.flush()
	if b.String() != want {
		t.Error("lines are lost or out of order")
	}
}
