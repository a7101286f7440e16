//go:build !unix

package https

import (
	"errors"
	"os"
	"syscall"
)

func closeOnExec(uintptr) {}

func duplicate(syscall.Conn, string) (*os.File, error) { return nil, errors.ErrUnsupported }
