//go:build linux

package oci

import (
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

func TestMountsAreHeldToWhatWasAsked(t *testing.T) {
	t.Parallel()
	b := &bundle{spec: &specs.Spec{Linux: &specs.Linux{MaskedPaths: []string{"/proc/keys"}, ReadonlyPaths: []string{"/proc/sys"}}, Mounts: []specs.Mount{
		{Destination: "/proc", Type: "proc", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/tmp", Type: "tmpfs", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/tmp/work", Type: "bind", Options: []string{"rbind", "nosuid", "nodev", "rw", "noexec"}},
		{Destination: "/srv/a b", Type: "bind", Options: []string{"rbind", "nosuid", "nodev", "ro", "noexec"}},
	}}}
	good := []string{
		"65 43 254:0 /rootfs / ro,relatime - ext4 /dev/vda rw",
		"66 65 0:40 / /proc rw,nosuid,nodev,noexec,relatime - proc none rw",
		"67 66 0:40 /sys /proc/sys ro,relatime - proc none rw",
		"68 66 0:6 /null /proc/keys rw,relatime - devtmpfs none rw",
		"69 65 0:41 / /tmp rw,nosuid,nodev,noexec,relatime - tmpfs none rw",
		"70 69 254:0 /w /tmp/work rw,nosuid,nodev,noexec,relatime shared:1 - ext4 /dev/vda rw",
		`71 65 254:0 /a /srv/a\040b ro,nosuid,nodev,noexec,relatime - ext4 /dev/vda rw`,
		`72 71 0:42 / /srv/a\040b/below\134 ro,nosuid,nodev,noexec,relatime - tmpfs none rw`,
	}
	for fault, test := range map[string]struct{ old, change, want string }{
		"none":                                {"", "", ""},
		"the root is written":                 {"/rootfs / ro", "/rootfs / rw", "/ is mounted without ro"},
		"what is written may be executed":     {"/tmp/work rw,nosuid,nodev,noexec", "/tmp/work rw,nosuid,nodev", "/tmp/work is mounted without noexec"},
		"rights by the owner of a file":       {"/tmp/work rw,nosuid", "/tmp/work rw", "without nosuid"},
		"devices":                             {"/tmp rw,nosuid,nodev", "/tmp rw,nosuid", "/tmp is mounted without nodev"},
		"what is read may be written":         {`b ro,`, `b rw,`, "/srv/a b is mounted without ro"},
		"below what is read may be written":   {`below\134 ro,`, `below\134 rw,`, `/srv/a b/below\ is mounted without ro`},
		"an option that begins like another":  {"/tmp/work rw,nosuid,nodev,noexec", "/tmp/work rw,nosuid,nodev,noexecutive", "without noexec"},
		"options of the file system":          {"/rootfs / ro,relatime - ext4 /dev/vda rw", "/rootfs / rw,relatime - ext4 /dev/vda ro", "/ is mounted without ro"},
		"a second mount on top, without them": {good[5], good[5] + "\n80 70 0:50 / /tmp/work rw,relatime - tmpfs none rw", "/tmp/work is mounted without"},
		"one is missing":                      {good[5] + "\n", "", "nothing is mounted at /tmp/work"},
		"a line that is none":                 {good[0], "65", "a mount of 1 fields"},
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			text := strings.Join(good, "\n") + "\n"
			if !strings.Contains(text, test.old) {
				t.Fatalf("no %q", test.old)
			}
			err := b.mounted(strings.Replace(text, test.old, test.change, 1))
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
}
