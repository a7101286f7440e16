// Package regular opens files that must be ordinary files: a manifest, a secret.
// A name may lead to a device whose opening has effects, to a pipe that waits for a
// writer, or to something else by the time it is opened. It also writes such files, whole
// or not at all.
package regular

import (
	"fmt"
	"io"
	"io/fs"
	"os"
)

// Open opens a regular file of at most limit bytes for reading. Links are followed:
// mounted secrets are links. It looks before it opens, because opening a device can
// have effects, and judges again what it opened, because the name may have changed
// hands in between. judge, if not nil, may refuse by more than size and kind.
func Open(path string, limit int64, judge func(fs.FileInfo) error) (_ *os.File, _ fs.FileInfo, err error) {
	check := func(info fs.FileInfo, err error) error {
		switch {
		case err != nil:
			return err
		case !info.Mode().IsRegular():
			return fmt.Errorf("%s is not a regular file", path)
		case info.Size() > limit:
			return fmt.Errorf("%s is larger than %d bytes", path, limit)
		case judge != nil:
			return judge(info)
		}
		return nil
	}
	if err := check(os.Stat(path)); err != nil {
		return nil, nil, err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|nonblocking, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err := check(info, err); err != nil {
		_ = f.Close() // nothing was written
		return nil, nil, err
	}
	return f, info, nil
}

// ReadFile reads a regular file of at most limit bytes.
func ReadFile(path string, limit int64) ([]byte, error) {
	f, _, err := Open(path, limit, nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // nothing was written
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s grew beyond %d bytes", path, limit)
	}
	return data, nil
}
