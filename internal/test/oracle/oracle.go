// Package oracle finds the independent programs that contract tests run against.
package oracle

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// Path returns the program of the name, built by "make oracles", or skips the test.
// The environment variable MCPSEC_ORACLES names another folder than .cache/oracles.
func Path(tb testing.TB, name string) string {
	tb.Helper()
	dir := os.Getenv("MCPSEC_ORACLES")
	if dir == "" {
		_, here, _, _ := runtime.Caller(0)
		dir = filepath.Join(filepath.Dir(here), "..", "..", "..", ".cache", "oracles")
	}
	path := filepath.Join(dir, name)
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		tb.Skipf("reason: the independent %s is not built: make oracles", name)
	}
	return path
}
