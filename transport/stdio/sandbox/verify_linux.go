//go:build linux && (amd64 || arm64)

package sandbox

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox/internal/procfs"
	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox/internal/program"
)

// errMismatch is what a start fails with if the kernel shows a child that is confined
// otherwise than its system calls said.
var errMismatch = errors.New("seen from outside the process is not confined as it should be")

// outside is what the kernel tells others about a process: a child that waits for its
// exec, or the host.
type outside struct {
	dir    string
	status procfs.Status
	host   *outside // of a child: the thread that cloned it
}

func lookAt(dir string) *outside {
	return &outside{dir: dir}
}

func (o *outside) read(name string) (string, error) {
	return procfs.Read(o.dir+"/"+name, procfs.Most)
}

func (o *outside) readStatus() (err error) {
	o.status, err = procfs.StatusOf(o.dir)
	return err
}

// A witness looks at a child from outside while it becomes what it is to be.
type witness struct {
	plan  *plan
	child *outside
	group *cgroup // that the child was put into
	// seen are the controls that were seen in force; nil if this host sees no /proc.
	seen map[Control]bool
	err  error // the first that was in force and not seen
}

func (p *plan) witness(pid int, g *cgroup) (*witness, error) {
	w := &witness{plan: p, child: lookAt("/proc/" + strconv.Itoa(pid)), group: g}
	w.child.host = lookAt("/proc/thread-self")
	switch err := w.child.host.readStatus(); {
	case err == nil:
		w.seen = make(map[Control]bool, len(everything))
	case exhausted(err): // there may well be a /proc
		return nil, fmt.Errorf("sandbox: look at the host: %w", err)
	}
	return w, nil
}

// settled looks at what does not change any more once namespaces, mounts, limits and
// groups are as they will be, while the child goes on.
func (w *witness) settled() {
	if w.seen == nil {
		return
	}
	o := w.child
	w.look(Rlimits, func() error { return w.plan.seeLimits(o) })
	for _, ns := range namespaces {
		w.look(ns.control, func() error { return o.differs(ns.file) })
	}
	if w.plan.has(MountNamespace) {
		mounts, err := o.read("mountinfo")
		w.look(MountNamespace, func() error { return errors.Join(err, seeMount(mounts, "/", "tmpfs")) })
		w.look(Proc, func() error { return errors.Join(err, seeMount(mounts, "/proc", "proc")) })
	}
	if w.group != nil {
		w.look(Cgroup, func() error { return w.group.see(o) })
	}
}

// ready looks at the rest. The error wraps errMismatch if what was seen contradicts what
// was done.
func (w *witness) ready() error {
	if w.seen == nil {
		return nil
	}
	o := w.child
	if err := o.readStatus(); err != nil {
		return fmt.Errorf("sandbox: look at the child: %w", err)
	}
	w.look(NoNewPrivs, func() error { return o.equals("NoNewPrivs", "1") })
	w.look(Seccomp, o.seeFilter)
	w.look(Capabilities, func() error { return w.plan.seeCapabilities(o) })
	w.look(Descriptors, func() error { return w.plan.seeDescriptors(o) })
	return w.err
}

func (w *witness) look(c Control, see func() error) {
	if w.err != nil || !w.plan.has(c) {
		return
	}
	if err := see(); err != nil {
		w.err = fmt.Errorf("sandbox: %s: %w: %w", c, errMismatch, err)
		return
	}
	w.seen[c] = true
}

// saw reports whether a control, or the one that enforces it, was seen.
func (w *witness) saw(c Control) bool {
	switch {
	case c == Tree:
		c = PIDNamespace
	case c == Egress && w.plan.has(NetNamespace):
		c = NetNamespace
	case c == Egress:
		c = Seccomp
	}
	return w.seen[c]
}

