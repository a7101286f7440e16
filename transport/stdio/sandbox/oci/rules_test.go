//go:build linux

package oci

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox"
)

// What the direct mechanism refuses in a profile must not pass here, and making the bundle
// must change nothing outside of it.
func TestAProfileIsHeldToTheSameRules(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	victim := filepath.Join(dir, "victim")
	if err := os.WriteFile(victim, []byte("of the host"), 0o600); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "docker.sock")
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	for name, p := range map[string]sandbox.Profile{
		"the whole file system": {Read: []string{"/"}},
		"the host's /proc":      {Read: []string{"/proc"}},
		"the host's devices":    {Write: []string{"/dev"}},
		"a socket":              {Read: []string{socket}},
		"a relative path":       {Read: []string{"../.."}},
		"written and executed":  {Exec: []string{dir}, Write: []string{dir}},
	} {
		b, err := newBundle(t.Context(), t.TempDir(), &sandbox.Command{Path: "/bin/true", Profile: p})
		if err == nil {
			b.remove()
			t.Errorf("%s: accepted", name)
		}
	}
	up := strings.Repeat("/..", 30) + victim
	if b, err := newBundle(t.Context(), t.TempDir(), &sandbox.Command{Path: "/bin/true", Profile: sandbox.Profile{Read: []string{up}}}); err == nil {
		b.remove()
	}
	if text, err := os.ReadFile(victim); err != nil || string(text) != "of the host" {
		t.Errorf("the host's file is now %q: %v", text, err)
	}
}

func TestAPlaceBehindALinkOfTheHost(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	victim := filepath.Join(dir, "victim")
	if err := os.WriteFile(victim, []byte("of the host"), 0o600); err != nil {
		t.Fatal(err)
	}
	b := &bundle{dir: filepath.Join(dir, "bundle")}
	if err := os.MkdirAll(filepath.Join(b.dir, "rootfs", "etc"), 0o700); err != nil {
		t.Fatal(err)
	}
	// As system() does with /etc/localtime, which Profile.Read may name as well.
	if err := os.Symlink(victim, filepath.Join(b.dir, "rootfs", "etc", "localtime")); err != nil {
		t.Fatal(err)
	}
	_ = b.place(specs.Mount{Destination: "/etc/localtime", Type: "bind", Source: victim})
	if text, err := os.ReadFile(victim); err != nil || string(text) != "of the host" {
		t.Errorf("the host's file is now %q: %v", text, err)
	}
}

// A narrower right below a wider one must be mounted after it, or it is covered.
func TestReadOnlyBelowWritable(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	inner := filepath.Join(dir, "protected")
	if err := os.Mkdir(inner, 0o700); err != nil {
		t.Fatal(err)
	}
	b, err := newBundle(t.Context(), t.TempDir(), &sandbox.Command{Path: "/bin/true", Profile: sandbox.Profile{Write: []string{dir}, Read: []string{inner}}})
	if err != nil {
		t.Fatal(err)
	}
	defer b.remove()
	at := func(path string) int {
		return slices.IndexFunc(b.spec.Mounts, func(m specs.Mount) bool { return m.Destination == path })
	}
	if at(inner) < at(dir) {
		t.Errorf("%s is mounted read only at %d, and then covered by the writable %s at %d", inner, at(inner), dir, at(dir))
	}
}
