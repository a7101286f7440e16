//go:build unix

package attest_test

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/mcpsec/mcpsec-go/attest"
)

// TestNamedPipe: opening a pipe without a writer would wait for ever.
func TestNamedPipe(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Skip(err)
	}
	if _, err := attest.Load(pipe); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Error(err)
	}
}
