//go:build linux

package oci

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox"
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
	status, err := statusOf(pid)
	if err != nil {
		return nil, errNotYet
	}
	if status["Seccomp"] != "2" || status["NoNewPrivs"] != "1" {
		return nil, errNotYet // the filter is the last thing a runtime does
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
		if strings.Trim(status[set], "0") != "" {
			return nil, fmt.Errorf("%s is %s: the process has capabilities", set, status[set])
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
	return report{&sandbox.Report{Schema: 1, Tier: sandbox.T3, Mechanism: "oci:" + runtimeName, Kernel: kernel(), Arch: runtime.GOARCH}}
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
	inside, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, file))
	if err != nil {
		return "", fmt.Errorf("the %s cannot be seen: %w", control, err)
	}
	outside, err := os.Readlink("/proc/self/ns/" + file)
	if err != nil {
		return "", err
	}
	if inside == outside {
		return "", fmt.Errorf("the %s is the host's", control)
	}
	return inside, nil
}

// statusOf reads /proc/PID/status.
func statusOf(pid int) (map[string]string, error) {
	raw, err := readSome(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return nil, err
	}
	fields := make(map[string]string)
	for line := range bytes.Lines(raw) {
		name, value, _ := strings.Cut(string(line), ":")
		fields[name] = strings.TrimSpace(value)
	}
	return fields, nil
}

// readSome reads a file of the kernel's, which has a bounded size: more is an error, since
// what is not read is not checked.
func readSome(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	const most = 1 << 20
	raw, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && len(raw) > most {
		return nil, fmt.Errorf("%s: more than %d bytes", name, most)
	}
	return raw, err
}

// checkUser compares the host's user and group with those that were asked for. An ordinary
// user cannot leave the groups it is in.
func checkUser(status map[string]string, b *bundle) error {
	for field, ids := range map[string][]specs.LinuxIDMapping{"Uid": b.spec.Linux.UIDMappings, "Gid": b.spec.Linux.GIDMappings} {
		want := strconv.FormatUint(uint64(ids[0].HostID), 10) // the first one is the program's
		for have := range strings.FieldsSeq(status[field]) {
			if have != want {
				return fmt.Errorf("the process runs as another user or group: %s is %s, not %s", field, have, want)
			}
		}
	}
	if b.root && status["Groups"] != "" {
		return fmt.Errorf("the process is in the groups %s", status["Groups"])
	}
	return nil
}

// checkLimits compares the rlimits with those that were asked for.
func checkLimits(pid int, b *bundle) error {
	for _, want := range b.spec.Process.Rlimits {
		var have unix.Rlimit
		if err := unix.Prlimit(pid, resources[want.Type], nil, &have); err != nil {
			return fmt.Errorf("%s cannot be seen: %w", want.Type, err)
		}
		if have.Max > want.Hard {
			return fmt.Errorf("%s is %d, not %d", want.Type, have.Max, want.Hard)
		}
	}
	return nil
}

var resources = map[string]int{
	"RLIMIT_CORE": unix.RLIMIT_CORE, "RLIMIT_MSGQUEUE": unix.RLIMIT_MSGQUEUE, "RLIMIT_MEMLOCK": unix.RLIMIT_MEMLOCK, "RLIMIT_DATA": unix.RLIMIT_DATA,
	"RLIMIT_FSIZE": unix.RLIMIT_FSIZE, "RLIMIT_NOFILE": unix.RLIMIT_NOFILE, "RLIMIT_NPROC": unix.RLIMIT_NPROC, "RLIMIT_CPU": unix.RLIMIT_CPU,
}

func kernel() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Release[:])
}
