package env

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// problem is an error without a path in it: what os says names the file, and
// the name of a secret's file is the value of a variable.
type problem string

func (p problem) Error() string { return string(p) }

const (
	errFolder   = problem("it is a folder")
	errNotPlain = problem("it is a pipe, a socket or a device")
	errTooBig   = problem("it is too big")
)

// readPlain reads a plain file of at most limit bytes. It never waits: a FIFO
// without a writer would hold up the start for ever (open(2), O_NONBLOCK).
// info is that of the open file where there is one, also beside an error.
func readPlain(path string, limit int64) (content []byte, info fs.FileInfo, err error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if errors.Is(err, syscall.ENXIO) { // a socket, or a device that is not there
		return nil, nil, errNotPlain
	}
	if err != nil {
		return nil, nil, bare(err)
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil {
		return nil, nil, bare(err)
	}
	switch {
	case info.IsDir():
		return nil, info, errFolder
	case !info.Mode().IsRegular():
		return nil, info, errNotPlain
	case info.Size() > limit:
		return nil, info, errTooBig
	}
	// Its size is not believed: it may grow, and those of /proc are 0.
	content, err = io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, info, bare(err)
	}
	if int64(len(content)) > limit {
		return nil, info, errTooBig
	}
	return content, info, nil
}

// bare is the error without the operation and the path.
func bare(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
