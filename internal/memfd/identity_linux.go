package memfd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// An Identity is everything a file system says about whether a file changed. The change
// time cannot be set by the owner of a file; a write through a shared mapping that was
// made before does not show in it until it reaches the disk.
type Identity struct {
	Dev, Ino     uint64
	Size         int64
	Mtime, Ctime int64 // Unix nanoseconds
}

// Same reports whether nothing seems to have changed.
func (i Identity) Same(j Identity) bool { return i == j }

// is reports whether both are of one file, changed or not.
func (i Identity) is(j Identity) bool { return i.Dev == j.Dev && i.Ino == j.Ino }

// Changed returns the time of the last change in Unix nanoseconds.
func (i Identity) Changed() int64 { return max(i.Mtime, i.Ctime) }

// Identify returns the identity of an open file. It allocates nothing and takes about a
// third of a microsecond.
func Identify(f *os.File) (Identity, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return Identity{}, err
	}
	return Identity{uint64(st.Dev), uint64(st.Ino), int64(st.Size), st.Mtim.Nano(), st.Ctim.Nano()}, nil //nolint:unconvert,nolintlint // types differ among architectures
}

// A Name is a path below a folder whose file is looked up again and again. It is safe for
// concurrent use.
type Name struct {
	root *Root
	path []byte // ends in NUL
}

// Name prepares a path, of which [Root.Open] has approved, for [Name.Look].
func (r *Root) Name(rel string) (*Name, error) {
	if !fs.ValidPath(rel) || strings.ContainsRune(rel, 0) || rel == "." {
		return nil, fmt.Errorf("%q is not a path below the folder", rel)
	}
	return &Name{r, append([]byte(rel), 0)}, nil
}

// folders opens the folders between the root and the file.
func (n *Name) folders() (list []folder, err error) {
	rel := strings.TrimSuffix(string(n.path), "\x00")
	for i, c := range rel {
		if c != '/' {
			continue
		}
		f, err := n.root.open(rel[:i], unix.O_PATH|unix.O_DIRECTORY)
		if err != nil {
			return nil, err
		}
		name, err := n.root.Name(rel[:i])
		if err != nil {
			return nil, err
		}
		list = append(list, folder{f, name})
	}
	return list, nil
}

// Look returns the identity of the file that has the name now. It allocates nothing and
// takes about a microsecond.
func (n *Name) Look() (Identity, error) {
	var st unix.Statx_t
	err := statx(int(n.root.dir.Fd()), &n.path[0], unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT, &st)
	runtime.KeepAlive(n.root.dir)
	if err != nil {
		return Identity{}, err
	}
	return identity(&st)
}

const wanted = unix.STATX_TYPE | unix.STATX_INO | unix.STATX_SIZE | unix.STATX_MTIME | unix.STATX_CTIME

// statx is unix.Statx for a name that is ready: that function copies it for every call.
func statx(dir int, name *byte, flags int, st *unix.Statx_t) error {
	for {
		_, _, errno := unix.Syscall6(unix.SYS_STATX, uintptr(dir), uintptr(unsafe.Pointer(name)), uintptr(flags), wanted, uintptr(unsafe.Pointer(st)), 0) //nolint:gosec // the system call's own types
		if errno == 0 {
			return nil
		}
		if errno != unix.EINTR {
			return errno
		}
	}
}

var errUnknown = errors.New("the file system does not say when the file changed")

func identity(st *unix.Statx_t) (Identity, error) {
	if st.Mask&wanted != wanted {
		return Identity{}, errUnknown
	}
	return Identity{
		Dev: unix.Mkdev(st.Dev_major, st.Dev_minor), Ino: st.Ino, Size: int64(st.Size), //nolint:gosec // sizes are below 2^63
		Mtime: st.Mtime.Sec*1e9 + int64(st.Mtime.Nsec), Ctime: st.Ctime.Sec*1e9 + int64(st.Ctime.Nsec),
	}, nil
}
