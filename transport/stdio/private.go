package stdio

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// A privateDir is a folder of the host that only its user can enter, and one inside it
// that the confined process, whoever it runs as, sees as a mount.
type privateDir struct {
	outside, inside string
}

func newPrivateDir() (*privateDir, error) {
	outside, err := os.MkdirTemp("", "mcpsec-") // mode 0700
	if err != nil {
		return nil, fmt.Errorf("stdio: a private copy: %w: give the host a writable TMPDIR", err)
	}
	d := &privateDir{outside, filepath.Join(outside, "app")}
	if err := os.Mkdir(d.inside, 0o700); err != nil {
		return nil, errors.Join(fmt.Errorf("stdio: a private copy: %w", err), d.remove())
	}
	if err := os.Chmod(d.inside, 0o755); err != nil { //nolint:gosec // read by the confined user, through the mount
		return nil, errors.Join(fmt.Errorf("stdio: a private copy: %w", err), d.remove())
	}
	return d, nil
}

// write puts one file there that everybody inside may read and run. No child is cloned
// meanwhile: it would have the file open for writing, and so keep it from being executed,
// until it executes something itself (go.dev/issue/22315).
func (d *privateDir) write(name string, content []byte) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	path := filepath.Join(d.inside, name)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("stdio: a private copy: %w", err)
	}
	_, err = f.Write(content)
	if err := errors.Join(err, f.Chmod(0o555), f.Close()); err != nil {
		return fmt.Errorf("stdio: a private copy: %w", err)
	}
	return nil
}

// remove deletes it. Folders in which nobody may write are given back their rights first.
func (d *privateDir) remove() error {
	_ = filepath.WalkDir(d.inside, func(path string, entry fs.DirEntry, err error) error { // what it cannot, RemoveAll reports
		if err == nil && entry.IsDir() {
			return os.Chmod(path, 0o700) //nolint:gosec // a folder
		}
		return err
	})
	if err := os.RemoveAll(d.outside); err != nil {
		return fmt.Errorf("stdio: removing a private copy: %w", err)
	}
	return nil
}