func (o *outside) equals(name, want string) error {
	if got, err := o.status.Field(name); err != nil || got != want {
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
	const name = "Seccomp_filters"
	after, err := o.status.Number(name, 10)
	if errors.Is(err, procfs.ErrMissing) {
		return nil
	}
	before, bad := o.host.status.Number(name, 10)
	if err != nil || bad != nil || after <= before {
		its, _ := o.status.Field(name)
		own, _ := o.host.status.Field(name)
		return fmt.Errorf("it is under %s filters, the host under %s", its, own)
	}
	return nil
}

// differs compares a namespace with the host's.
func (o *outside) differs(file string) error {
	own, err := procfs.Namespace(o.host.dir, file)
	if err != nil {
		return err
	}
	its, err := procfs.Namespace(o.dir, file)
	if err != nil {
		return err
	}
	if own == its {
		return fmt.Errorf("it is in the host's own %s", its)
	}
	return nil
}

// seeMount looks for a read-only mount of a kind.
func seeMount(mounts, at, want string) error {
	for m, err := range procfs.Mounts(mounts) {
		switch {
		case err != nil:
			return err
		case m.At != at:
			continue
		case m.Type != want || !m.Options.Has("ro"):
			return fmt.Errorf("at %s is %s (%s)", at, m.Type, m.Options)
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
		if bits, err := o.status.Number(set, 16); err != nil || bits != 0 {
			value, _ := o.status.Field(set)
			return fmt.Errorf("%s is %q", set, value)
		}
	}
	uid, gid := p.host.uid, p.host.gid
	if p.host.root() {
		uid, gid = p.host.user, p.host.user
		if groups, _ := o.status.Field("Groups"); groups != "" {
			return fmt.Errorf("it has the groups %s", groups)
		}
	}
	for name, id := range map[string]int{"Uid": uid, "Gid": gid} {
		one := uint32(id) //nolint:gosec // a user id
		if got, err := o.status.IDs(name); err != nil || got != [4]uint32{one, one, one, one} {
			value, _ := o.status.Field(name)
			return fmt.Errorf("%s is %v, not %d", name, strings.Fields(value), id)
		}
	}
	return nil
}

func (p *plan) seeLimits(o *outside) error {
	limits, err := procfs.LimitsOf(o.dir)
	if err != nil {
		return err
	}
	for _, b := range p.bounds() {
		if soft, hard, err := limits.Of(b.name); err != nil || soft != b.value || hard != b.value {
			value, _ := limits.Field(b.name)
			return fmt.Errorf("%s is %v, not %d", b.name, strings.Fields(value), b.value)
		}
	}
	return nil
}

// seeDescriptors counts: its three, the socket to the host, the program.
func (p *plan) seeDescriptors(o *outside) error {
	var open []string
	err := procfs.Each(o.dir+"/fd", func(name []byte) {
		if name[0] != '.' {
			open = append(open, string(name))
		}
	})
	if err != nil {
		return err
	}
	want := []string{"0", "1", "2", "3"}
	if p.command.Program != nil {
		want = append(want, "4")
	}
	slices.Sort(open)
	if !slices.Equal(open, want) {
		return fmt.Errorf("it has the descriptors %v, not %v", open, want)
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

// report says of each control what was done and whether it was seen.
func (p *plan) report(run *program.Run, w *witness, groupErr error) *Report {
	r := &Report{Schema: 1, Tier: p.tier(), Mechanism: "direct", Kernel: p.host.kernel, Arch: p.host.arch, LandlockABI: p.host.abi}
	if p.has(Seccomp) {
		r.Filter = p.filter.digest
	}
	r.Controls = make([]Finding, 0, len(everything))
	for _, control := range everything {
		f := p.finding(control, run, w.child.status, groupErr)
		f.Verified = f.Verified || f.InForce && w.saw(control)
		if w.seen == nil && f.InForce && !f.Verified {
			f.Detail, f.Remedy = "not looked at from outside: this process sees no /proc", "mount /proc"
		}
		r.Controls = append(r.Controls, f)
	}
	return r
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
