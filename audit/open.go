package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
)

const (
	fileMode = 0o600
	// excess is what an existing file loses: the rights of others, and the group's
	// right to write and execute. A group may read, for a log shipper.
	excess = 0o037
)

// openFile opens path for appending, or creates it. Whatever is at the path was
// looked at without following links and is compared with what was opened, so that
// it cannot be exchanged in between.
func openFile(path string) (*os.File, error) {
	if path == "" {
		return nil, errors.New("the path is empty")
	}
	before, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		// O_EXCL follows no link, and fails if something appeared meanwhile.
		f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE|os.O_EXCL, fileMode)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("the directory must exist: %w", err)
		}
		return f, err
	case err != nil:
		return nil, err
	case before.Mode()&fs.ModeSymlink != 0:
		return nil, fmt.Errorf("%s is a symbolic link: name the file itself", path)
	case !before.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a regular file (mode %v)", path, before.Mode())
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND, 0)
	if err != nil {
		return nil, err
	}
	if err := adopt(f, before); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), f.Close())
	}
	return f, nil
}

// adopt makes an existing file fit to append to.
func adopt(f *os.File, expected fs.FileInfo) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !os.SameFile(expected, info) {
		return errors.New("was replaced while it was opened")
	}
	if mode := info.Mode().Perm(); mode&excess != 0 && runtime.GOOS != "windows" {
		if err := f.Chmod(mode &^ excess); err != nil {
			return fmt.Errorf("mode %v lets others in: %w", mode, err)
		}
	}
	return endLastLine(f, info.Size())
}

// endLastLine ends a line that was cut off.
func endLastLine(f *os.File, size int64) error {
	if size == 0 {
		return nil
	}
	var last [1]byte
	if _, err := f.ReadAt(last[:], size-1); err != nil {
		return fmt.Errorf("reading the last line: %w", err)
	}
	if last[0] == '\n' {
		return nil
	}
	if _, err := f.Write([]byte{'\n'}); err != nil {
		return fmt.Errorf("ending the last line: %w", err)
	}
	return nil
}
