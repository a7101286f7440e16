//go:build linux

package oci

import (
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox"
)

// The root inside is nobody outside: whoever comes after the user may be a person.
func TestRootInsideIsNobody(t *testing.T) {
	t.Parallel()
	b := &bundle{root: true}
	for _, user := range []int{0, 999, 33, 65534, 65535} {
		_, mapping := b.user(user)
		if len(mapping) != 2 || mapping[0].HostID == mapping[1].HostID || mapping[1].HostID != 65535 && mapping[1].HostID != 65534 {
			t.Errorf("%d: %+v", user, mapping)
		}
	}
}

// The kernel writes blanks of other alphabets as they are: they are part of a name.
func TestMountWithABlankOfAnotherAlphabet(t *testing.T) {
	t.Parallel()
	b := &bundle{spec: &specs.Spec{Linux: &specs.Linux{}, Mounts: []specs.Mount{
		{Destination: "/srv/a\u00a0b", Type: "bind", Options: []string{"rbind", "nosuid", "nodev", "ro", "noexec"}},
	}}}
	const good = "65 43 254:0 /rootfs / ro - ext4 /dev/vda rw\n71 65 254:0 /a /srv/a\u00a0b ro,nosuid,nodev,noexec,relatime - ext4 /dev/vda rw\n"
	if err := b.mounted(good); err != nil {
		t.Errorf("a folder with such a name: %v", err)
	}
	if err := b.mounted(good + "72 71 0:42 / /srv/a\u00a0b/x\u00a0ro,nosuid,nodev,noexec rw,relatime - tmpfs none rw\n"); err == nil {
		t.Error("a name below it passes for options")
	}
}

// A runtime goes to the working directory with descriptors of the host's open (CVE-2024-21626).
func TestAWorkingDirectoryOfTheRuntimes(t *testing.T) {
	t.Parallel()
	for _, dir := range []string{"/proc/self/fd/7", "/tmp/../proc/self/fd/8", "/proc", "proc/self/fd/7", "."} {
		b, err := newBundle(t.Context(), t.TempDir(), &sandbox.Command{Path: "/bin/true", Profile: sandbox.Profile{Dir: dir}})
		if err == nil {
			b.remove()
			t.Errorf("%s: accepted", dir)
		}
	}
}
