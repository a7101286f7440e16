package state

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// read reads one of the files. It follows no link, waits for no pipe, and refuses what
// others can read: it looks before it opens, because opening a device can have effects,
// and again at what it opened.
func read(path string) ([]byte, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if err := checkFile(path, info); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|openFlags, 0)
	if err != nil {
		return nil, err
	}
	info, err = f.Stat()
	if err == nil {
		err = checkFile(path, info)
	}
	var raw []byte
	if err == nil {
		raw, err = io.ReadAll(io.LimitReader(f, maxFile+1))
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	return raw, nil
}

func checkFile(path string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file, or is a link to one", path)
	}
	if info.Size() > maxFile {
		return fmt.Errorf("%s is larger than %d bytes", path, maxFile)
	}
	return checkRights(path, info)
}

func checkFolder(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		return fmt.Errorf("%w: make the folder first, with mode 0700", err)
	case !info.IsDir():
		return fmt.Errorf("%s is no folder", dir)
	}
	return checkFolderRights(dir, info)
}
