package attest

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// notifier returns a stream on which the kernel says that something happened to one of the
// files (inotify). It misses writes through mappings and other hosts' writes: what it says
// saves time, and what it does not say proves nothing.
func notifier(watches []*watch) (io.ReadCloser, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("inotify: %w", err)
	}
	events := os.NewFile(uintptr(fd), "inotify")
	for _, w := range watches {
		if err := notify(fd, w); err != nil {
			return nil, errors.Join(fmt.Errorf("inotify: artifact %s: %w", w.Name, err), events.Close())
		}
	}
	return events, nil
}

// notify watches the file that was opened, whatever its name leads to by now.
func notify(fd int, w *watch) error {
	f, err := w.root.Open(w.Path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // nothing was written
	_, err = unix.InotifyAddWatch(fd, fmt.Sprintf("/proc/self/fd/%d", f.Fd()),
		unix.IN_MODIFY|unix.IN_ATTRIB|unix.IN_CLOSE_WRITE|unix.IN_MOVE_SELF|unix.IN_DELETE_SELF)
	return err
}
