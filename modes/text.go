package modes

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/codeontap/entrypoint/internal/command"
)

// width is what a line of the plan keeps to where its words allow.
const width = 80

// WriteText prints the plan for people.
func (p Plan) WriteText(w io.Writer, v View) error {
	b := bufio.NewWriter(w)
	where := "in " + p.Dir
	if p.Package != "" {
		where += ", package " + p.Package
	}
	fmt.Fprintf(b, "%s on %s, %s\n", p.Mode, p.Platform, where)
	paragraph(b, "modes", strings.Join(names(p.Modes), ", "))
	if len(p.WaitFor) > 0 {
		paragraph(b, "wait for", strings.Join(p.servers(), ", ")+"; 60s, then exit 69")
	}
	for _, spec := range p.Init {
		describe(b, spec, "first")
	}
	for _, spec := range p.Commands {
		describe(b, spec, "run")
	}
	if p.Timeout > 0 {
		paragraph(b, "timeout", short(p.Timeout)+" for all of them; then the stop and exit 124")
	}
	if len(p.Commands) == 0 && len(v.Problems) == 0 {
		b.WriteString("\nnothing runs; exit 0\n")
	}
	p.environmentText(b, v)
	if len(p.Warnings) > 0 {
		b.WriteString("\nwarnings\n")
		for _, warning := range p.Warnings {
			item(b, warning)
		}
	}
	if len(v.Problems) > 0 {
		b.WriteString("\nproblems: this does not start\n")
		for _, problem := range v.Problems {
			item(b, fmt.Sprintf("%s (exit %d)", problem, problem.Code))
		}
	}
	return b.Flush()
}

// servers are the words of --wait-for, and of a URL its server alone: beside that
// may stand a password.
func (p Plan) servers() []string {
	shown := []string{}
	for _, word := range p.WaitFor {
		if scheme, rest, ok := strings.Cut(word, "://"); ok {
			host, _, _ := strings.Cut(rest[strings.LastIndex(rest, "@")+1:], "/")
			word = scheme + "://" + host
		}
		shown = append(shown, word)
	}
	return shown
}

func names(modes []Mode) []string {
	all := make([]string, len(modes))
	for i, m := range modes {
		all[i] = m.String()
	}
	return all
}

// describe is one program: what, how many, where, and how it ends.
func describe(b *bufio.Writer, spec command.Spec, how string) {
	fmt.Fprintf(b, "\n%s\n", spec.Name)
	paragraph(b, how, printable(command.Line(spec.Argv)))
	if spec.Dir != "" {
		paragraph(b, "in", spec.Dir)
	}
	if !spec.Once {
		paragraph(b, "copies", fmt.Sprint(spec.Copies))
	}
	paragraph(b, "why", spec.Why)
	if len(spec.Bind) > 0 {
		text := "we hold "
		for i, address := range spec.Bind {
			if i > 0 {
				text += ", "
			}
			text += address.String()
		}
		text += "; copies inherit it from descriptor 3 on"
		if spec.Private {
			text += ", and a private one each"
		}
		paragraph(b, "socket", text)
	}
	if spec.Once {
		paragraph(b, "ends", "with its own code")
	} else {
		paragraph(b, "ready", readiness(spec))
		if spec.Health.Kind != command.HealthNone {
			h := spec.Health
			paragraph(b, "health", fmt.Sprintf("%s every %s, %s each; %d failures count", printable(h.String()), short(h.Interval), short(h.Timeout), h.Retries))
		}
		restart := spec.Restart.String()
		if spec.Restart != command.Never {
			restart += fmt.Sprintf(", after %s to %s; death %d within %s is the last", short(spec.Backoff.First), short(spec.Backoff.Cap), spec.GiveUp.Deaths, short(spec.GiveUp.Window))
		}
		paragraph(b, "restart", restart)
	}
	paragraph(b, "stop", timeline(spec))
}

// timeline is the stop as moments after the request.
func timeline(spec command.Spec) string {
	var at []string
	now := spec.Drain
	if spec.Drain > 0 {
		at = append(at, "0s not ready, still serving")
	}
	for _, stage := range spec.Stop {
		at = append(at, short(now)+" "+command.SignalName(stage.Signal))
		now += stage.Wait
	}
	return strings.Join(at, ", ")
}

// environmentText counts the variables and names those that we set; with Reveal,
// and where not all is plain, it lists more.
func (p Plan) environmentText(b *bufio.Writer, v View) {
	variables := p.variables(v)
	if len(variables) == 0 {
		return
	}
	count := map[string]int{}
	for _, variable := range variables {
		count[variable.Source]++
	}
	var parts []string
	for _, source := range []string{"environment", "dotenv", "file", "mode", "injected"} {
		if count[source] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", count[source], source))
		}
	}
	fmt.Fprintf(b, "\nenvironment: %s\n", strings.Join(parts, ", "))
	column := 0
	for _, variable := range variables {
		if remark(variable) != "" {
			column = max(column, len(variable.Name))
		}
	}
	for _, variable := range variables {
		switch text := remark(variable); {
		case variable.Value != nil:
			item(b, variable.Name+"="+printable(*variable.Value))
		case text != "":
			wrap(b, fmt.Sprintf("  %-*s  ", column, variable.Name), strings.Repeat(" ", column+4), text)
		}
	}
	if !v.Reveal && slices.ContainsFunc(variables, func(v variableView) bool { return v.State == "plain" }) {
		b.WriteString("  (--reveal shows plain values)\n")
	}
}

// remark is what there is to say about a variable beside its value.
func remark(v variableView) string {
	switch {
	case v.State == "plain":
		return v.Why
	case v.Why == "":
		return v.State
	}
	return v.State + "; " + v.Why
}

// paragraph is a label and its text, which goes on under itself.
func paragraph(b *bufio.Writer, label, text string) {
	wrap(b, fmt.Sprintf("  %-10s", label), strings.Repeat(" ", 12), text)
}

func item(b *bufio.Writer, text string) { wrap(b, "  ", "      ", text) }

// wrap breaks at spaces only: a word that is too long stays whole, so that it
// can be copied.
func wrap(b *bufio.Writer, first, rest, text string) {
	line := first
	length, empty := utf8.RuneCountInString(first), true
	for word := range strings.SplitSeq(text, " ") {
		n := utf8.RuneCountInString(word)
		if !empty && length+1+n > width {
			fmt.Fprintln(b, strings.TrimRight(line, " "))
			line, length, empty = rest, utf8.RuneCountInString(rest), true
		}
		if !empty {
			line += " "
			length++
		}
		line += word
		length += n
		empty = false
	}
	fmt.Fprintln(b, strings.TrimRight(line, " "))
}

// printable keeps a value from moving the cursor or forging lines.
func printable(s string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsPrint(c) {
			return c
		}
		return '\uFFFD'
	}, s)
}
