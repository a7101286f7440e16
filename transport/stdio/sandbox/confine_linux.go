package sandbox

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox/internal/landlock"
	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox/internal/seccomp"
)

// Confine confines the calling process itself, all its threads and what it starts, for
// good: to the files, ports and system calls of the profile. Call it once everything is
// open that the profile does not cover, and before the first byte from outside is read.
//
// It needs no privilege and no namespaces (tier [T2]), and so gives less than [Start]:
// files outside cannot be opened or changed, but their names, sizes and times can be
// seen; there is no private /tmp; memory and descriptors from before stay. Without hosts
// and ports to listen on, no network socket can be made.
//
// Hosts are ports here: the kernel checks the port of each TCP connection, not the name.
// So a profile with Egress is refused unless [Egress] is among the controls that may be
// missing; use [Start] for hosts by name, or let the code dial with an egress.Dialer and
// know that other code in the process need not. Names are then looked up over TCP:
// Confine replaces net.DefaultResolver, because UDP sockets cannot be confined.
//
// Controls that cannot be enforced make it fail before anything has changed, unless they
// are listed in allow. After an error that says the process is confined in part, it must
// end. A second call can only narrow further.
//
// Descriptors that the process was started with, other than standard input, output and
// error, are replaced by /dev/null. Limits.Processes counts all processes of the user, so
// it applies only if it is set, and Limits.Temp does not. Programs with cgo need Linux
// with Landlock abi 8: elsewhere Go cannot reach the threads of other languages.
func Confine(p Profile, allow ...Control) (*Report, error) {
	confining.Lock()
	defer confining.Unlock()
	c := &confinement{profile: p, allow: allow, abi: landlock.ABI(), ruleset: -1}
	defer c.close()
	if err := c.plan(); err != nil {
		return nil, err
	}
	if err := c.apply(); err != nil {
		return nil, fmt.Errorf("%w (the process is confined in part and must end)", err)
	}
	return c.report, nil
}

// confining is held by one Confine at a time.
var confining sync.Mutex

// A confinement is what a process is about to do to itself.
type confinement struct {
	profile Profile
	allow   []Control
	ports   []uint16
	abi     int
	view    *view
	rules   landlock.Ruleset
	ruleset int // its descriptor, or -1
	canary  string
	filter  *seccomp.Filter
	threads threads
	report  *Report
}

// plan does everything that can fail without leaving a trace.
func (c *confinement) plan() (err error) {
	p := c.profile
	if err := p.Limits.check(); err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	if c.ports, err = portsOf(p.Egress); err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	if len(p.Egress) > 0 && !c.may(Egress) {
		return &UnavailableError{
			Control: Egress, Err: errors.New("a process can confine itself to the ports of hosts, not to their names"),
			Remedy: "start it with Start, or allow the control to be missing",
		}
	}
	if p.Unix && c.abi < 9 {
		return errors.New("sandbox: unix: without namespaces local sockets need landlock abi 9 to keep those of the host out of reach: leave Unix unset")
	}
	if c.view, err = newView(&Command{Profile: p}); err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	if err := c.view.plain(); err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	if err := c.planLandlock(); err != nil {
		return err
	}
	if c.threads, err = newThreads(c.abi); err != nil && (!c.may(LandlockFiles) || !c.may(Capabilities)) {
		return err
	}
	if err := c.planFilter(); err != nil {
		return err
	}
	if p.Dir != "" {
		if err := os.Chdir(p.Dir); err != nil {
			return fmt.Errorf("sandbox: dir: %w", err)
		}
	}
	return nil
}

func (c *confinement) may(control Control) bool { return slices.Contains(c.allow, control) }

func (c *confinement) inet() bool { return len(c.ports) > 0 || len(c.profile.Listen) > 0 }

func (c *confinement) executes() bool { return len(c.profile.Exec) > 0 || c.profile.System }

func (c *confinement) planFilter() (err error) {
	c.filter, err = seccomp.Compile(seccomp.Options{
		Arch: runtime.GOARCH, Inet: c.inet(), Unix: c.profile.Unix,
		NoListen:   len(c.profile.Listen) == 0 && !c.profile.Unix,
		NoFileless: c.profile.NoFileless || !c.executes(), NoExec: !c.executes(),
		Shared: true, ReadOnly: len(c.profile.Write) == 0, Allow: c.profile.Syscalls,
	})
	if err != nil {
		return fmt.Errorf("sandbox: %s: %w", Seccomp, err)
	}
	if _, err := unix.PrctlRetInt(unix.PR_GET_SECCOMP, 0, 0, 0, 0); err != nil && !c.may(Seccomp) {
		return &UnavailableError{Control: Seccomp, Err: err, Remedy: "use a kernel with CONFIG_SECCOMP_FILTER"}
	}
	return nil
}

// apply confines, from what the later steps need to the filter and the rules.
func (c *confinement) apply() error {
	c.report = c.newReport()
	load()
	for _, step := range []struct {
		control Control
		do      func() (Finding, error)
	}{
		{Descriptors, c.closeStray},
		{Rlimits, c.limit},
		{Speculation, c.calmDown},
		{Capabilities, c.dropCapabilities},
		{NoNewPrivs, c.noNewPrivs},
		{Seccomp, c.install},
		{LandlockFiles, c.restrict},
	} {
		f, err := step.do()
		if err != nil && !c.may(step.control) {
			return fmt.Errorf("sandbox: %s: %w", step.control, err)
		}
		if err != nil {
			f = Finding{Detail: err.Error()}
		}
		c.found(step.control, f)
	}
	c.conclude()
	return nil
}

// load makes the runtime read now what it reads from files when it is first asked.
func load() { _, _ = time.Now().Zone() }

// resolveOverTCP makes names be looked up without UDP.
func resolveOverTCP() {
	dialer := &net.Dialer{Timeout: 5 * time.Second}
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, address string) (net.Conn, error) {
		return dialer.DialContext(ctx, "tcp", address)
	}}
}

func (c *confinement) close() {
	if c.ruleset >= 0 {
		_ = unix.Close(c.ruleset)
		c.ruleset = -1
	}
}
