//go:build linux && (amd64 || arm64)

package sandbox

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox/internal/procfs"
	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox/internal/program"
)

// finding says of one control what the plan did.
func (p *plan) finding(c Control, run *program.Run, status procfs.Status, groupErr error) Finding {
	f := Finding{Control: c, Wanted: true, Required: required(p.command, c, p.without) && !slices.Contains(p.command.Allow, c)}
	if err := p.without[c]; err != nil {
		f.Detail, f.Remedy = err.Error(), remedy(c, err)
		return f
	}
	f.InForce, f.Mechanism = true, mechanisms[c]
	switch c {
	case LandlockFiles:
		f.Verified, f.Mechanism = true, fmt.Sprintf("landlock abi %d", p.host.abi)
		f.Detail = "an open of / that no rule allows was refused"
	case LandlockNet, LandlockScope:
		f.Verified, f.Mechanism = c == LandlockNet, fmt.Sprintf("landlock abi %d", p.host.abi)
	case Seccomp:
		f.Mechanism = fmt.Sprintf("filter of %d instructions", len(p.filter.Code))
	case Capabilities:
		if !p.host.root() && !p.has(UserNamespace) {
			f.Detail = "an ordinary user cannot clear the bounding set; without new privileges nothing comes of it"
		}
	case Rlimits:
		if !p.has(UserNamespace) {
			f.Detail = "processes are not counted: without a user namespace the count is that of the whole user"
		}
	case Cgroup:
		if groupErr != nil {
			f.InForce, f.Mechanism, f.Detail, f.Remedy = false, "", groupErr.Error(), remedy(Cgroup, groupErr)
		}
	case Egress:
		p.egress(&f)
	case Artifact:
		f.Wanted, f.InForce = p.command.Program != nil, p.command.Program != nil
	case Speculation:
		p.speculated(&f, run, status)
	case CoreScheduling:
		f.InForce = run.Result(p.coreSched) == 0
		f.Detail = "hyper-threads: " + hyperThreads()
	default:
	}
	return f
}

// mechanisms are what enforces the controls that are always enforced the same way.
var mechanisms = map[Control]string{
	UserNamespace:   "user namespace",
	MountNamespace:  "mount namespace, private root",
	PIDNamespace:    "pid namespace",
	IPCNamespace:    "ipc namespace",
	UTSNamespace:    "uts namespace",
	NetNamespace:    "net namespace",
	CgroupNamespace: "cgroup namespace",
	Proc:            "proc of the pid namespace, hidepid=invisible, read only",
	NoNewPrivs:      "PR_SET_NO_NEW_PRIVS",
	Capabilities:    "capset, securebits",
	Rlimits:         "prlimit",
	Cgroup:          "cgroup",
	Descriptors:     "close_range",
	Environment:     "execve",
	Tree:            "pid namespace, PR_SET_PDEATHSIG",
	Artifact:        "execveat of an open file",
	Speculation:     "PR_SET_SPECULATION_CTRL",
	CoreScheduling:  "PR_SCHED_CORE",
}

func (p *plan) egress(f *Finding) {
	f.Wanted = len(p.command.Profile.Egress) > 0
	switch {
	case !f.Wanted && p.has(NetNamespace):
		f.Mechanism, f.Detail = "network namespace", "no host can be reached"
	case !f.Wanted && p.has(Seccomp):
		f.Mechanism, f.Detail = "no sockets", "no host can be reached"
	case p.has(NetNamespace):
		f.Mechanism = "network namespace, sockets of the host inside"
	case p.notify():
		f.Mechanism = "seccomp notification of connect"
	default:
		f.InForce, f.Detail = false, "neither a network namespace nor a filter"
	}
}

// speculated says what became of the two kinds of speculation that a process can switch
// off for itself.
func (p *plan) speculated(f *Finding, run *program.Run, status procfs.Status) {
	said := func(name string) string {
		state, _ := status.Field(name) // what is not said is unknown
		return cmp.Or(state, "unknown")
	}
	store, jump := said("Speculation_Store_Bypass"), said("SpeculationIndirectBranch")
	safe := func(result int64, state string) bool {
		return result == 0 || strings.Contains(state, "not vulnerable") || strings.Contains(state, "mitigated") || strings.Contains(state, "force disabled")
	}
	f.InForce = safe(run.Result(p.specStore), store) && safe(run.Result(p.specJump), jump)
	f.Detail = fmt.Sprintf("store bypass: %s; indirect branch: %s; hyper-threads: %s", store, jump, hyperThreads())
	if !f.InForce {
		f.Remedy = "the processor or the kernel offers no control: boot without mitigations=off and spec_store_bypass_disable=off, or keep secrets on another machine"
	}
}

// hyperThreads is what the kernel says of them. It does not change while programs run.
var hyperThreads = sync.OnceValue(func() string {
	return cmp.Or(procfs.Line("/sys/devices/system/cpu/smt/control"), "unknown")
})
