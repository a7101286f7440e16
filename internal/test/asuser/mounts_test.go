//go:build linux

package asuser

import (
	"slices"
	"strings"
	"syscall"
	"testing"
)

// A mount that is left is seen, and one of the host's that ends meanwhile is not taken for
// anything.
func TestMountsThatAreLeft(t *testing.T) { //nolint:paralleltest // mounts
	if OwnMounts(t) {
		return
	}
	dir := Dir(t)
	if err := syscall.Mount("left", dir, "tmpfs", 0, ""); err != nil {
		t.Skipf("reason: nothing can be mounted here: %v", err)
	}
	if left := Mounts(t); len(left) != 1 || !strings.Contains(left[0], " "+dir+" ") {
		t.Errorf("%q", left)
	}
	copied = append(slices.Clone(copied), "a mount of the host's")
	if err := syscall.Unmount(dir, 0); err != nil {
		t.Fatal(err)
	}
	if left := Mounts(t); len(left) != 0 {
		t.Errorf("%q", left)
	}
}
