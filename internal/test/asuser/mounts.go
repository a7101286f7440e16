//go:build linux

package asuser

import (
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
)

const mountsMarker = "MCPSEC_TEST_OWN_MOUNTS"

// OwnMounts is [Again] for a test that looks for mounts that are left: it runs the test as
// root still, where nobody else mounts anything, and where what a child mounts without
// being cut off is seen, as on a host with systemd.
func OwnMounts(t *testing.T) bool {
	t.Helper()
	switch own := os.Getenv(mountsMarker) != ""; {
	case own && os.Getuid() == 0:
		if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_SHARED, ""); err != nil {
			t.Fatal(err)
		}
		fallthrough
	case own: // as an ordinary user by now
		copied = mountinfo(t)
		return false
	case os.Getuid() != 0:
		return false
	}
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run", pattern(t.Name()), "-test.count=1", "-test.v") //nolint:gosec // the test's own binary
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), mountsMarker+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS} // private, see os/exec
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) { // a container's root
		return false
	}
	judge(t, "with mounts of its own", out, err)
	return true
}

// copied are the mounts that a test found. Those of the host's that end meanwhile, because
// their owner removes the place, end here too.
var copied []string

// Mounts are what was mounted here since [OwnMounts], or nothing where others may mount as
// well.
func Mounts(tb testing.TB) []string {
	tb.Helper()
	if os.Getenv(mountsMarker) == "" {
		return nil
	}
	return slices.DeleteFunc(mountinfo(tb), func(line string) bool { return slices.Contains(copied, line) })
}

func mountinfo(tb testing.TB) []string {
	tb.Helper()
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		tb.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}
