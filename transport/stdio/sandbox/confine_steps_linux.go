package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// closeStray replaces what the process inherited besides its standard streams. Go opens
// everything to be closed on exec, so what is not has come from outside. The numbers stay
// taken: whoever thinks to own one must not meet another file there.
func (c *confinement) closeStray() (Finding, error) {
	if c.may(Descriptors) {
		return Finding{Detail: "left as they are: allowed to be missing"}, nil
	}
	open, err := descriptors()
	if err != nil {
		return Finding{}, err
	}
	null, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return Finding{}, err
	}
	defer func() { _ = unix.Close(null) }()
	replaced := 0
	for _, fd := range open {
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err != nil || flags&unix.FD_CLOEXEC != 0 {
			continue // closed since, or its own
		}
		if err := unix.Dup3(null, fd, unix.O_CLOEXEC); err != nil {
			return Finding{}, fmt.Errorf("descriptor %d: %w", fd, err)
		}
		replaced++
	}
	return Finding{InForce: true, Verified: true, Mechanism: "/dev/null", Detail: fmt.Sprintf("%d replaced", replaced)}, nil
}

// descriptors are the numbers above 2 that may be open: all there can be where a sandbox
// around this one hides /proc.
func descriptors() ([]int, error) {
	var list []int
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		var limit unix.Rlimit
		if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			return nil, err
		}
		for fd := 3; uint64(fd) < min(limit.Max, 1<<20); fd++ {
			list = append(list, fd)
		}
		return list, nil
	}
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
			list = append(list, fd)
		}
	}
	return list, nil
}

// limit sets the limits of the process, never above what they are.
func (c *confinement) limit() (Finding, error) {
	for resource, value := range c.limits() {
		var old unix.Rlimit
		if err := unix.Getrlimit(resource, &old); err != nil {
			return Finding{}, fmt.Errorf("limit %d: %w", resource, err)
		}
		limit := unix.Rlimit{Cur: min(value, old.Max), Max: min(value, old.Max)}
		if err := unix.Prlimit(0, resource, &limit, nil); err != nil {
			return Finding{}, fmt.Errorf("limit %d: %w", resource, err)
		}
		if err := unix.Getrlimit(resource, &old); err != nil || old != limit {
			return Finding{}, fmt.Errorf("limit %d is %d, not %d: %w", resource, old.Max, limit.Max, err)
		}
	}
	return Finding{InForce: true, Verified: true, Mechanism: "setrlimit"}, nil
}

func (c *confinement) limits() map[int]uint64 {
	l := c.profile.Limits.withDefaults()
	limits := map[int]uint64{
		unix.RLIMIT_CORE:     0,
		unix.RLIMIT_MEMLOCK:  64 << 10,
		unix.RLIMIT_MSGQUEUE: 0,
		unix.RLIMIT_DATA:     uint64(l.Memory),   //nolint:gosec // checked
		unix.RLIMIT_NOFILE:   uint64(l.Files),    //nolint:gosec // checked
		unix.RLIMIT_FSIZE:    uint64(l.FileSize), //nolint:gosec // checked
	}
	if c.profile.Limits.Processes > 0 {
		limits[unix.RLIMIT_NPROC] = uint64(l.Processes) //nolint:gosec // checked
	}
	if l.CPU > 0 {
		limits[unix.RLIMIT_CPU] = max(1, uint64(l.CPU.Seconds()))
	}
	return limits
}

// calmDown switches off the speculation that a process can switch off.
func (c *confinement) calmDown() (Finding, error) {
	var left []string
	for i, kind := range specKinds {
		name := []string{"store bypass", "indirect branch"}[i]
		if speculationOf(kind) == SpeculationOn || speculationOf(kind) == SpeculationOff {
			if err := c.threads.prctl(unix.PR_SET_SPECULATION_CTRL, kind, unix.PR_SPEC_FORCE_DISABLE); err != nil {
				left = append(left, name+": "+err.Error())
				continue
			}
		}
		if state := speculationOf(kind); !state.Safe() {
			left = append(left, name+": "+string(state))
		}
	}
	if len(left) > 0 {
		return Finding{
			Detail: strings.Join(left, ", "),
			Remedy: "boot with spec_store_bypass_disable=prctl and spectre_v2_user=prctl, on a processor that has the switches",
		}, nil
	}
	return Finding{InForce: true, Verified: true, Mechanism: "prctl"}, nil
}

// dropCapabilities gives up every capability of every thread, the bounding set as well
// where the process may.
func (c *confinement) dropCapabilities() (Finding, error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var held [2]unix.CapUserData
	if err := unix.Capget(&header, &held[0]); err != nil {
		return Finding{}, err
	}
	if !c.threads.all {
		if held != [2]unix.CapUserData{} {
			return Finding{}, errors.New("threads of another language cannot be reached: build with CGO_ENABLED=0, or run as an ordinary user")
		}
		return Finding{InForce: true, Mechanism: "capset"}, nil
	}
	const setPCap = 1 << unix.CAP_SETPCAP
	for bit := uintptr(0); held[0].Effective&setPCap != 0 && bit < 64; bit++ {
		err := c.threads.prctl(unix.PR_CAPBSET_DROP, bit, 0)
		if errors.Is(err, unix.EINVAL) {
			break // beyond the last one
		}
		if err != nil {
			return Finding{}, fmt.Errorf("bounding set: %w", err)
		}
	}
	if err := c.threads.prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0); err != nil {
		return Finding{}, fmt.Errorf("ambient set: %w", err)
	}
	if err := c.threads.capset(); err != nil {
		return Finding{}, err
	}
	return Finding{InForce: true, Mechanism: "capset"}, nil
}

func (c *confinement) noNewPrivs() (Finding, error) {
	if c.threads.all {
		return Finding{InForce: true, Mechanism: "prctl"}, c.threads.prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0)
	}
	return Finding{InForce: true, Mechanism: "seccomp"}, nil // the filter brings it to all threads
}

// install puts all threads under the filter and reads from outside, in /proc, what each
// of them is under.
func (c *confinement) install() (Finding, error) {
	runtime.LockOSThread() // for no_new_privs, where only this thread has it yet
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return Finding{}, fmt.Errorf("no_new_privs: %w", err)
	}
	program := unix.SockFprog{Len: uint16(len(c.filter.Code)), Filter: &c.filter.Code[0]} //nolint:gosec // at most 4096
	thread, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		return Finding{}, fmt.Errorf("install: %w", errno)
	}
	if thread != 0 {
		return Finding{}, fmt.Errorf("install: thread %d has a filter of its own: confine the process before other code does", thread)
	}
	if err := c.verify(); err != nil {
		return Finding{}, err
	}
	for _, control := range []Control{NoNewPrivs, Capabilities} {
		if f := c.finding(control); f.InForce {
			f.Verified = true
		}
	}
	return Finding{InForce: true, Verified: true, Mechanism: "seccomp tsync"}, nil
}

// verify looks at every thread from outside, or asks each where a sandbox around this one
// hides /proc.
func (c *confinement) verify() error {
	err := verifyThreads("/proc/self/task", c.allow)
	if c.threads.all && (errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist)) {
		return c.threads.ask()
	}
	return err
}
