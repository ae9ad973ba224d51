// Command gen writes what is made from the contract: the tables in README.md
// and docs/environment.md, and the samples of environment files. With -check it
// writes nothing and exits with 1 if one of them is not as it would write it.
//
//	go run ./internal/contract/gen [-check] [folder of the repository]
package main

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

func main() {
	check := flag.Bool("check", false, "write nothing; exit with 1 and the names of the files that are stale")
	flag.Parse()
	root := "."
	if flag.NArg() > 0 {
		root = flag.Arg(0)
	}
	changed, err := generate(root, !*check)
	for _, path := range changed {
		if *check {
			fmt.Fprintf(os.Stderr, "%s is not what the contract says: make generate\n", path)
		} else {
			fmt.Println(path)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	if err != nil || *check && len(changed) > 0 {
		os.Exit(1)
	}
}

// file is one that is generated, wholly or in part.
type file struct {
	path string
	// content returns what is to stand in it, given what stands in it.
	content func(old string) (string, error)
}

func files() []file {
	all := []file{
		{"README.md", between("sets", setsTable())},
		{"docs/environment.md", between("variables", variableTables())},
	}
	for _, s := range samples() {
		all = append(all, file{s.path, func(string) (string, error) { return s.text(), nil }})
	}
	return all
}

// generate brings every file up to date if write is set, and returns those
// that were not.
func generate(root string, write bool) (changed []string, err error) {
	var errs []error
	for _, f := range files() {
		path := filepath.Join(root, f.path)
		old, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("cannot read %w", err))
			continue
		}
		content, err := f.content(string(old))
		if err != nil {
			errs = append(errs, fmt.Errorf("cannot generate %s: %w", f.path, err))
			continue
		}
		if content == string(old) {
			continue
		}
		changed = append(changed, f.path)
		if !write {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			errs = append(errs, fmt.Errorf("cannot write %w", err))
			continue
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			errs = append(errs, fmt.Errorf("cannot write %w", err))
		}
	}
	return changed, errors.Join(errs...)
}
