package syslog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// settled returns nil once the receiver's kernel has acknowledged every byte and the
// end of the connection. A receiver that had closed before our last bytes came
// answers them with a reset instead.
func (s *stream) settled(ctx context.Context) error {
	raw, err := s.tcp.SyscallConn()
	if err != nil {
		return err
	}
	pause := time.Millisecond
	for {
		var (
			unacked, fault int
			err, errQueue  error
		)
		errControl := raw.Control(func(fd uintptr) {
			unacked, errQueue = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ)
			fault, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR)
		})
		switch err := errors.Join(errControl, errQueue, err); {
		case err != nil:
			return fmt.Errorf("asking whether everything arrived: %w", err)
		case fault != 0:
			return fmt.Errorf("the receiver closed the connection before it had everything: %w", unix.Errno(fault))
		case unacked == 0:
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d bytes were never acknowledged", unacked)
		case <-time.After(pause):
			pause = min(2*pause, 100*time.Millisecond)
		}
	}
}
