//go:build unix

package https

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// closeOnExec keeps a descriptor from the programs that this one starts.
func closeOnExec(fd uintptr) { syscall.CloseOnExec(int(fd)) }

// duplicate returns another descriptor of a socket. The File method of listeners is not for
// this: what it returns is made blocking when it is passed on, and with it the listener,
// whose Accept could then not be ended.
func duplicate(socket syscall.Conn, name string) (*os.File, error) {
	raw, err := socket.SyscallConn()
	if err != nil {
		return nil, err
	}
	var (
		fd     int
		failed error
	)
	err = raw.Control(func(own uintptr) {
		fd, failed = unix.FcntlInt(own, unix.F_DUPFD_CLOEXEC, firstFD)
	})
	if err := errors.Join(err, failed); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}
