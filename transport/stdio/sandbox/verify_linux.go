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

// outside is what the kernel tells others about a process: a child that waits for its
// exec, or the host.
type outside struct {
	dir    string
	status map[string]string
	host   *outside // of a child: the thread that cloned it
	// early is what was read as soon as it was final, while the child went on with the rest.
	early map[string]string
}

func lookAt(dir string) *outside {
	return &outside{dir: dir, early: map[string]string{}}
}

// gather reads files and links before they are asked for. What cannot be read is read
// again then, for the error.
func (o *outside) gather(files ...string) {
	for _, name := range files {
		if text, err := o.read(name); err == nil {
			o.early[name] = text
		}
	}
	for _, ns := range namespaces {
		if to, err := o.link("ns/" + ns.file); err == nil {
			o.early["ns/"+ns.file] = to
		}
	}
}

func (o *outside) read(name string) (string, error) {
	if text, ok := o.early[name]; ok {
		return text, nil
	}
	text, err := os.ReadFile(o.dir + "/" + name)
	return string(text), err
}

func (o *outside) link(name string) (string, error) {
	if to, ok := o.early[name]; ok {
		return to, nil
	}
	return os.Readlink(o.dir + "/" + name)
}

func (o *outside) readStatus() error {
	text, err := o.read("status")
	o.status = map[string]string{}
	for l := range strings.Lines(text) {
		name, value, _ := strings.Cut(l, ":")
		o.status[name] = strings.TrimSpace(value)
	}
	return err
}

// checks are how each control is seen, as an error if it is not.
func (p *plan) checks(o *outside, g *cgroup) map[Control]func() error {
	checks := map[Control]func() error{
		NoNewPrivs:   func() error { return o.equals("NoNewPrivs", "1") },
		Seccomp:      o.seeFilter,
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

// seeFilter looks for more filters than the host's own, which the child began with.
// Kernels before 5.9 do not count them.
func (o *outside) seeFilter() error {
	if err := o.equals("Seccomp", "2"); err != nil {
		return err
	}
	its, counted := o.status["Seccomp_filters"]
	if !counted {
		return nil
	}
	if o.host.status == nil {
		if err := o.host.readStatus(); err != nil {
			return err
		}
	}
	own := o.host.status["Seccomp_filters"]
	before, err := strconv.Atoi(own)
	after, bad := strconv.Atoi(its)
	if err != nil || bad != nil || after <= before {
		return fmt.Errorf("it is under %s filters, the host under %s", its, own)
	}
	return nil
}

// differs compares a namespace with the host's.
func (o *outside) differs(file string) error {
	own, err := o.host.link("ns/" + file)
	if err != nil {
		return err
	}
	its, err := o.link("ns/" + file)
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
	mounts, err := o.read("mountinfo")
	if err != nil {
		return err
	}
	for l := range strings.Lines(mounts) {
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
	text, err := o.read("limits")
	if err != nil {
		return err
	}
	seen := map[string][]string{}
	for l := range strings.Lines(text) {
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
	text, err := o.read("cgroup")
	if err != nil {
		return err
	}
	name := ""
	if len(g.dirs) > 0 {
		name = g.dirs[0][strings.LastIndexByte(g.dirs[0], '/'):]
	}
	if n := strings.Count(text, name+"\n"); n != len(g.dirs) {
		return fmt.Errorf("it is in %d of %d groups", n, len(g.dirs))
	}
	return nil
}

// report looks at the child. The error wraps errMismatch if what is seen contradicts what
// was done.
func (p *plan) report(run *program.Run, o *outside, g *cgroup, groupErr error) (*Report, error) {
	if err := o.readStatus(); err != nil {
		if own := o.host.readStatus(); own == nil {
			return nil, fmt.Errorf("sandbox: look at the child: %w", err)
		}
		o = nil
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
