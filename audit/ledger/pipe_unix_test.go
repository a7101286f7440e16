//go:build unix

package ledger

import (
	"syscall"
	"testing"
)

// fifo makes a named pipe.
func fifo(t *testing.T, path string) error {
	t.Helper()
	return syscall.Mkfifo(path, 0o600)
}
