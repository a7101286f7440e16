package stdio

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// replace makes descriptor to lead where from leads.
func replace(from, to int) error { return unix.Dup3(from, to, 0) }

// watchParent calls gone once when the process that started this one has ended: where
// somebody else holds the other end of standard input too, its end alone says nothing.
// A process whose parent is not to be seen, such as the first of a container, has none.
func watchParent(gone func()) (stop func(), err error) {
	parent := os.Getppid()
	if parent <= 1 {
		return func() {}, nil
	}
	fd, err := unix.PidfdOpen(parent, unix.PIDFD_NONBLOCK)
	switch {
	case errors.Is(err, unix.ESRCH):
		gone()
		return func() {}, nil
	case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EPERM), errors.Is(err, unix.EINVAL): // a kernel before 5.10, or a filter
		return func() {}, nil
	case err != nil:
		return nil, err
	}
	if os.Getppid() != parent { // it ended before, and the number may be another's
		gone()
		return func() {}, unix.Close(fd)
	}
	file := os.NewFile(uintptr(fd), "parent")
	conn, err := file.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if conn.Read(ended) == nil {
			gone()
		}
	}()
	return func() { _ = file.Close(); <-done }, nil
}

// ended reports whether the process behind a descriptor is gone.
func ended(fd uintptr) bool {
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0) //nolint:gosec // descriptors are small
	return err == nil && n > 0
}
