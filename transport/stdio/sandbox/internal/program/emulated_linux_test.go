//go:build linux && amd64

package program

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The other architecture's assembly runs the tests of this package in an emulator. The
// emulator cannot clone a child that shares memory, so there it is copied.
func TestEmulatedARM64(t *testing.T) {
	t.Parallel()
	emulator, err := exec.LookPath("qemu-aarch64-static")
	if err != nil {
		t.Skip("qemu-aarch64-static not installed: apt install qemu-user-static")
	}
	binary := filepath.Join(t.TempDir(), "program.test")
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-o", binary, ".")
	build.Env = append(os.Environ(), "GOARCH=arm64", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := exec.CommandContext(t.Context(), emulator, binary, "-fork", "-test.v", "-test.timeout=60s").CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}
