package ledger

import (
	"errors"
	"os"
	"syscall"
)

// dataSync leaves out the times of the file, which nobody reads.
func dataSync(f *os.File) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var fault error
	if err := conn.Control(func(fd uintptr) {
		for {
			if fault = syscall.Fdatasync(int(fd)); !errors.Is(fault, syscall.EINTR) {
				return
			}
		}
	}); err != nil {
		return err
	}
	return os.NewSyscallError("fdatasync", fault)
}
