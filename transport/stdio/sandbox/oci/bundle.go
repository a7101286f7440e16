//go:build linux

package oci

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mcpsec/mcpsec-go/internal/memfd"
	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox"
	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox/internal/loopnet"
)

// A bundle is the folder that describes one container to a runtime.
type bundle struct {
	dir, state, pidFile string
	spec                *specs.Spec
	root                bool // the host program is root
	nets                *netns
	pins                map[string]inode // what is to be seen at the places of the mounts
}

// defaultUser is the host's user of a process that root starts.
const defaultUser = 65534

// newBundle makes the folder and the specification, but for the network.
func newBundle(ctx context.Context, parent string, c *sandbox.Command) (*bundle, error) {
	found, err := sandbox.Check(c)
	if err != nil {
		return nil, err
	}
	return bundleOf(ctx, parent, c, found)
}

// bundleOf is [newBundle] of a command that was checked, and of what its paths led to then.
func bundleOf(ctx context.Context, parent string, c *sandbox.Command, found map[string]string) (_ *bundle, err error) {
	if at := c.Profile.Dir; at != "" && (!filepath.IsAbs(at) || strings.HasPrefix(filepath.Clean(at)+"/", "/proc/")) {
		return nil, fmt.Errorf("the working directory %q: an absolute path is expected, and none below /proc, where a runtime's own descriptors lead outside", at)
	}
	dir, err := os.MkdirTemp(parent, "mcpsec-oci-")
	if err != nil {
		return nil, err
	}
	b := &bundle{dir: dir, state: filepath.Join(dir, "state"), pidFile: filepath.Join(dir, "pid"), root: os.Getuid() == 0}
	defer func() {
		if err != nil {
			b.remove()
		}
	}()
	if b.root {
		// The program's user has to get to its root, and cannot look around on the way.
		if err := os.Chmod(dir, 0o711); err != nil { //nolint:gosec // see above
			return nil, err
		}
	}
	for _, sub := range []string{"rootfs", "rootfs/.mcpsec", "rootfs/etc", "rootfs/dev", "rootfs/dev/shm"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil { //nolint:gosec // the program's own root
			return nil, err
		}
	}
	if err := os.Mkdir(b.state, 0o700); err != nil {
		return nil, err
	}
	program, err := b.program(ctx, c)
	if err != nil {
		return nil, err
	}
	b.spec = b.describe(c, program)
	if b.spec.Mounts, err = b.mounts(c, found); err != nil {
		return nil, err
	}
	for _, m := range b.spec.Mounts {
		if err := b.pin(m); err != nil {
			return nil, err
		}
		if err := b.place(m); err != nil {
			return nil, err
		}
	}
	if err := b.files(); err != nil {
		return nil, err
	}
	b.spec.Linux.Seccomp, err = filter(&c.Profile)
	return b, err
}

// program returns the path inside of what runs. Verified memory becomes a file of the
// bundle, which nobody else can write, and is compared with the memory once more.
func (b *bundle) program(ctx context.Context, c *sandbox.Command) (string, error) {
	if c.Program == nil {
		if !filepath.IsAbs(c.Path) {
			return "", fmt.Errorf("the program %q is no absolute path", c.Path)
		}
		return c.Path, nil
	}
	const inside = "/.mcpsec/program"
	name := filepath.Join(b.dir, "rootfs", inside)
	size, err := sizeOf(c.Program)
	if err != nil {
		return "", err
	}
	want, err := memfd.Sum(ctx, c.Program, size)
	if err != nil {
		return "", err
	}
	// A child cloned meanwhile would have the program open for writing, and so keep it from
	// being executed, until it executes something itself (go.dev/issue/22315).
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	to, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o555) //nolint:gosec // a program, in a folder of ours
	if err != nil {
		return "", err
	}
	defer func() { _ = to.Close() }()
	if err := copyAt(to, c.Program, size); err != nil {
		return "", err
	}
	switch got, err := memfd.Sum(ctx, to, size); {
	case err != nil:
		return "", err
	case got != want:
		return "", errors.New("the copy of the program is not what was verified")
	}
	return inside, to.Close()
}

