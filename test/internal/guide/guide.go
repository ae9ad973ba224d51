// Package guide reads the code blocks of the documentation, so that tests can
// run them as they stand there.
//
// A page says in comments, which a reader does not see, who runs what:
//
//	## Without containers
//	<!-- run by: test/guides TestWithoutContainers -->
//
// stands for every sh block from there to the next heading, and
//
//	<!-- not run: it needs an AWS account -->
//
// for the one block below it. The test that is named takes the blocks from the
// page by Section, and never repeats them.
package guide

import (
	"fmt"
	"os"
	"strings"
)

// Block is one block of code.
type Block struct {
	Page     string // path of the page
	Line     int    // of its first line of code, from 1
	Section  string // the heading above it
	Language string // sh, dockerfile, yaml ...
	Text     string

	RunBy  string // "PACKAGE TEST", or nothing
	NotRun string // why nothing runs it, or nothing
}

func (b Block) String() string { return fmt.Sprintf("%s:%d", b.Page, b.Line) }

// Read reads every block of a page. A block that is not closed, and a comment
// "not run" without a block below it, are errors.
func Read(page string) ([]Block, error) {
	content, err := os.ReadFile(page)
	if err != nil {
		return nil, err
	}
	var blocks []Block
	var section, runBy, notRun string
	inside := false
	number := 0
	for line := range strings.Lines(string(content)) {
		number++
		text := strings.TrimSpace(line)
		switch {
		case inside && text == "```":
			inside = false
		case inside:
			blocks[len(blocks)-1].Text += line
		case strings.HasPrefix(text, "```"):
			inside = true
			blocks = append(blocks, Block{
				Page: page, Line: number + 1, Section: section, Language: strings.TrimPrefix(text, "```"),
				RunBy: runBy, NotRun: notRun,
			})
			notRun = ""
		case strings.HasPrefix(text, "#"):
			section, runBy = strings.TrimSpace(strings.TrimLeft(text, "#")), ""
		default:
			if who, ok := comment(text, "run by:"); ok {
				runBy = who
			}
			if why, ok := comment(text, "not run:"); ok {
				notRun = why
				continue
			}
			if notRun != "" && text != "" {
				return nil, fmt.Errorf("%s:%d: no block follows the comment that says why nothing runs it", page, number)
			}
		}
	}
	if inside {
		return nil, fmt.Errorf("%s: the last block is not closed", page)
	}
	return blocks, nil
}

func comment(line, key string) (string, bool) {
	text, ok := strings.CutPrefix(line, "<!-- "+key)
	if !ok {
		return "", false
	}
	return strings.TrimSpace(strings.TrimSuffix(text, "-->")), true
}

// Section is the sh blocks of a section that are to be run, in their order. None
// is an error: the test would run nothing.
func Section(page, section string) ([]Block, error) {
	all, err := Read(page)
	if err != nil {
		return nil, err
	}
	var blocks []Block
	for _, b := range all {
		if b.Section == section && b.Language == "sh" && b.NotRun == "" {
			blocks = append(blocks, b)
		}
	}
	if len(blocks) == 0 {
		return nil, fmt.Errorf("%s: section %q has no sh block to run", page, section)
	}
	return blocks, nil
}
