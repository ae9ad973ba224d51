package main

import (
	"fmt"
	"strings"

	"github.com/codeontap/entrypoint/internal/contract"
)

// between returns the text with what stands between a pair of markers
// replaced. Both have to be there: a file that has lost them would be fresh for
// ever.
func between(name, content string) func(old string) (string, error) {
	begin, end := "<!-- contract "+name+" -->\n", "<!-- end of contract "+name+" -->"
	return func(old string) (string, error) {
		before, rest, found := strings.Cut(old, begin)
		_, after, closed := strings.Cut(rest, end)
		if !found || !closed {
			return "", fmt.Errorf("it needs the lines %q and %q, between which the table goes", strings.TrimSpace(begin), end)
		}
		return before + begin + content + end + after, nil
	}
}

// setsTable is the contract at a glance.
func setsTable() string {
	var out strings.Builder
	out.WriteString("\n| set | variables | in use |\n|---|---|---|\n")
	for _, s := range contract.Sets() {
		names := make([]string, len(s.Variables))
		for i, v := range s.Variables {
			names[i] = "`" + v.Name + "`"
			if i > 0 && v.Required && !s.Always {
				names[i] = "**" + names[i] + "**"
			}
		}
		inUse := "if `" + s.Variables[0].Name + "` is set"
		if s.Always {
			inUse = "always"
		}
		fmt.Fprintf(&out, "| %s | %s | %s |\n", s.Title, strings.Join(names, ", "), inUse)
	}
	out.WriteString("\nIn bold: required once the set is in use. `DJANGO_SECRET_KEY` is required unless `DJANGO_DEBUG` is true.\n\n")
	return out.String()
}

// variableTables is a table for each set.
func variableTables() string {
	var out strings.Builder
	for _, s := range contract.Sets() {
		fmt.Fprintf(&out, "\n### %s\n\n", strings.ToUpper(s.Title[:1])+s.Title[1:])
		if s.Always {
			fmt.Fprintf(&out, "Set `%s`, always in use.", s.Name)
		} else {
			fmt.Fprintf(&out, "Set `%s`, in use if `%s` is set.", s.Name, s.Variables[0].Name)
		}
		if s.Remark != "" {
			out.WriteString(" " + s.Remark)
		}
		out.WriteString("\n\n| variable | value | if unset | meaning |\n|---|---|---|---|\n")
		for _, v := range s.Variables {
			fmt.Fprintf(&out, "| `%s` | %s | %s | %s |\n", v.Name, form(v), unset(s, v), v.Meaning)
		}
	}
	out.WriteString("\n")
	return out.String()
}

// form is what may stand in the variable.
func form(v contract.Variable) string {
	switch v.Kind {
	case contract.Host:
		return "host"
	case contract.Port:
		return "port"
	case contract.Number:
		return "whole number"
	case contract.Boolean:
		return "boolean"
	case contract.URL:
		return "URL"
	case contract.Endpoint:
		return "URL or host:port"
	case contract.Choice:
		return "`" + strings.Join(v.Choices, "`, `") + "`, or a dotted path"
	}
	if v.Secret {
		return "secret"
	}
	return "text"
}

// unset is what happens where it is not set.
func unset(s contract.Set, v contract.Variable) string {
	switch {
	case !s.Always && v.Name == s.Variables[0].Name:
		return "the set is not in use"
	case v.Unless != "":
		return "refused, unless `" + v.Unless + "` is true"
	case v.Required:
		return "refused"
	case v.Default != "":
		return "`" + v.Default + "`"
	}
	return ""
}
