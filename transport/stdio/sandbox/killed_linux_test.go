//go:build linux && (amd64 || arm64)

package sandbox

import (
	"bytes"
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/mcpsec/mcpsec-go/internal/test/asuser"
	"golang.org/x/sys/unix"
)

// A child that somebody kills is not one that was found to be confined otherwise.
func TestChildKilledWhileItIsLookedAt(t *testing.T) {
	t.Parallel()
	for _, user := range []string{"root", "ordinary"} {
		t.Run(user, func(t *testing.T) {
			t.Parallel()
			if user == "ordinary" && asuser.Again(t) {
				return
			}
			c := shell("true")
			c.Profile.Egress = []string{"example.com"}
			c.Network = func(Network) error {
				text, err := os.ReadFile("/proc/thread-self/children")
				if err != nil {
					return err
				}
				for child := range strings.FieldsSeq(string(text)) {
					pid, err := strconv.Atoi(child)
					if err == nil && isWaiting(pid) {
						mustDo(t, unix.Kill(pid, unix.SIGKILL))
						gone(t, pid)
					}
				}
				return nil
			}
			p, err := Start(t.Context(), c)
			if err == nil || errors.Is(err, errMismatch) || !strings.Contains(err.Error(), "killed") {
				t.Errorf("%v, %v", p, err)
			}
		})
	}
}

// isWaiting reports whether a process is this program still.
func isWaiting(pid int) bool {
	its, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
	own, bad := os.ReadFile("/proc/self/cmdline")
	return err == nil && bad == nil && bytes.Equal(its, own)
}
