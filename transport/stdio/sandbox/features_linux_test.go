//go:build linux && (amd64 || arm64)

package sandbox

import (
	"errors"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/mcpsec/mcpsec-go/internal/test/asuser"
	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox/internal/program"
	"golang.org/x/sys/unix"
)

// lacking is a machine on which something cannot be had.
func lacking(t *testing.T, change func(*host)) direct {
	t.Helper()
	h, err := thisHost(0)
	if err != nil {
		t.Fatal(err)
	}
	change(&h)
	return direct{host: &h}
}

// refusing is a kernel that refuses calls of the child.
func refusing(faults ...fault) func(*host) {
	return func(h *host) { h.faults = faults }
}

// cloneWithout is a kernel that refuses a kind of namespace.
func cloneWithout(flag uintptr, errno syscall.Errno) func(*host) {
	return func(h *host) {
		h.clone = func(flags uintptr) error {
			if flags&flag != 0 {
				return errno
			}
			return nil
		}
	}
}

// whatIsMissing are machines without one of the things that confine, what a start then
// says is missing, and what is lost if that is allowed.
var whatIsMissing = map[string]struct {
	machine func(*host)
	control Control
	lost    []Control
	tier    Tier
	hosts   bool // the command has hosts to reach
	without []Control
}{
	"a container's seccomp profile refuses namespaces": {
		machine: func(h *host) {
			cloneWithout(unix.CLONE_NEWUSER|unix.CLONE_NEWNS|unix.CLONE_NEWPID|unix.CLONE_NEWNET|unix.CLONE_NEWIPC|unix.CLONE_NEWUTS, unix.EPERM)(h)
			h.faults = []fault{{program.Unshare, -1, 0, unix.EPERM}}
		},
		control: UserNamespace, lost: WithoutNamespaces, tier: T2,
	},
	"user.max_user_namespaces is 0": {
		machine: cloneWithout(unix.CLONE_NEWUSER, unix.ENOSPC), control: UserNamespace, tier: T2,
	},
	"user.max_net_namespaces is 0": {
		machine: cloneWithout(unix.CLONE_NEWNET, unix.ENOSPC), control: NetNamespace, lost: []Control{NetNamespace}, tier: T2,
	},
	"AppArmor takes the capabilities of a user namespace away": {
		machine: refusing(fault{program.Mount, -1, 0, unix.EACCES}), control: MountNamespace, lost: []Control{MountNamespace, Proc}, tier: T2,
	},
	"no open_tree before Linux 5.2": {
		machine: refusing(fault{program.OpenTree, -1, 0, unix.ENOSYS}), control: MountNamespace, lost: []Control{MountNamespace, Proc}, tier: T2,
	},
	"no mount_setattr before Linux 5.12": {
		machine: refusing(fault{program.MountSetattr, -1, 0, unix.ENOSYS}), control: MountNamespace, lost: []Control{MountNamespace, Proc}, tier: T2,
	},
	"the loopback of a network namespace stays down": {
		machine: refusing(fault{program.Ioctl, -1, 0, unix.EPERM}), control: NetNamespace, lost: []Control{NetNamespace}, tier: T2,
	},
	"a container masks parts of proc": {
		machine: refusing(fault{program.Mount, 3, unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, unix.EPERM}),
		control: Proc, lost: []Control{Proc}, tier: T3,
	},
	"no cgroup namespace": {
		machine: refusing(fault{program.Unshare, -1, 0, unix.EPERM}), control: CgroupNamespace, lost: []Control{CgroupNamespace}, tier: T2,
	},
	"no Landlock": {
		machine: func(h *host) { h.abi = 0 }, control: LandlockFiles, lost: []Control{LandlockFiles, LandlockNet, LandlockScope}, tier: T1,
	},
	"Landlock is there and fails": {
		machine: refusing(fault{program.LandlockSelf, -1, 0, unix.E2BIG}), control: LandlockFiles, lost: []Control{LandlockFiles, LandlockNet, LandlockScope}, tier: T1,
	},
	"no seccomp": {
		machine: refusing(fault{program.Seccomp, -1, 0, unix.EINVAL}), control: Seccomp, lost: []Control{Seccomp}, tier: T0,
	},
	"limits are refused": {
		machine: refusing(fault{program.Prlimit, -1, 0, unix.EPERM}), control: Rlimits, lost: []Control{Rlimits}, tier: T3,
	},
	"capabilities stay": {
		machine: refusing(fault{program.Capset, -1, 0, unix.EPERM}), control: Capabilities, lost: []Control{Capabilities}, tier: T3,
	},
	"no close_range before Linux 5.9": {
		machine: refusing(fault{program.CloseRange, -1, 0, unix.ENOSYS}), control: Descriptors, lost: []Control{Descriptors}, tier: T3,
	},
	"no route to made-up addresses": {
		machine: refusing(fault{program.Sendto, -1, 0, unix.EPERM}), control: Egress, lost: []Control{Egress}, tier: T3, hosts: true,
	},
	"another supervisor is there already": {
		machine: func(h *host) {
			cloneWithout(^uintptr(0)&^0xff&^unix.CLONE_VM, unix.EPERM)(h)
			h.faults = []fault{{program.Seccomp, 1, uint32(listenerFlags()), unix.EBUSY}}
		},
		control: Egress, tier: T2, hosts: true, without: WithoutNamespaces,
	},
}

