package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox/internal/procfs"
	"golang.org/x/sys/unix"
)

// selfWanted are the controls that Confine works on. Those of namespaces are not: a
// process with threads can enter none.
var selfWanted = []Control{LandlockFiles, LandlockNet, LandlockScope, Seccomp, NoNewPrivs, Capabilities, Rlimits, Descriptors, Egress, Speculation}

func (c *confinement) newReport() *Report {
	r := &Report{
		Schema: 1, Mechanism: "self", Arch: runtime.GOARCH, Kernel: procfs.Release(), LandlockABI: c.abi, Filter: c.filter.Digest(),
	}
	for _, control := range everything {
		f := Finding{Control: control, Wanted: slices.Contains(selfWanted, control)}
		// The processor decides about speculation, and a ruleset without ports adds nothing
		// to a filter without sockets.
		f.Required = f.Wanted && !c.may(control) && control != Speculation && (control != LandlockNet || c.inet())
		r.Controls = append(r.Controls, f)
	}
	return r
}

func (c *confinement) finding(control Control) *Finding {
	i := slices.IndexFunc(c.report.Controls, func(f Finding) bool { return f.Control == control })
	return &c.report.Controls[i]
}

// found notes what became of a control.
func (c *confinement) found(control Control, f Finding) {
	at := c.finding(control)
	f.Control, f.Wanted, f.Required = at.Control, at.Wanted, at.Required
	*at = f
}

// conclude fills in what follows from the steps.
func (c *confinement) conclude() {
	files, filter := *c.finding(LandlockFiles), c.finding(Seccomp).InForce
	for control, handled := range map[Control]uint64{LandlockNet: c.rules.Net, LandlockScope: c.rules.Scope} {
		if files.InForce && handled != 0 {
			c.found(control, Finding{InForce: true, Verified: files.Verified, Mechanism: files.Mechanism})
		}
	}
	switch {
	case !c.inet() && filter:
		c.found(Egress, Finding{InForce: true, Verified: true, Mechanism: "no sockets"})
	case len(c.ports) == 0 && c.finding(LandlockNet).InForce && filter:
		c.found(Egress, Finding{InForce: true, Verified: files.Verified, Mechanism: "no port may be connected to"})
	default:
		c.found(Egress, Finding{
			Detail: fmt.Sprintf("TCP ports %v of every address, whatever its name", c.ports),
			Remedy: "start the program with Start, which knows names",
		})
	}
	switch {
	case files.InForce && filter:
		c.report.Tier = T2
	case filter:
		c.report.Tier = T1
	default:
		c.report.Tier = T0
	}
	if len(c.ports) > 0 {
		resolveOverTCP()
	}
}

// A status is what the kernel says of a thread.
type status struct {
	capabilities uint64 // effective, permitted and inheritable together
	effective    uint64
	ambient      uint64
	noNewPrivs   bool
	filtered     bool
}

// statusOf reads the status of a thread by its folder in /proc.
func statusOf(thread string) (s status, err error) {
	text, err := procfs.StatusOf(thread)
	if err != nil {
		return s, err
	}
	number := func(name string) uint64 {
		n, bad := text.Number(name, 16)
		if bad != nil && err == nil {
			err = fmt.Errorf("%s/status: %w", thread, bad)
		}
		return n
	}
	s.effective, s.ambient = number("CapEff"), number("CapAmb")
	s.capabilities = s.effective | number("CapPrm") | number("CapInh")
	s.noNewPrivs, s.filtered = number("NoNewPrivs") == 1, number("Seccomp") == unix.SECCOMP_MODE_FILTER
	return s, err
}

// verifyThreads looks at every thread of a process.
func verifyThreads(tasks string, allow []Control) error {
	entries, err := os.ReadDir(tasks)
	if err != nil {
		return fmt.Errorf("%w: mount /proc", err)
	}
	if len(entries) == 0 {
		return fmt.Errorf("%s: no threads", tasks)
	}
	for _, e := range entries {
		s, err := statusOf(filepath.Join(tasks, e.Name()))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) {
			continue // ended since
		}
		switch {
		case err != nil:
			return err
		case !s.filtered:
			return fmt.Errorf("thread %s is under no filter", e.Name())
		case !s.noNewPrivs:
			return fmt.Errorf("thread %s may gain privileges", e.Name())
		case (s.capabilities != 0 || s.ambient != 0) && !slices.Contains(allow, Capabilities):
			return fmt.Errorf("thread %s has capabilities", e.Name())
		}
	}
	return nil
}