// describe writes everything but mounts and system calls.
func (b *bundle) describe(c *sandbox.Command, program string) *specs.Spec {
	limits := c.Profile.Limits.OrDefault()
	inside, mapping := b.user(c.User)
	args := slices.Clone(c.Args)
	if len(args) == 0 {
		args = []string{program}
	}
	args[0] = program // runtimes run what they are called with
	dir := c.Profile.Dir
	if dir == "" {
		dir = "/tmp"
	}
	spec := &specs.Spec{
		Version:  "1.0.2",
		Hostname: "sandbox",
		Root:     &specs.Root{Path: "rootfs", Readonly: true},
		Process: &specs.Process{
			User: specs.User{UID: inside, GID: inside}, Args: args, Env: c.Env, Cwd: dir,
			NoNewPrivileges: true, Capabilities: &specs.LinuxCapabilities{}, Rlimits: rlimits(limits),
		},
		Linux: &specs.Linux{
			UIDMappings: mapping, GIDMappings: mapping,
			MaskedPaths:   []string{"/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/proc/sysrq-trigger"},
			ReadonlyPaths: []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys"},
		},
	}
	for _, kind := range []specs.LinuxNamespaceType{
		specs.UserNamespace, specs.MountNamespace, specs.PIDNamespace, specs.IPCNamespace, specs.UTSNamespace, specs.NetworkNamespace, specs.CgroupNamespace,
	} {
		spec.Linux.Namespaces = append(spec.Linux.Namespaces, specs.LinuxNamespace{Type: kind})
	}
	if b.root {
		processes := int64(limits.Processes)
		spec.Linux.Resources = &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &limits.Memory}, Pids: &specs.LinuxPids{Limit: &processes}}
	}
	return spec
}

// user returns the user inside and what it is outside. A runtime needs its root inside;
// the user of a process that an ordinary user starts is that root, since only one user
// can be mapped, and has none of its rights.
func (b *bundle) user(want int) (inside uint32, mapping []specs.LinuxIDMapping) {
	if !b.root {
		return 0, []specs.LinuxIDMapping{{ContainerID: 0, HostID: uint32(os.Getuid()), Size: 1}} //nolint:gosec // a user id
	}
	if want == 0 {
		want = defaultUser
	}
	const own = 1000
	root := uint32(defaultUser + 1) // nobody's; the one after the user's may be somebody
	if want == int(root) {
		root = defaultUser
	}
	return own, []specs.LinuxIDMapping{{ContainerID: own, HostID: uint32(want), Size: 1}, {ContainerID: 0, HostID: root, Size: 1}}
}

func rlimits(l sandbox.Limits) []specs.POSIXRlimit {
	all := []specs.POSIXRlimit{
		{Type: "RLIMIT_CORE"},
		{Type: "RLIMIT_MSGQUEUE"},
		{Type: "RLIMIT_MEMLOCK", Soft: 64 << 10, Hard: 64 << 10},
		{Type: "RLIMIT_DATA", Soft: uint64(l.Memory), Hard: uint64(l.Memory)},        //nolint:gosec // not negative
		{Type: "RLIMIT_FSIZE", Soft: uint64(l.FileSize), Hard: uint64(l.FileSize)},   //nolint:gosec // not negative
		{Type: "RLIMIT_NOFILE", Soft: uint64(l.Files), Hard: uint64(l.Files)},        //nolint:gosec // not negative
		{Type: "RLIMIT_NPROC", Soft: uint64(l.Processes), Hard: uint64(l.Processes)}, //nolint:gosec // not negative
	}
	if l.CPU > 0 {
		seconds := uint64((l.CPU + time.Second - 1) / time.Second)
		all = append(all, specs.POSIXRlimit{Type: "RLIMIT_CPU", Soft: seconds, Hard: seconds})
	}
	return all
}

// files writes what programs look up below /etc.
func (b *bundle) files() error {
	u := b.spec.Process.User
	for name, text := range map[string]string{
		"passwd":        fmt.Sprintf("sandbox:x:%d:%d::/tmp:/sbin/nologin\n", u.UID, u.GID),
		"group":         fmt.Sprintf("sandbox:x:%d:\n", u.GID),
		"hosts":         "127.0.0.1 localhost\n::1 localhost\n",
		"nsswitch.conf": loopnet.NSSwitch,
		"resolv.conf":   loopnet.ResolvConf,
	} {
		if err := os.WriteFile(filepath.Join(b.dir, "rootfs", "etc", name), []byte(text), 0o644); err != nil { //nolint:gosec // public
			return err
		}
	}
	return nil
}

