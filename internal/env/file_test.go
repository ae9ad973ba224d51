package env_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/codeontap/entrypoint/internal/env"
)

// mount writes files as an engine mounts secrets, and returns their folder.
func mount(t *testing.T, files map[string]string) (folder string) {
	t.Helper()
	folder = t.TempDir()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o400); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

func TestAValueComesFromItsFile(t *testing.T) {
	t.Parallel()
	folder := mount(t, map[string]string{"unix": "s3cret\n", "windows": "s3cret\r\n", "bare": "s3cret", "two": "s3cret\n\n", "cr": "s3cret\r", "empty": "", "inner": " a\nb \n", "bytes": "\xff\n"})
	if err := os.Symlink("unix", filepath.Join(folder, "link")); err != nil { // as Kubernetes mounts them
		t.Fatal(err)
	}
	for file, want := range map[string]string{"unix": "s3cret", "windows": "s3cret", "bare": "s3cret", "two": "s3cret\n", "cr": "s3cret\r", "empty": "", "inner": " a\nb ", "bytes": "\xff", "link": "s3cret"} {
		e, _ := env.Parse([]string{"DATABASE_PASSWORD_FILE=" + filepath.Join(folder, file), "DATABASE_PASSWORD=", "OTHER_FILE=/nowhere", "HOME=/root"})
		got, err := env.ReadFiles(e, []string{"DATABASE_PASSWORD", "DATABASE_HOST"})
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		if diff := cmp.Diff(map[string]string{"DATABASE_PASSWORD": want, "OTHER_FILE": "/nowhere", "HOME": "/root"}, plain(got.Variables())); diff != "" {
			t.Errorf("%s: %s", file, diff)
		}
		if v, _ := got.Lookup("DATABASE_PASSWORD"); v.Source != env.FromFile {
			t.Errorf("%s: comes from %v", file, v.Source)
		}
	}
}

func TestAnEmptyFileVariableIsAnUnsetOne(t *testing.T) {
	t.Parallel()
	e, _ := env.Parse([]string{"DATABASE_PASSWORD_FILE=", "DATABASE_PASSWORD=direct"})
	got, err := env.ReadFiles(e, []string{"DATABASE_PASSWORD"})
	if err != nil || len(got.Block()) != 1 || got.Get("DATABASE_PASSWORD").Reveal() != "direct" {
		t.Errorf("%v, %v", got, err)
	}
}

// A file can hold as much as a variable of that name can, to the byte.
func TestALongFileIsRefusedAtTheByte(t *testing.T) {
	t.Parallel()
	most := 131071 - len("DATABASE_PASSWORD=")
	folder := mount(t, map[string]string{
		"most": strings.Repeat("x", most), "most with a line end": strings.Repeat("x", most) + "\r\n",
		"one more": strings.Repeat("x", most+1), "one more with a line end": strings.Repeat("x", most+1) + "\n",
		"two more": strings.Repeat("x", most) + "\n\n", "much more": strings.Repeat("x", 4<<20),
	})
	for file, fits := range map[string]bool{"most": true, "most with a line end": true, "one more": false, "one more with a line end": false, "two more": false, "much more": false} {
		e, _ := env.Parse([]string{"DATABASE_PASSWORD_FILE=" + filepath.Join(folder, file)})
		got, err := env.ReadFiles(e, []string{"DATABASE_PASSWORD"})
		if (err == nil) != fits {
			t.Errorf("%s: %v", file, err)
		}
		if err == nil && got.Fit() != nil {
			t.Errorf("%s was taken and does not fit: %v", file, got.Fit())
		}
	}
}

// All at once, by name, and never the path: it may be the secret itself.
func TestWhatCannotBeReadIsSaidAtOnce(t *testing.T) {
	t.Parallel()
	folder := mount(t, map[string]string{"nul": "a\x00b", "good": "good"})
	fifo := filepath.Join(folder, canary)
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	loop := filepath.Join(folder, "loop")
	if err := os.Symlink(loop, loop); err != nil {
		t.Fatal(err)
	}
	e, _ := env.Parse([]string{
		"A_FILE=" + canary, "B_FILE=" + folder, "C_FILE=" + fifo, "D_FILE=" + filepath.Join(folder, "nul"), "E_FILE=" + filepath.Join(folder, "good"),
		"E=" + canary, "F_FILE=/dev/null", "G_FILE=" + filepath.Join(folder, "good"), "H_FILE=" + loop, "I_FILE=" + strings.Repeat(canary, 1000),
	})
	got, err := env.ReadFiles(e, []string{"A", "B", "C", "D", "E", "F", "G", "H", "I", "J"})
	if err == nil {
		t.Fatal("no error")
	}
	if diff := cmp.Diff(e.Block(), got.Block()); diff != "" {
		t.Errorf("half of it was applied: %s", diff)
	}
	want := []string{
		"cannot read the file that A_FILE names: there is none; mount it, or unset the variable",
		"cannot read the file that B_FILE names: it is a folder; a plain file is wanted",
		"cannot read the file that C_FILE names: it is a pipe, a socket or a device; a plain file is wanted",
		"cannot read the file that D_FILE names: it holds a NUL byte, which no variable can; store it encoded",
		"cannot choose between E and E_FILE: both are set; unset one of them",
		"cannot read the file that F_FILE names: it is a pipe, a socket or a device; a plain file is wanted",
		"cannot read the file that H_FILE names: too many levels of symbolic links",
		"cannot read the file that I_FILE names: file name too long",
	}
	if diff := cmp.Diff(want, strings.Split(err.Error(), "\n")); diff != "" {
		t.Error(diff)
	}
	if leaks(err.Error()) {
		t.Error("the error shows a path")
	}
}
