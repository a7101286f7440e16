//go:build !unix

package oracle

import "testing"

// Alone skips the test: the programs are built on Unix only.
func Alone(tb testing.TB, name string) {
	tb.Helper()
	tb.Skipf("reason: no file locks for %s on this system", name)
}
