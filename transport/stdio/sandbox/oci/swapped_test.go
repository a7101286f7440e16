//go:build linux

package oci

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox"
)

// What is mounted is what was checked: whoever writes to a folder above a path puts a link
// there once it was checked, or lets one that was there lead elsewhere.
func TestAPathThatIsSwappedAfterItsCheck(t *testing.T) {
	t.Parallel()
	for name, swap := range map[string]struct {
		change func(work, secret string) error
		// errno is what the bundle is refused with; without one it shows what was checked.
		errno error
	}{
		"nothing": {func(string, string) error { return nil }, nil},
		"the folder becomes a link": {func(work, secret string) error {
			return errors.Join(os.Rename(work+"/data", work+"/old"), os.Symlink(secret, work+"/data"))
		}, unix.ELOOP},
		"a folder above becomes a link": {func(work, secret string) error {
			return errors.Join(os.Rename(work, work+".old"), os.Symlink(filepath.Dir(secret), work))
		}, unix.ELOOP},
		"the link leads elsewhere": {func(work, secret string) error {
			return errors.Join(os.Remove(work+"/link"), os.Symlink(secret, work+"/link"))
		}, nil},
		"the link becomes a folder": {func(work, _ string) error {
			return errors.Join(os.Remove(work+"/link"), os.Mkdir(work+"/link", 0o700))
		}, nil},
		"it goes away": {func(work, _ string) error { return os.Remove(work + "/data") }, unix.ENOENT},
	} {
		for _, path := range []string{"data", "link"} {
			for how, command := range map[string]func(path string) *sandbox.Command{
				"read": func(path string) *sandbox.Command {
					return &sandbox.Command{Profile: sandbox.Profile{Read: []string{path}}}
				},
				"write": func(path string) *sandbox.Command {
					return &sandbox.Command{Profile: sandbox.Profile{Write: []string{path}}}
				},
				"exec": func(path string) *sandbox.Command {
					return &sandbox.Command{Profile: sandbox.Profile{Exec: []string{path}}}
				},
				"mount": func(path string) *sandbox.Command {
					return &sandbox.Command{Mounts: []sandbox.Mount{{Source: path, Target: "/srv/shown"}}}
				},
			} {
				t.Run(name+"/"+path+"/"+how, func(t *testing.T) {
					t.Parallel()
					base, err := filepath.EvalSymlinks(t.TempDir())
					if err != nil {
						t.Fatal(err)
					}
					work, secret := filepath.Join(base, "work"), filepath.Join(base, "other", "data")
					if err := errors.Join(os.MkdirAll(work+"/data", 0o700), os.MkdirAll(secret, 0o700), os.Symlink("data", work+"/link")); err != nil {
						t.Fatal(err)
					}
					c := command(filepath.Join(work, path))
					c.Path = "/bin/true"
					found, err := sandbox.Check(c)
					if err != nil {
						t.Fatal(err)
					}
					if err := swap.change(work, secret); err != nil {
						t.Fatal(err)
					}
					b, err := bundleOf(t.Context(), t.TempDir(), c, found)
					if swap.errno != nil {
						if err == nil {
							b.remove()
						}
						if !errors.Is(err, swap.errno) {
							t.Errorf("%v, want %v", err, swap.errno)
						}
						return
					}
					if err != nil {
						t.Fatal(err)
					}
					defer b.remove()
					var want unix.Stat_t
					if err := unix.Lstat(work+"/data", &want); err != nil {
						t.Fatal(err)
					}
					i := slices.IndexFunc(b.spec.Mounts, func(m specs.Mount) bool { return m.Type == "bind" })
					if m := b.spec.Mounts[i]; m.Source != work+"/data" || b.pins[m.Destination] != inodeOf(&want) {
						t.Errorf("%+v, and it is to show %+v", m, b.pins[m.Destination])
					}
				})
			}
		}
	}
}

// One path that leads to two places was checked as two, and would be shown as one.
func TestAPathThatIsNamedTwice(t *testing.T) {
	t.Parallel()
	base, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	found, err := sandbox.Check(&sandbox.Command{
		Path: "/bin/true", Profile: sandbox.Profile{Read: []string{base, base + "/."}, Write: []string{base}},
		Mounts: []sandbox.Mount{{Source: base, Target: "/srv/shown"}},
	})
	if err != nil || len(found) != 2 || found[base] != base || found[base+"/."] != base || strings.HasSuffix(found[base], "/") {
		t.Errorf("%v, %v", found, err)
	}
}
