//go:build unix

package oracle

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// Alone waits until no other test on this machine runs the program, for one that takes a
// port of which it cannot be talked out. It is free again at the end of the test.
func Alone(tb testing.TB, name string) {
	tb.Helper()
	f, err := os.OpenFile(filepath.Join(os.TempDir(), "mcpsec-oracle-"+name+".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		tb.Fatal(err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = f.Close() })
}
