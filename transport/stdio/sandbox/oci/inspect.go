//go:build linux

package oci

import (
	"fmt"
	"runtime"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox"
	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox/internal/procfs"
)

// namespaces are the files of /proc/PID/ns, and the controls they are.
var namespaces = []struct {
	file    string
	control sandbox.Control
}{
	{"user", sandbox.UserNamespace}, {"mnt", sandbox.MountNamespace}, {"pid", sandbox.PIDNamespace}, {"ipc", sandbox.IPCNamespace},
	{"uts", sandbox.UTSNamespace}, {"net", sandbox.NetNamespace}, {"cgroup", sandbox.CgroupNamespace},
}

// inspect looks from outside at what confines a process. The error is errNotYet while the
// runtime's own program is still in it.
func inspect(pid int, runtimeName string, b *bundle, c *sandbox.Command) (*sandbox.Report, error) {
	status, err := filtered(pid)
	if err != nil {
		return nil, err
	}
	r := newReport(runtimeName)
	for _, ns := range namespaces {
		inside, err := ownNamespace(pid, ns.file, ns.control)
		if err != nil {
			return nil, err
		}
		r.seen(ns.control, inside)
	}
	for _, set := range []string{"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"} {
		if bits, err := status.Number(set, 16); err != nil || bits != 0 {
			value, _ := status.Field(set)
			return nil, fmt.Errorf("%s is %s: the process has capabilities", set, value)
		}
	}
	r.seen(sandbox.Capabilities, "none")
	r.seen(sandbox.NoNewPrivs, "prctl")
	r.told(sandbox.Seccomp, true, "the runtime's libseccomp", "that there is a list is seen from outside, and not which calls are on it")
	if err := checkUser(status, b); err != nil {
		return nil, err
	}
	if err := checkLimits(pid, b); err != nil {
		return nil, err
	}
	r.seen(sandbox.Rlimits, "setrlimit")
	if err := checkMounts(pid, b); err != nil {
		return nil, err
	}
	r.rest(runtimeName, b, c)
	return r.Report, nil
}

// A report is one that is being written.
type report struct{ *sandbox.Report }

func newReport(runtimeName string) report {
	return report{&sandbox.Report{Schema: 1, Tier: sandbox.T3, Mechanism: "oci:" + runtimeName, Kernel: procfs.Release(), Arch: runtime.GOARCH}}
}

// seen adds what was seen from outside.
func (r report) seen(control sandbox.Control, mechanism string) {
	r.Controls = append(r.Controls, sandbox.Finding{Control: control, Wanted: true, Required: true, InForce: true, Verified: true, Mechanism: mechanism})
}

// told adds what the runtime was told to do.
func (r report) told(control sandbox.Control, inForce bool, mechanism, detail string) {
	r.Controls = append(r.Controls, sandbox.Finding{Control: control, Wanted: true, InForce: inForce, Mechanism: mechanism, Detail: detail})
}

// rest adds what is not seen with any runtime.
func (r report) rest(runtimeName string, b *bundle, c *sandbox.Command) {
	r.told(sandbox.Proc, true, "a mount of its own", "")
	r.told(sandbox.Descriptors, true, runtimeName, "")
	r.told(sandbox.Environment, true, "built from nothing", "")
	r.told(sandbox.LandlockFiles, false, "", "not part of the OCI specification: files are confined by the mount namespace")
	r.told(sandbox.LandlockNet, false, "", "not part of the OCI specification: the network namespace leads nowhere else")
	r.told(sandbox.LandlockScope, false, "", "not part of the OCI specification: the PID and network namespaces hold what it would")
	r.told(sandbox.Tree, true, "pid namespace", "if the host program is killed, the end of standard input has to end the process")
	r.told(sandbox.Cgroup, b.root, "cgroup", map[bool]string{false: "an ordinary user has no cgroup to write"}[b.root])
	if len(c.Profile.Egress) > 0 {
		r.told(sandbox.Egress, true, "netns", "")
	}
}

// ownNamespace names a namespace of a process, which must not be the host's.
func ownNamespace(pid int, file string, control sandbox.Control) (string, error) {
	inside, err := procfs.Namespace(folder(pid), file)
	if err != nil {
		return "", fmt.Errorf("the %s cannot be seen: %w", control, err)
	}
	outside, err := procfs.Namespace("/proc/self", file)
	if err != nil {
		return "", err
	}
	if inside == outside {
		return "", fmt.Errorf("the %s is the host's", control)
	}
	return inside, nil
}

// folder is where the kernel tells of a process.
func folder(pid int) string { return "/proc/" + strconv.Itoa(pid) }

// filtered reads the status of a process that is under a filter, which is the last thing a
// runtime does. The error is errNotYet while it is not.
func filtered(pid int) (procfs.Status, error) {
	status, err := procfs.StatusOf(folder(pid))
	if err != nil {
		return "", errNotYet
	}
	for name, want := range map[string]uint64{"Seccomp": unix.SECCOMP_MODE_FILTER, "NoNewPrivs": 1} {
		if is, err := status.Number(name, 10); err != nil || is != want {
			return "", errNotYet
		}
	}
	return status, nil
}

// checkUser compares the host's user and group with those that were asked for. An ordinary
// user cannot leave the groups it is in.
func checkUser(status procfs.Status, b *bundle) error {
	for field, ids := range map[string][]specs.LinuxIDMapping{"Uid": b.spec.Linux.UIDMappings, "Gid": b.spec.Linux.GIDMappings} {
		want := ids[0].HostID // the first one is the program's
		all, err := status.IDs(field)
		if err != nil {
			return err
		}
		for _, have := range all {
			if have != want {
				return fmt.Errorf("the process runs as another user or group: %s is %d, not %d", field, have, want)
			}
		}
	}
	if groups, _ := status.Field("Groups"); b.root && groups != "" {
		return fmt.Errorf("the process is in the groups %s", groups)
	}
	return nil
}

// checkLimits compares the rlimits with those that were asked for.
func checkLimits(pid int, b *bundle) error {
	limits, err := procfs.LimitsOf(folder(pid))
	if err != nil {
		return fmt.Errorf("the limits cannot be seen: %w", err)
	}
	for _, want := range b.spec.Process.Rlimits {
		_, hard, err := limits.Of(resources[want.Type])
		if err != nil {
			return fmt.Errorf("%s cannot be seen: %w", want.Type, err)
		}
		if hard > want.Hard {
			return fmt.Errorf("%s is %d, not %d", want.Type, hard, want.Hard)
		}
	}
	return nil
}

// resources are what the kernel calls the limits of the specification.
var resources = map[string]string{
	"RLIMIT_CORE": "Max core file size", "RLIMIT_MSGQUEUE": "Max msgqueue size", "RLIMIT_MEMLOCK": "Max locked memory", "RLIMIT_DATA": "Max data size",
	"RLIMIT_FSIZE": "Max file size", "RLIMIT_NOFILE": "Max open files", "RLIMIT_NPROC": "Max processes", "RLIMIT_CPU": "Max cpu time",
}
