package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/codeontap/entrypoint/internal/admin"
	"github.com/codeontap/entrypoint/internal/env"
	"github.com/codeontap/entrypoint/modes"
)

// runtimeDir names a folder for what the copies of one run need to write: their
// own sockets, beat's schedule. It is not made yet. Empty where nothing can be
// written.
func runtimeDir(e env.Environment) string {
	for _, place := range admin.Folders(e.Get("XDG_RUNTIME_DIR").Reveal()) {
		if info, err := os.Stat(place); err == nil && info.IsDir() && unix.Access(place, unix.W_OK|unix.X_OK) == nil {
			unique := strconv.FormatInt(time.Now().UnixNano()%(1<<40), 36)
			return filepath.Join(place, fmt.Sprintf("entrypoint-%d-%d-%s", os.Geteuid(), os.Getpid(), unique))
		}
	}
	return ""
}

// makeRuntimeDir makes the folder if the plan uses it. Mkdir refuses one that is
// there already: in /tmp anybody could have put it there. The caller owes the
// removal.
func makeRuntimeDir(dir string, plan modes.Plan) (remove func(), err error) {
	remove = func() {}
	used := false
	for _, spec := range plan.Commands {
		used = used || spec.Private
	}
	for _, v := range plan.Injected {
		used = used || strings.HasPrefix(v.Value, dir+"/")
	}
	if dir == "" || !used {
		return remove, nil
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return remove, fmt.Errorf("cannot make the folder for the copies' sockets: %w", err)
	}
	remove = func() { _ = os.RemoveAll(dir) }
	for _, folder := range plan.Folders() {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return remove, fmt.Errorf("cannot make the folder for the copies' sockets: %w", err)
		}
	}
	return remove, nil
}
