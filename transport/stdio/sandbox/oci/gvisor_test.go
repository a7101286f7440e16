//go:build linux

package oci

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox"
)

// What gVisor would leave out unless it is told, it is told last.
func TestGVisorIsTold(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		bundle bundle
		want   []string
	}{
		"root":          {bundle{root: true}, []string{"--oci-seccomp=true", "--network=none"}},
		"our sockets":   {bundle{root: true, nets: &netns{}}, []string{"--oci-seccomp=true", "--network=host"}},
		"ordinary user": {bundle{}, []string{"--oci-seccomp=true", "--network=none", "--rootless=true", "--ignore-cgroups=true"}},
	} {
		if got := gVisorOptions(&test.bundle); !slices.Equal(got, test.want) {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
	for program, want := range map[string]bool{"/usr/bin/runsc": true, "/opt/runsc-2026": true, "/usr/bin/runc": false, "/opt/runsc/crun": false} {
		if got := isGVisor(program); got != want {
			t.Errorf("%s: %v", program, got)
		}
	}
}

// gVisor answers every call it refuses with EPERM, from which no library falls back.
func TestGVisorCallsThatDoNotExist(t *testing.T) {
	t.Parallel()
	b, err := newBundle(t.Context(), t.TempDir(), &sandbox.Command{Path: "/bin/true"})
	if err != nil {
		t.Fatal(err)
	}
	defer b.remove()
	b.forGVisor()
	var traced []string
	for _, c := range b.spec.Linux.Seccomp.Syscalls {
		switch {
		case c.Action == specs.ActTrace:
			traced = append(traced, c.Names...)
		case c.Action != specs.ActAllow, c.ErrnoRet != nil && *c.ErrnoRet == uint(unix.ENOSYS):
			t.Errorf("%v: %s, which becomes EPERM", c.Names, c.Action)
		}
	}
	if !slices.Contains(traced, "clone3") {
		t.Errorf("clone3 is not among %q: no thread would start", traced)
	}
	if slices.ContainsFunc(b.spec.Linux.Seccomp.Syscalls, func(c specs.LinuxSyscall) bool {
		return c.Action == specs.ActAllow && slices.Contains(c.Names, "ptrace")
	}) {
		t.Error("with a tracer, calls that are traced would be made")
	}
}

// What is mounted below a folder loses what the folder loses and gains nothing; gVisor, to
// which it is no mount of its own, is told of the folder alone.
func TestOptionsForWhatIsMountedBelow(t *testing.T) {
	t.Parallel()
	read, write := t.TempDir(), t.TempDir()
	b, err := newBundle(t.Context(), t.TempDir(), &sandbox.Command{Path: "/bin/true", Profile: sandbox.Profile{Read: []string{read}, Write: []string{write}}})
	if err != nil {
		t.Fatal(err)
	}
	defer b.remove()
	check := func(at string, want ...string) {
		t.Helper()
		i := slices.IndexFunc(b.spec.Mounts, func(m specs.Mount) bool { return m.Destination == at })
		if got := b.spec.Mounts[i].Options; !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", at, got, want)
		}
	}
	check(read, "rbind", "rprivate", "nosuid", "nodev", "ro", "noexec", "rnosuid", "rnodev", "rro", "rnoexec")
	check(write, "rbind", "rprivate", "nosuid", "nodev", "rw", "noexec", "rnosuid", "rnodev", "rnoexec")
	b.forGVisor()
	check(read, "rbind", "rprivate", "nosuid", "nodev", "ro", "noexec")
	check(write, "rbind", "rprivate", "nosuid", "nodev", "rw", "noexec")
}

// What gVisor leaves mounted does not keep its folder.
func TestNoMountKeepsABundle(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("reason: only root leaves a mount")
	}
	b, err := newBundle(t.Context(), t.TempDir(), &sandbox.Command{Path: "/bin/true"})
	if err != nil {
		t.Fatal(err)
	}
	at := filepath.Join(b.state, "null-netns")
	if err := os.WriteFile(at, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := unix.Mount("/proc/self/ns/net", at, "", unix.MS_BIND, ""); err != nil {
			t.Skipf("reason: nothing can be mounted here: %v", err)
		}
	}
	b.remove()
	if _, err := os.Stat(b.dir); !os.IsNotExist(err) {
		t.Errorf("the folder stays: %v", err)
		_ = unix.Unmount(at, unix.MNT_DETACH)
	}
}