// write puts the specification where the runtime reads it.
func (b *bundle) write() error {
	raw, err := json.Marshal(b.spec)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(b.dir, "config.json"), raw, 0o600)
}

// place makes the place of a mount: within a user namespace a runtime cannot make it
// itself. The root holds links of the host's; none leads out of it.
func (b *bundle) place(m specs.Mount) error {
	root, err := os.OpenRoot(filepath.Join(b.dir, "rootfs"))
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }() // every file was closed with its error
	name := strings.TrimPrefix(filepath.Clean(m.Destination), "/")
	if info, err := root.Lstat(name); err == nil && info.Mode()&fs.ModeSymlink != 0 {
		return nil // the system's link, and what it leads to is there
	}
	if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	if m.Type == "bind" {
		info, err := os.Stat(m.Source)
		if err != nil {
			return err
		}
		if !info.IsDir() {
			return root.WriteFile(name, nil, 0o644)
		}
	}
	if err := root.MkdirAll(name, 0o755); err != nil {
		return err
	}
	if slices.Contains(m.Options, "mode=1777") {
		return root.Chmod(name, 0o777|fs.ModeSticky) // runc gives the mount the mode of the place
	}
	return nil
}

func (b *bundle) remove() {
	b.nets.close()
	b.detach()
	_ = os.RemoveAll(b.dir)
}

// mounts puts the profile's paths into the root: of each what it led to when it was checked.
func (b *bundle) mounts(c *sandbox.Command, found map[string]string) ([]specs.Mount, error) {
	limits := c.Profile.Limits.OrDefault()
	list := []specs.Mount{
		{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "noexec", "mode=755", "size=64k"}},
		{Destination: "/dev/shm", Type: "tmpfs", Source: "shm", Options: []string{"nosuid", "noexec", "nodev", "mode=1777", "size=16m"}},
		{Destination: "/tmp", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "noexec", "nodev", "mode=1777", fmt.Sprintf("size=%d", limits.Temp)}},
	}
	if c.Profile.System {
		system, err := b.system()
		if err != nil {
			return nil, err
		}
		list = append(list, system...)
	}
	add := func(paths []string, options ...string) {
		for _, path := range paths {
			list = append(list, bind(found[path], filepath.Clean(path), options...))
		}
	}
	add(c.Profile.Read, "ro", "noexec")
	add(c.Profile.Exec, "ro")
	add(c.Profile.Write, "rw", "noexec")
	for _, m := range c.Mounts {
		options := []string{"ro"}
		if !m.Exec {
			options = append(options, "noexec")
		}
		list = append(list, bind(found[m.Source], m.Target, options...))
	}
	slices.SortStableFunc(list, func(a, b specs.Mount) int { return strings.Compare(a.Destination, b.Destination) }) // parents first, or they cover what is below
	return list, nil
}

// system are the distribution's own folders: links as links, since merged systems have
// /lib as one. Their links are root's.
func (b *bundle) system() (list []specs.Mount, err error) {
	for _, path := range sandbox.SystemPaths() {
		info, err := os.Lstat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return nil, err
		case info.Mode()&fs.ModeSymlink != 0:
			to, err := os.Readlink(path)
			if err != nil {
				return nil, err
			}
			name := filepath.Join(b.dir, "rootfs", path)
			if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil { //nolint:gosec // the program's own root
				return nil, err
			}
			if err := os.Symlink(to, name); err != nil {
				return nil, err
			}
		default:
			source, err := filepath.EvalSymlinks(path)
			if err != nil {
				return nil, fmt.Errorf("profile: %s: %w", path, err)
			}
			options := []string{"ro"}
			if strings.HasPrefix(path, "/etc/") {
				options = append(options, "noexec")
			}
			list = append(list, bind(source, path, options...))
		}
	}
	return list, nil
}
