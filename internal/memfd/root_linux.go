package memfd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// A Root is the folder that files are below. It is safe for concurrent use.
type Root struct {
	dir  *os.File
	name string // absolute
	// resolve opens a path below the folder without following a link.
	resolve func(dir int, rel string, flags int) (int, error)
}

// OpenRoot opens a folder. Links on the way to the folder itself are followed: it is the
// configuration of whoever runs the server.
func OpenRoot(name string) (*Root, error) {
	name, err := filepath.Abs(name)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Open(name, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return &Root{os.NewFile(uintptr(fd), name), name, resolve}, nil
}

// Named reports whether the folder's name still leads to it.
func (r *Root) Named() (bool, error) {
	held, err := r.dir.Stat()
	if err != nil {
		return false, err
	}
	return names(r.name, held)
}

// Close releases the folder. What was opened below it stays open; names of it fail.
func (r *Root) Close() error { return r.dir.Close() }

// Open opens a regular file that has no other name, for reading. The path is relative,
// with slashes; neither it nor anything on its way may be a link, and ".." is refused.
// The file is looked at before it is opened for reading, because opening a device or a
// pipe has effects, and the file that was opened is looked at again.
func (r *Root) Open(rel string) (_ *os.File, err error) {
	defer func() {
		if err != nil {
			err = &fs.PathError{Op: "open", Path: rel, Err: err}
		}
	}()
	if !fs.ValidPath(rel) || strings.ContainsRune(rel, 0) || rel == "." {
		return nil, errors.New("not a path below the folder")
	}
	before, err := r.open(rel, unix.O_PATH)
	if err != nil {
		return nil, err
	}
	err = judge(before)
	_ = before.Close() // a handle without rights
	if err != nil {
		return nil, err
	}
	f, err := r.open(rel, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY)
	if err != nil {
		return nil, err
	}
	if err := judge(f); err != nil {
		_ = f.Close() // nothing was written
		return nil, err
	}
	return f, nil
}

func (r *Root) open(rel string, flags int) (*os.File, error) {
	fd, err := r.resolve(int(r.dir.Fd()), rel, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC)
	runtime.KeepAlive(r.dir)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), rel), nil
}

// judge refuses everything but a regular file with one name: another hard link is a way
// to write that nobody reviewed.
func judge(f *os.File) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return err
	}
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return errors.New("not a regular file")
	case st.Nlink != 1:
		return fmt.Errorf("it has %d names (hard links), not one: give the server a copy of its own", st.Nlink)
	}
	return nil
}

// resolve lets the kernel keep the path below the folder (openat2, Linux 5.6), and walks
// where it cannot or a seccomp filter does not know the call.
func resolve(dir int, rel string, flags int) (int, error) {
	how := unix.OpenHow{
		Flags:   uint64(flags), //nolint:gosec // flags are not negative
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	}
	for range 8 { // EAGAIN: something was renamed on the way
		fd, err := unix.Openat2(dir, rel, &how)
		switch {
		case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EPERM):
			return walk(dir, rel, flags)
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
			continue
		}
		return fd, err
	}
	return -1, unix.EAGAIN
}

// walk opens one component after the other, none of which may be a link or go up, so that
// it ends below the folder too.
func walk(dir int, rel string, flags int) (int, error) {
	at := dir
	folder, file := path.Split(rel)
	for name := range strings.SplitSeq(strings.TrimSuffix(folder, "/"), "/") {
		if name == "" {
			continue
		}
		next, err := unix.Openat(at, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if at != dir {
			_ = unix.Close(at) // a handle without rights
		}
		if err != nil {
			return -1, err
		}
		at = next
	}
	fd, err := unix.Openat(at, file, flags, 0)
	if at != dir {
		_ = unix.Close(at) // see above
	}
	return fd, err
}
