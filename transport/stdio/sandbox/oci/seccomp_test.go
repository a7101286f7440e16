//go:build linux

package oci

import (
	"testing"

	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox"
)

// A call that its arguments decide about is not allowed as a whole because a profile names it.
func TestFilterRefusesCallsWithRules(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"clone", "socket", "prctl", "ioctl", "seccomp"} {
		if _, err := filter(&sandbox.Profile{Syscalls: []string{name}}); err == nil {
			t.Errorf("%s is allowed whatever its arguments", name)
		}
	}
}
