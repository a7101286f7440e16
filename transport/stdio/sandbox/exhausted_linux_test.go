//go:build linux && (amd64 || arm64)

package sandbox

import (
	"errors"
	"testing"

	"github.com/mcpsec/mcpsec-go/internal/test/asuser"
	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox/internal/program"
	"golang.org/x/sys/unix"
)

// A host that runs out of descriptors must not take that for a machine without /proc, or
// without user namespaces.
func TestNoDescriptorLeftToLookWith(t *testing.T) { //nolint:paralleltest // a limit of this process
	if asuser.Again(t) {
		return
	}
	for name, allow := range map[string][]Control{"with namespaces": nil, "without": WithoutNamespaces} {
		t.Run(name, func(t *testing.T) {
			c := shell("true")
			c.Allow = allow
			v, err := c.check()
			mustDo(t, err)
			h, err := thisHost(0)
			mustDo(t, err)
			without := h.absent()
			for _, control := range allow {
				without[control] = unix.EPERM
			}
			l := &launching{release: program.Hold(), socket: -1, theirs: -1, null: -1}
			defer l.undo()
			mustDo(t, l.prepare(c, v, h, without))
			var report *Report
			program.OnThread(func() {
				if err = l.clone(); err != nil {
					return
				}
				var limit unix.Rlimit
				if err = unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
					return
				}
				defer func() { _ = unix.Setrlimit(unix.RLIMIT_NOFILE, &limit) }()
				if err = unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: limit.Max}); err == nil {
					report, err = l.converse(t.Context())
				}
			})
			var lost *lostError
			if err == nil || errors.As(err, &lost) || !errors.Is(err, unix.EMFILE) {
				t.Errorf("%v; report %+v", err, report)
			}
		})
	}
}
