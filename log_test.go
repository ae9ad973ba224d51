package main

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"github.com/codeontap/entrypoint/internal/env"
)

func TestALineIsALine(t *testing.T) {
	var b bytes.Buffer
	log := newLogger(&b, "text", slog.LevelInfo)
	log.Info("web.0 started", "pid", 12)
	log.Warn("forged\nentrypoint: error: line", "why", "two words")
	log.Debug("not seen")
	log.Error("cannot read", "value", env.NewSecret("hunter2"))
	want := "entrypoint: web.0 started pid=12\n" +
		"entrypoint: warning: forged entrypoint: error: line why=\"two words\"\n" +
		"entrypoint: error: cannot read value=<secret>\n"
	if b.String() != want {
		t.Errorf("got\n%swanted\n%s", b.String(), want)
	}
}

func TestJSONLinesAreJSON(t *testing.T) {
	var b bytes.Buffer
	newLogger(&b, "json", slog.LevelInfo).With("copy", "web.0").Error("ended\n", "secret", env.NewSecret("hunter2"), "message", "mine")
	var line map[string]string
	if err := json.Unmarshal(b.Bytes(), &line); err != nil {
		t.Fatal(err)
	}
	if line["level"] != "error" || line["message"] != "ended\n" || line["copy"] != "web.0" || line["secret"] != "<secret>" {
		t.Errorf("%v", line)
	}
	if strings.Contains(b.String(), "hunter2") {
		t.Error("a secret got out")
	}
}
