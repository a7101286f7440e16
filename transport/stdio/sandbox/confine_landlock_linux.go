package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox/internal/landlock"
)

// domainPort is where names are looked up.
const domainPort = 53

// planLandlock makes the ruleset in the kernel, for the best interface there is.
func (c *confinement) planLandlock() error {
	for _, need := range []struct {
		control Control
		wanted  bool
		abi     int
		remedy  string
	}{
		{LandlockFiles, true, landlock.Oldest, "boot Linux 6.2 or newer with landlock in its lsm= list"},
		{LandlockNet, c.inet(), 4, "use Linux 6.7 or newer"},
		{LandlockScope, true, 6, "use Linux 6.12 or newer: before, other processes of the user can be sent signals"},
	} {
		if need.wanted && c.abi < need.abi && !c.may(need.control) {
			return &UnavailableError{Control: need.control, Err: fmt.Errorf("it needs landlock abi %d, this kernel has %d", need.abi, c.abi), Remedy: need.remedy}
		}
	}
	if c.abi < 1 {
		return nil
	}
	net := c.abi >= 4
	var connect, listen []uint16
	if net {
		connect, listen = slices.Clone(c.ports), c.profile.Listen
	}
	if len(connect) > 0 {
		connect = append(connect, domainPort)
	}
	var paths [3][]string
	for _, e := range c.view.entries {
		paths[e.access] = append(paths[e.access], e.source)
	}
	var err error
	c.rules, err = landlock.Compile(paths[mayRead], paths[mayWrite], paths[mayExec], connect, listen, net, c.abi >= 6, c.abi)
	if err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	for _, device := range []string{"/dev/null", "/dev/zero", "/dev/random", "/dev/urandom"} {
		if err := c.rules.Allow(device, landlock.Device); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("sandbox: %w", err)
		}
	}
	if c.ruleset, err = c.rules.Open(); err != nil {
		c.ruleset = -1
		return fmt.Errorf("sandbox: %w", err)
	}
	c.canary = canary(c.view)
	return nil
}

// canary is a folder that the process can list now and must not be able to afterwards.
// There is none if something else confines its files already.
func canary(v *view) string {
	for _, path := range []string{"/", "/proc", "/dev", "/sys"} {
		if cover(v.entries, path) != nil {
			continue
		}
		if f, err := os.Open(path); err == nil {
			_ = f.Close()
			return path
		}
	}
	return ""
}

// restrict puts all threads under the ruleset, and makes each of them try what it must
// not be able to do.
func (c *confinement) restrict() (Finding, error) {
	if c.ruleset < 0 {
		return Finding{}, errors.New("the kernel has no landlock")
	}
	if err := c.threads.restrict(c.ruleset); err != nil {
		return Finding{}, fmt.Errorf("landlock: %w", err)
	}
	f := Finding{InForce: true, Mechanism: fmt.Sprintf("landlock abi %d", c.abi)}
	if c.canary == "" {
		f.Detail = "the files were confined before, so that nothing can show the difference"
		return f, nil
	}
	if err := c.threads.refused(c.canary); err != nil {
		return Finding{}, err
	}
	f.Verified = true
	return f, nil
}

// refused makes sure that no thread can list a folder.
func (t threads) refused(folder string) error {
	path, err := unix.BytePtrFromString(folder)
	if err != nil {
		return err
	}
	if err := t.openat(path); !errors.Is(err, unix.EACCES) {
		return fmt.Errorf("landlock: listing %s is not refused: %v", folder, err) //nolint:errorlint // it may be nil
	}
	return nil
}
