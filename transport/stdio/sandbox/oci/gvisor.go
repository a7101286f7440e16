//go:build linux

package oci

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox"
)

// isGVisor reports whether a runtime is gVisor's, by the name of its program. One that is not,
// and is called so, does not pass [inspectGVisor]; nor does a script around it.
func isGVisor(program string) bool { return strings.HasPrefix(filepath.Base(program), "runsc") }

// gVisorOptions are what gVisor has to be told, and stand last, so that nothing before them
// counts. Without oci-seccomp it leaves the list of system calls out. Its own network stack
// reaches none of our sockets: with hosts to reach it uses that of the namespace it is given,
// which holds nothing but them.
func gVisorOptions(b *bundle) []string {
	options := []string{"--oci-seccomp=true", "--network=none"}
	if b.nets != nil {
		options[1] = "--network=host"
	}
	if !b.root {
		options = append(options, "--rootless=true", "--ignore-cgroups=true")
	}
	return options
}

// forGVisor changes what gVisor understands in its own way: every call it refuses fails with
// EPERM, and libraries fall back from a call only where it does not exist. A call that is to
// be traced, with nobody to trace it, fails as one that does not exist. For an ordinary user
// it first makes a namespace of its own, of which the mapping is then. What is mounted below
// a folder of the host's is no mount of its own to it, and older versions refuse the options
// for that.
func (b *bundle) forGVisor() {
	for i := range b.spec.Mounts {
		m := &b.spec.Mounts[i]
		m.Options = slices.DeleteFunc(slices.Clone(m.Options), func(option string) bool {
			return strings.HasPrefix(option, "r") && slices.Contains(m.Options, option[1:])
		})
	}
	if !b.root {
		mapping := []specs.LinuxIDMapping{{ContainerID: 0, HostID: 0, Size: 1}}
		b.spec.Linux.UIDMappings, b.spec.Linux.GIDMappings = mapping, mapping
	}
	calls := b.spec.Linux.Seccomp.Syscalls
	for i, c := range calls {
		if c.Action == specs.ActErrno && c.ErrnoRet != nil && *c.ErrnoRet == uint(unix.ENOSYS) {
			calls[i] = specs.LinuxSyscall{Names: c.Names, Action: specs.ActTrace}
		}
	}
}

// inspectGVisor looks from outside at gVisor's kernel, which is an ordinary process of the
// host, and in which the program runs. What that kernel does for the program is not to be
// seen from here: it is in force by its word.
func inspectGVisor(pid int, p *process, c *sandbox.Command) (*sandbox.Report, error) {
	if _, err := filtered(pid); err != nil {
		return nil, err
	}
	if err := runsItself(pid, p.runtime); err != nil {
		return nil, err
	}
	if err := p.bundle.unchanged(); err != nil {
		return nil, err
	}
	r := newReport(p.name())
	for _, ns := range namespaces {
		if ns.control == sandbox.CgroupNamespace {
			continue // gVisor's kernel shows no cgroups of the host's
		}
		inside, err := ownNamespace(pid, ns.file, ns.control)
		if err != nil {
			return nil, err
		}
		r.seen(ns.control, inside)
	}
	const kernel = "gVisor's kernel"
	for _, control := range []sandbox.Control{sandbox.CgroupNamespace, sandbox.Capabilities, sandbox.NoNewPrivs, sandbox.Seccomp, sandbox.Rlimits} {
		r.told(control, true, kernel, "of the program, which the host does not see; gVisor's own process is behind a list of calls of its own")
	}
	r.rest(p.name(), p.bundle, c)
	return r.Report, nil
}

// runsItself reports an error if a process does not run a program: gVisor's kernel is in the
// file of the runtime, and what runs in it is not to be found on the host.
func runsItself(pid int, program string) error {
	var inside, outside unix.Stat_t
	if err := unix.Stat(fmt.Sprintf("/proc/%d/exe", pid), &inside); err != nil {
		return errNotYet
	}
	if err := unix.Stat(program, &outside); err != nil {
		return err
	}
	if inside.Dev != outside.Dev || inside.Ino != outside.Ino {
		return fmt.Errorf("the first process does not run %s: it is not gVisor's kernel", program)
	}
	return nil
}

// detach takes away what gVisor leaves mounted in its folder: an empty network namespace.
func (b *bundle) detach() {
	const most = 16 // starts that raced have put one on another
	for range most {
		if unix.Unmount(filepath.Join(b.state, "null-netns"), unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW) != nil {
			return
		}
	}
}
