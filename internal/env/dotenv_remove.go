package env

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/moby/sys/mountinfo"
)

// RemoveDotenv deletes a .env file that came with an image, and reports
// whether there was one. It leaves alone what stands on a mount, the file
// itself bound or a folder above it: that is the file of somebody outside of
// the container. The caller warns of an error and goes on.
func RemoveDotenv(path string) (removed bool, err error) {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.IsDir() {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("cannot remove %s: %w", path, bare(err))
	}
	// The link is removed, not what it points to; the folders' links count.
	folder, err := filepath.Abs(filepath.Dir(path))
	if err == nil {
		folder, err = filepath.EvalSymlinks(folder)
	}
	if err != nil {
		return false, fmt.Errorf("cannot remove %s: %w", path, bare(err))
	}
	place := filepath.Join(folder, filepath.Base(path))
	mounts, err := mountinfo.GetMounts(mountinfo.ParentsFilter(place))
	if err != nil { // no /proc: what cannot be ruled out is left alone
		return false, fmt.Errorf("cannot remove %s: cannot tell whether it stands on a mount: %w", path, bare(err))
	}
	for _, m := range mounts {
		if m.Mountpoint != "/" {
			return false, fmt.Errorf("cannot remove %s: it stands on the mount %s and so is not the image's; do not mount it on this platform", path, m.Mountpoint)
		}
	}
	if err := os.Remove(place); err != nil {
		return false, fmt.Errorf("cannot remove %s: %w; delete it when the image is built", path, bare(err))
	}
	return true, nil
}
