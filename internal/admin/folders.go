package admin

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// folderPrefix is followed by the uid of the user whose sockets are in it.
const folderPrefix = "entrypoint-"

// primary is the first supervisor's socket; a second one of the same user adds
// its pid to the name.
const (
	primary = "entrypoint.sock"
	suffix  = ".sock"
)

// Folders are the places for a control socket, in the order of preference.
// runtimeDir is $XDG_RUNTIME_DIR; one that is not absolute does not count (XDG
// Base Directory Specification).
func Folders(runtimeDir string) []string {
	folders := []string{"/run", "/tmp", "/dev/shm"}
	if filepath.IsAbs(runtimeDir) {
		folders = append([]string{filepath.Clean(runtimeDir)}, folders...)
	}
	return folders
}

// SearchFolders are the places where a client looks: also in the runtime folder
// of a login that its own environment does not name, and for root in those of
// all users.
func SearchFolders(runtimeDir string) []string {
	folders := Folders(runtimeDir)
	const logins = "/run/user"
	if os.Geteuid() != 0 {
		return append(folders, filepath.Join(logins, strconv.Itoa(os.Geteuid())))
	}
	entries, err := os.ReadDir(logins)
	if err != nil {
		return folders // not a machine with logins
	}
	for _, entry := range entries {
		folders = append(folders, filepath.Join(logins, entry.Name()))
	}
	return folders
}

func folderOf(place string, uid int) string {
	return filepath.Join(place, folderPrefix+strconv.Itoa(uid))
}

// ownerOf is the inverse of folderOf.
func ownerOf(name string) (uid int, ok bool) {
	digits, ok := strings.CutPrefix(name, folderPrefix)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 32)
	return int(n), err == nil
}

// prepare makes the user's folder under place, or takes the one that is there.
func prepare(place string, uid int) (folder string, err error) {
	folder = folderOf(place, uid)
	err = os.Mkdir(folder, 0o700)
	switch {
	case err == nil:
		err = os.Chmod(folder, 0o700) // whatever the umask took
	case errors.Is(err, os.ErrExist):
		err = nil
	}
	if err != nil {
		return "", cause(err)
	}
	if err := trust(folder, uid); err != nil {
		return "", err
	}
	return folder, nil
}

// trust refuses a folder that somebody else could have put there: in /tmp anyone
// may take the name first, as a folder of his own or as a link to one of ours.
func trust(folder string, uid int) error {
	var s unix.Stat_t
	if err := unix.Lstat(folder, &s); err != nil {
		return err
	}
	switch {
	case s.Mode&unix.S_IFMT != unix.S_IFDIR:
		return fmt.Errorf("%s is not a folder", folder)
	case int(s.Uid) != uid:
		return fmt.Errorf("%s belongs to uid %d, not to %d", folder, s.Uid, uid)
	case s.Mode&0o077 != 0:
		return fmt.Errorf("%s is open to others (mode %04o, wanted 0700)", folder, s.Mode&0o7777)
	}
	return nil
}
