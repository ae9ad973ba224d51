package admin

import (
	"strconv"
	"strings"
	"time"
)

// width is what a terminal has at least.
const width = 80

// Table writes a status for people: each line at most 80 columns, in ASCII.
func Table(s Status, now time.Time) string {
	var b strings.Builder
	line := func(text string) {
		b.WriteString(cut(printable(strings.TrimRight(text, " ")), width))
		b.WriteByte('\n')
	}
	line(s.Mode + " on " + s.Platform + ": " + s.State + ", pid " + strconv.Itoa(s.PID) + ", up " + age(s.Started, now))
	if len(s.Copies) > 0 {
		rows := [][]string{{"COPY", "PID", "STATE", "FOR", "RESTARTS", "LAST EXIT"}}
		for _, c := range s.Copies {
			pid := "-"
			if c.PID != 0 {
				pid = strconv.Itoa(c.PID)
			}
			rows = append(rows, []string{strconv.Itoa(c.Index), pid, c.State, age(c.Since, now), strconv.Itoa(c.Restarts), c.LastExit.String()})
		}
		for _, text := range columns(rows) {
			line(text)
		}
	}
	if len(s.Checks) > 0 {
		rows := [][]string{{"CHECK", "UP", "LAST FAILURE"}}
		for _, c := range s.Checks {
			up := "no"
			if c.Up {
				up = "yes"
			}
			rows = append(rows, []string{c.Name, up, c.Error})
		}
		for _, text := range columns(rows) {
			line(text)
		}
	}
	return b.String()
}

// String is "137 KILL (oom)", "3 (exit)" or nothing.
func (e *Exit) String() string {
	if e == nil {
		return ""
	}
	text := strconv.Itoa(e.Code)
	if e.Signal != "" {
		text += " " + e.Signal
	}
	if e.Reason != "" {
		text += " (" + e.Reason + ")"
	}
	return text
}

// maxCell keeps one odd cell from pushing the others out of the line.
const maxCell = 24

// columns pads the cells of each column but the last to one width.
func columns(rows [][]string) []string {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i := range row {
			row[i] = printable(row[i])
			if i < len(row)-1 {
				row[i] = cut(row[i], maxCell)
			}
			widths[i] = max(widths[i], len(row[i]))
		}
	}
	lines := make([]string, len(rows))
	for i, row := range rows {
		var b strings.Builder
		for j, cell := range row {
			if j < len(row)-1 {
				cell += strings.Repeat(" ", widths[j]-len(cell)+2)
			}
			b.WriteString(cell)
		}
		lines[i] = b.String()
	}
	return lines
}

func cut(text string, length int) string {
	if len(text) <= length {
		return text
	}
	return text[:length-1] + "~"
}

// printable replaces what a terminal would obey, or show in more than a column.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case r < ' ' || r > '~':
			return '?'
		}
		return r
	}, text)
}

// age is the time since then in its two greatest units: 3d4h, 5m2s.
func age(then, now time.Time) string {
	if then.IsZero() {
		return "-"
	}
	d := max(now.Sub(then), 0).Round(time.Second)
	days, hours := int64(d/(24*time.Hour)), int64(d%(24*time.Hour)/time.Hour)
	minutes, seconds := int64(d%time.Hour/time.Minute), int64(d%time.Minute/time.Second)
	number := func(n int64, unit string) string { return strconv.FormatInt(n, 10) + unit }
	switch {
	case days > 0:
		return number(days, "d") + number(hours, "h")
	case hours > 0:
		return number(hours, "h") + number(minutes, "m")
	case minutes > 0:
		return number(minutes, "m") + number(seconds, "s")
	}
	return number(seconds, "s")
}