func TestWhatIsMissingIsRefusedByName(t *testing.T) {
	t.Parallel()
	for name, tt := range whatIsMissing {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if asuser.Again(t) {
				return
			}
			refusesAndDegrades(t, name)
			_ = tt
		})
	}
}

// The host of a container is often root, without the capabilities.
func TestWhatIsMissingForRoot(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("not root")
	}
	for name := range whatIsMissing {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refusesAndDegrades(t, name)
		})
	}
}

func refusesAndDegrades(t *testing.T, name string) {
	t.Helper()
	tt := whatIsMissing[name]
	d := lacking(t, tt.machine)
	c := shell("true")
	c.Allow = tt.without
	if tt.hosts {
		c.Profile.Egress = []string{"example.com"}
		c.Network = func(Network) error { return nil }
	}
	_, err := d.Start(t.Context(), c)
	var u *UnavailableError
	if !errors.As(err, &u) || u.Control != tt.control || u.Remedy == "" || !strings.Contains(err.Error(), string(tt.control)) {
		t.Fatalf("started with everything required: %v; want a refusal that names %s and a remedy", err, tt.control)
	}
	t.Log(err)
	// Each time the control that is named is allowed to be lost.
	var report *Report
	for range everything {
		p, err := d.Start(t.Context(), c)
		if errors.As(err, &u) {
			c.Allow = append(slices.Clone(c.Allow), u.Control)
			continue
		}
		if err != nil {
			t.Fatalf("with %v allowed: %v", c.Allow, err)
		}
		if state, err := p.Wait(); err != nil || !state.Success() {
			t.Fatalf("the program: %v, %v", state, err)
		}
		report = p.Report()
		break
	}
	if report == nil || report.Tier != tt.tier {
		t.Fatalf("with %v allowed: %+v, want tier %s", c.Allow, report, tt.tier)
	}
	for _, f := range report.Controls {
		if slices.Contains(tt.lost, f.Control) && (f.InForce || f.Detail == "") {
			t.Errorf("the report claims %+v", f)
		}
		if tt.lost != nil && !slices.Contains(tt.lost, f.Control) && !slices.Contains(c.Allow, f.Control) && f.Required && !f.InForce {
			t.Errorf("%s is lost as well: %s", f.Control, f.Detail)
		}
	}
}

func TestProbe(t *testing.T) {
	t.Parallel()
	if asuser.Again(t) {
		return
	}
	report, err := Probe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if report.Tier != T3 || report.LandlockABI == 0 {
		t.Errorf("%+v", report)
	}
	for _, f := range report.Controls {
		if f.Required {
			t.Errorf("a probe requires %s", f.Control)
		}
	}
}
