//go:build linux && (amd64 || arm64)

package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"syscall"

	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox/internal/landlock"
	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox/internal/procfs"
	"golang.org/x/sys/unix"
)

// nobody is the host's user that a process runs as if the host is root.
const nobody = 65534

// host is what a plan has to know of the machine and of this process.
type host struct {
	arch    string
	kernel  string
	uid     int
	gid     int
	user    int // the one to become, if the host is root
	abi     int // of Landlock
	lastCap int
	// listener are the flags of a filter with one: a call that waits for its answer is ended
	// by fatal signals only, where the kernel can do that.
	listener int
	probe    bool // end instead of executing

	// faults make calls of the child fail, as on other kernels; clone does the same for
	// the clone itself. For tests.
	faults []fault
	clone  func(flags uintptr) error
}

func (h *host) root() bool { return h.uid == 0 }

// thisHost looks at the machine.
func thisHost(user int) (host, error) {
	h := host{arch: runtime.GOARCH, uid: os.Geteuid(), gid: os.Getegid(), user: user, abi: landlock.ABI(), kernel: procfs.Release(), lastCap: lastCapability(), listener: listenerFlags()}
	if h.user == 0 {
		h.user = nobody
	}
	if h.user < 0 {
		return host{}, fmt.Errorf("user %d: no such user", user)
	}
	return h, nil
}

// lastCapability is the highest that the kernel knows.
var lastCapability = sync.OnceValue(func() int {
	last := -1
	for c := range 64 {
		if _, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(c), 0, 0, 0); err != nil {
			break
		}
		last = c
	}
	return last
})

// listenerFlags asks the kernel which it knows: it looks at them before it looks for the
// filter, which is not there.
var listenerFlags = sync.OnceValue(func() int {
	const patient = unix.SECCOMP_FILTER_FLAG_NEW_LISTENER | unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
	if _, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, patient, 0); errno == unix.EFAULT {
		return patient
	}
	return unix.SECCOMP_FILTER_FLAG_NEW_LISTENER
})

// Probe says what [Direct] can put in force on this machine for this user, by starting a
// process that confines itself and ends. The error says why not even that could be done.
func Probe(ctx context.Context) (*Report, error) {
	h, err := thisHost(0)
	if err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	h.probe = true
	return direct{host: &h}.probe(ctx)
}

func (d direct) probe(ctx context.Context) (*Report, error) {
	c := &Command{
		Path: "/", Args: []string{"probe"}, Allow: everything,
		Profile: Profile{Egress: []string{"probe.invalid"}},
		Network: func(Network) error { return nil },
	}
	p, err := d.start(ctx, c, &view{})
	if err != nil {
		return nil, err
	}
	_, err = p.Wait()
	return p.Report(), err
}

// remedy says what to do about a control that could not be put in force.
func remedy(c Control, err error) string {
	var errno syscall.Errno
	_ = errors.As(err, &errno)
	switch c {
	case UserNamespace, MountNamespace, PIDNamespace, IPCNamespace, UTSNamespace, NetNamespace, CgroupNamespace:
		return namespaceRemedy(c, errno)
	case Proc:
		return "the container hides parts of /proc: run it with unmasked /proc (securityContext.procMount: Unmasked, --security-opt systempaths=unconfined), or allow the loss of " + string(c)
	case LandlockFiles, LandlockNet, LandlockScope:
		return "boot a kernel with landlock in its lsm= list: files since Linux 5.13, TCP ports since 6.7, signals and abstract sockets since 6.12"
	case Seccomp:
		return "run on a kernel with CONFIG_SECCOMP_FILTER; inside a container, let its profile pass the seccomp call"
	case Cgroup:
		return "delegate a cgroup: a systemd unit with Delegate=yes, or systemd-run --user --scope -p Delegate=yes"
	case Descriptors:
		return "run on Linux 5.9 or newer, which has close_range"
	case Egress:
		return "allow the loss of it, or make user and network namespaces available"
	case Rlimits:
		return "raise the hard limits of the host process: a limit can only be lowered"
	default:
		return "if this process runs inside another sandbox, let that one pass the call"
	}
}

// switchedOff looks, once, for the switch that takes namespaces away.
var switchedOff = sync.OnceValue(func() string {
	for _, s := range []struct{ file, off, remedy string }{
		{"/proc/sys/kernel/unprivileged_userns_clone", "0", "set the sysctl kernel.unprivileged_userns_clone to 1"},
		{"/proc/sys/user/max_user_namespaces", "0", "raise the sysctl user.max_user_namespaces"},
		{"/proc/sys/user/max_net_namespaces", "0", "raise the sysctl user.max_net_namespaces"},
		{"/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1", "give this program an AppArmor profile with the rule \"userns,\""},
	} {
		if procfs.Line(s.file) == s.off {
			return s.remedy
		}
	}
	return ""
})

func namespaceRemedy(c Control, errno syscall.Errno) string {
	if s := switchedOff(); s != "" {
		return s
	}
	switch errno {
	case unix.ENOSPC, unix.EUSERS:
		return "raise the limit: sysctl user.max_user_namespaces and its neighbours; namespaces may also be nested too deeply, or forbidden inside another sandbox"
	case unix.EPERM, unix.EACCES:
		return "inside a container, let its seccomp profile pass clone and unshare with new namespaces, and mount"
	case unix.ENOSYS:
		return "run on Linux 5.12 or newer"
	case unix.EINVAL:
		return "run on a kernel with this kind of namespace"
	default:
		return "make " + string(c) + " available, or allow its loss"
	}
}
