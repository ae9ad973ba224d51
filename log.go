package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"unicode"
)

// newLogger makes the logger of our own lines: text for people, JSON for
// machines, nothing of it on stdout, which is the application's.
func newLogger(w io.Writer, format string, level slog.Level) *slog.Logger {
	return slog.New(&lines{mu: &sync.Mutex{}, w: w, level: level, json: format == "json"})
}

// lines is a slog.Handler that writes a record as one line with one write(2),
// so that it cannot be torn by the application's own output.
type lines struct {
	mu    *sync.Mutex
	w     io.Writer
	level slog.Level
	json  bool
	attrs []slog.Attr
}

func (h *lines) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level }

func (h *lines) WithAttrs(attrs []slog.Attr) slog.Handler {
	more := *h
	more.attrs = append(more.attrs[:len(more.attrs):len(more.attrs)], attrs...)
	return &more
}

// WithGroup keeps names flat: our lines have few attributes.
func (h *lines) WithGroup(string) slog.Handler { return h }

func (h *lines) Handle(_ context.Context, r slog.Record) error {
	attrs := h.attrs[:len(h.attrs):len(h.attrs)]
	r.Attrs(func(a slog.Attr) bool { attrs = append(attrs, a); return true })
	var b []byte
	if h.json {
		b = h.jsonLine(r, attrs)
	} else {
		b = textLine(r, attrs)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	_, err := h.w.Write(b)
	return err
}

func textLine(r slog.Record, attrs []slog.Attr) []byte {
	var b strings.Builder
	b.WriteString("entrypoint: ")
	switch {
	case r.Level >= slog.LevelError:
		b.WriteString("error: ")
	case r.Level >= slog.LevelWarn:
		b.WriteString("warning: ")
	case r.Level < slog.LevelInfo:
		b.WriteString("debug: ")
	}
	b.WriteString(oneLine(r.Message))
	for _, a := range attrs {
		value := a.Value.Resolve().String()
		if value == "" || strings.ContainsFunc(value, func(c rune) bool { return unicode.IsSpace(c) || c == '"' || !unicode.IsPrint(c) }) {
			value = strconv.Quote(value)
		}
		fmt.Fprintf(&b, " %s=%s", a.Key, value)
	}
	b.WriteByte('\n')
	return []byte(b.String())
}

// oneLine keeps a message from forging a second line.
func oneLine(s string) string {
	if !strings.ContainsFunc(s, unicode.IsControl) {
		return s
	}
	return strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return ' '
		}
		return c
	}, s)
}

func (h *lines) jsonLine(r slog.Record, attrs []slog.Attr) []byte {
	line := map[string]any{
		"time": r.Time.UTC().Format("2006-01-02T15:04:05.000Z07:00"), "level": strings.ToLower(r.Level.String()),
		"source": "entrypoint", "message": r.Message,
	}
	for _, a := range attrs {
		if _, taken := line[a.Key]; !taken {
			line[a.Key] = a.Value.Resolve().String()
		}
	}
	b, err := json.Marshal(line)
	if err != nil {
		return textLine(r, attrs)
	}
	return append(b, '\n')
}
