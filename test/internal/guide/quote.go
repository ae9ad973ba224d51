package guide

import (
	"fmt"
	"regexp"
	"strings"
)

// Quotes are the blocks in which a page shows what a program says, by the name
// behind their language:
//
//	```text no-key
//	entrypoint: error: cannot start: ...
//
// "..." stands for what differs. Two of one name are an error.
func Quotes(page string) (map[string]Block, error) {
	all, err := Read(page)
	if err != nil {
		return nil, err
	}
	quotes := map[string]Block{}
	for _, b := range all {
		name, ok := strings.CutPrefix(b.Language, "text ")
		if !ok {
			continue
		}
		if was, twice := quotes[name]; twice {
			return nil, fmt.Errorf("%s: there is another quote called %s: %s", b, name, was)
		}
		if strings.TrimSpace(b.Text) == "" {
			return nil, fmt.Errorf("%s: the quote is empty", b)
		}
		quotes[name] = b
	}
	return quotes, nil
}

// Unsaid is the first line of a quote that does not stand in what was said, in
// the quote's order, or nothing. Lines are compared whole, but for the white
// space of tables.
func (b Block) Unsaid(said string) string {
	lines := strings.Split(said, "\n")
	for quoted := range strings.Lines(b.Text) {
		quoted = spaced(quoted)
		if quoted == "" {
			continue
		}
		parts := strings.Split(quoted, "...")
		for i := range parts {
			parts[i] = regexp.QuoteMeta(parts[i])
		}
		pattern := regexp.MustCompile("^" + strings.Join(parts, ".*") + "$")
		for len(lines) > 0 && !pattern.MatchString(spaced(lines[0])) {
			lines = lines[1:]
		}
		if len(lines) == 0 {
			return quoted
		}
		lines = lines[1:]
	}
	return ""
}

func spaced(line string) string { return strings.Join(strings.Fields(line), " ") }
