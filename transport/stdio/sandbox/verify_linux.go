//go:build linux && (amd64 || arm64)

package sandbox

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox/internal/program"
)

// errMismatch is what a start fails with if the kernel shows a child that is confined
// otherwise than its system calls said.
var errMismatch = errors.New("seen from outside the process is not confined as it should be")

// outside is what the kernel tells others about a child that waits for its exec.
type outside struct {
	dir    string
	status map[string]string
}

func look(pid int) (*outside, error) {
	o := &outside{dir: "/proc/" + strconv.Itoa(pid), status: map[string]string{}}
	text, err := os.ReadFile(o.dir + "/status")
	if err != nil {
		return nil, err
	}
	for l := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(l, ":")
		o.status[name] = strings.TrimSpace(value)
	}
	return o, nil
}

// checks are how each control is seen, as an error if it is not.
func (p *plan) checks(o *outside, g *cgroup) map[Control]func() error {
	checks := map[Control]func() error{
		NoNewPrivs:   func() error { return o.equals("NoNewPrivs", "1") },
		Seccomp:      func() error { return o.equals("Seccomp", "2") },
		Capabilities: func() error { return p.seeCapabilities(o) },
		Rlimits:      func() error { return p.seeLimits(o) },
		Descriptors:  func() error { return p.seeDescriptors(o) },
		Cgroup:       func() error { return g.see(o) },
	}
	for _, ns := range namespaces {
		checks[ns.control] = func() error { return o.differs(ns.file) }
	}
	alone := checks[MountNamespace]
	checks[MountNamespace] = func() error { return errors.Join(alone(), o.seeMount("/", "tmpfs")) }
	checks[Proc] = func() error { return o.seeMount("/proc", "proc") }
	checks[Tree] = checks[PIDNamespace]
	checks[Egress] = checks[NetNamespace]
	if !p.has(NetNamespace) {
		checks[Egress] = checks[Seccomp]
	}
	return checks
}

func (o *outside) equals(name, want string) error {
	if got := o.status[name]; got != want {
		return fmt.Errorf("%s is %q, not %q", name, got, want)
	}
	return nil
}

// differs compares a namespace with the host's.
func (o *outside) differs(file string) error {
	own, err := os.Readlink("/proc/self/ns/" + file)
	if err != nil {
		return err
	}
	its, err := os.Readlink(o.dir + "/ns/" + file)
	if err != nil {
		return err
	}
	if own == its {
		return fmt.Errorf("it is in the host's own %s", its)
	}
	return nil
}

// seeMount looks for a read-only mount of a kind.
func (o *outside) seeMount(at, want string) error {
	mounts, err := os.ReadFile(o.dir + "/mountinfo")
	if err != nil {
		return err
	}
	for l := range strings.Lines(string(mounts)) {
		before, after, _ := strings.Cut(l, " - ")
		where, kind := strings.Fields(before), strings.Fields(after)
		if len(where) < 6 || len(kind) < 1 || where[4] != at {
			continue
		}
		if kind[0] != want || !slices.Contains(strings.Split(where[5], ","), "ro") {
			return fmt.Errorf("at %s is %s (%s)", at, kind[0], where[5])
		}
		return nil
	}
	return fmt.Errorf("nothing is mounted at %s", at)
}

func (p *plan) seeCapabilities(o *outside) error {
	sets := []string{"CapInh", "CapPrm", "CapEff", "CapAmb"}
	if p.host.root() || p.has(UserNamespace) {
		sets = append(sets, "CapBnd")
	}
	for _, set := range sets {
		if strings.Trim(o.status[set], "0") != "" || o.status[set] == "" {
			return fmt.Errorf("%s is %q", set, o.status[set])
		}
	}
	uid, gid := p.host.uid, p.host.gid
	if p.host.root() {
		uid, gid = p.host.user, p.host.user
		if groups := o.status["Groups"]; groups != "" {
			return fmt.Errorf("it has the groups %s", groups)
		}
	}
	for name, id := range map[string]int{"Uid": uid, "Gid": gid} {
		got := strings.Fields(o.status[name])
		if len(got) != 4 || slices.ContainsFunc(got, func(g string) bool { return g != strconv.Itoa(id) }) {
			return fmt.Errorf("%s is %v, not %d", name, got, id)
		}
	}
	return nil
}

func (p *plan) seeLimits(o *outside) error {
	text, err := os.ReadFile(o.dir + "/limits")
	if err != nil {
		return err
	}
	seen := map[string][]string{}
	for l := range strings.Lines(string(text)) {
		if len(l) > 26 {
			seen[strings.TrimSpace(l[:26])] = strings.Fields(l[26:])
		}
	}
	for _, b := range p.bounds() {
		want := strconv.FormatUint(b.value, 10)
		if got := seen[b.name]; len(got) < 2 || got[0] != want || got[1] != want {
			return fmt.Errorf("%s is %v, not %s", b.name, got, want)
		}
	}
	return nil
}

// seeDescriptors counts: its three, the socket to the host, the program.
func (p *plan) seeDescriptors(o *outside) error {
	dir, err := os.Open(o.dir + "/fd")
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return err
	}
	want := []string{"0", "1", "2", "3"}
	if p.command.Program != nil {
		want = append(want, "4")
	}
	slices.Sort(names)
	if !slices.Equal(names, want) {
		return fmt.Errorf("it has the descriptors %v, not %v", names, want)
	}
	return nil
}

// see looks whether a process is in the groups.
func (g *cgroup) see(o *outside) error {
	text, err := os.ReadFile(o.dir + "/cgroup")
	if err != nil {
		return err
	}
	name := ""
	if len(g.dirs) > 0 {
		name = g.dirs[0][strings.LastIndexByte(g.dirs[0], '/'):]
	}
	if n := strings.Count(string(text), name+"\n"); n != len(g.dirs) {
		return fmt.Errorf("it is in %d of %d groups", n, len(g.dirs))
	}
	return nil
}

// report looks at the child. The error wraps errMismatch if what is seen contradicts what
// was done.
func (p *plan) report(run *program.Run, g *cgroup, groupErr error) (*Report, error) {
	o, err := look(run.PID)
	if _, own := os.ReadFile("/proc/self/status"); err != nil && own == nil {
		return nil, fmt.Errorf("sandbox: look at the child: %w", err)
	}
	r := &Report{Schema: 1, Tier: p.tier(), Mechanism: "direct", Kernel: p.host.kernel, Arch: p.host.arch, LandlockABI: p.host.abi}
	if p.has(Seccomp) {
		r.Filter = p.filter.digest
	}
	checks := p.checks(o, g)
	for _, control := range everything {
		f := p.finding(control, run, o, groupErr)
		switch see := checks[control]; {
		case o == nil && f.InForce && !f.Verified:
			f.Detail, f.Remedy = "not looked at from outside: this process sees no /proc", "mount /proc"
		case f.InForce && see != nil:
			if err := see(); err != nil {
				return nil, fmt.Errorf("sandbox: %s: %w: %w", control, errMismatch, err)
			}
			f.Verified = true
		}
		r.Controls = append(r.Controls, f)
	}
	return r, nil
}

func (p *plan) tier() Tier {
	switch {
	case p.all(UserNamespace, MountNamespace, PIDNamespace, IPCNamespace, UTSNamespace, NetNamespace, CgroupNamespace, LandlockFiles, Seccomp):
		return T3
	case p.all(LandlockFiles, Seccomp):
		return T2
	case p.has(Seccomp):
		return T1
	}
	return T0
}
