package regular

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// Replace puts a file in the place of another, or none at all, and returns once that
// survives a loss of power. The file has the mode given, less the umask, whatever the one
// before had. After an error the old file stands, or the new one, each whole; the error
// names the file and no draft of it.
//
// Several may do so at once, also from several processes: each of them puts a whole file
// there, and the last one stays. A draft that a killed process leaves behind, named
// ".mcpsec-*.new", is removed by a later Replace or Create in that folder, an hour after it
// was written to.
func Replace(path string, content []byte, mode fs.FileMode) error {
	return place(path, content, mode, rand.Text(), os.Rename)
}

// Create is Replace where there is no file yet: if there is one, it stays, and the error is
// fs.ErrExist. Of several who create it at once one succeeds. The folder must be on a file
// system with hard links.
func Create(path string, content []byte, mode fs.FileMode) error {
	return place(path, content, mode, rand.Text(), os.Link) // a link replaces nothing
}

// place writes a draft beside the file and has move give it the file's name. The draft's own
// name is one that nobody foresees: what stands there is somebody else's, and left alone.
func place(path string, content []byte, mode fs.FileMode, random string, move func(draft, path string) error) error {
	dir := filepath.Dir(path)
	sweep(dir)
	draft := filepath.Join(dir, draftPrefix+random+draftSuffix)
	f, err := os.OpenFile(draft, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return about(path, err)
	}
	defer func() { _ = os.Remove(draft) }() // renamed, it is gone; if it stays, it is swept
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if fault := f.Close(); err == nil {
		err = fault
	}
	if err == nil {
		err = move(draft, path)
	}
	if err != nil {
		return about(path, err)
	}
	return SyncDir(dir)
}

// about has an error name the file in the place of a draft, whose name is another each time:
// whoever tells a fault once would tell it for ever.
func about(path string, err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return &fs.PathError{Op: e.Op, Path: path, Err: e.Err}
	}
	if e, ok := errors.AsType[*os.LinkError](err); ok {
		return &fs.PathError{Op: e.Op, Path: path, Err: e.Err}
	}
	return err
}

// SyncDir makes the names in a folder survive a loss of power.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(ignoreUnsupported(d.Sync()), d.Close())
}

// ignoreUnsupported is for systems on which a folder cannot be synced: Windows denies it to
// whoever has opened one, which is for reading.
func ignoreUnsupported(err error) error {
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, fs.ErrInvalid) || runtime.GOOS == "windows" && errors.Is(err, fs.ErrPermission) {
		return nil
	}
	return err
}
