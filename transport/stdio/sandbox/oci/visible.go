//go:build linux

package oci

import (
	"fmt"
	"os"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// An inode is one file of the host's, whatever its name.
type inode struct{ dev, ino uint64 }

func inodeOf(info *unix.Stat_t) inode { return inode{info.Dev, info.Ino} }

// pin remembers what a mount is to show. Its source had no symbolic links when it was
// checked, and has none now: whoever puts one there would choose what is shown.
func (b *bundle) pin(m specs.Mount) error {
	if m.Type != "bind" {
		return nil
	}
	fd, err := unix.Openat2(unix.AT_FDCWD, m.Source, &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_SYMLINKS})
	if err != nil {
		return &os.PathError{Op: "open", Path: m.Source, Err: err}
	}
	defer func() { _ = unix.Close(fd) }()
	var info unix.Stat_t
	if err := unix.Fstat(fd, &info); err != nil {
		return &os.PathError{Op: "stat", Path: m.Source, Err: err}
	}
	if b.pins == nil {
		b.pins = make(map[string]inode)
	}
	b.pins[m.Destination] = inodeOf(&info)
	return nil
}

// flags are the restrictions as a file system tells them.
var flags = map[string]int64{"ro": unix.ST_RDONLY, "nosuid": unix.ST_NOSUID, "nodev": unix.ST_NODEV, "noexec": unix.ST_NOEXEC}

// visible looks at what a process finds at the places of the mounts: one may cover another,
// and what a path of the host's means may have changed since it was checked.
func (b *bundle) visible(pid int) error {
	root, err := unix.Open(fmt.Sprintf("/proc/%d/root", pid), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("the root cannot be seen: %w", err)
	}
	defer func() { _ = unix.Close(root) }()
	for _, m := range b.spec.Mounts {
		if err := b.shown(root, m); err != nil {
			return err
		}
	}
	return nil
}

func (b *bundle) shown(root int, m specs.Mount) error {
	fd, err := unix.Openat2(root, m.Destination, &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT})
	if err != nil {
		return fmt.Errorf("%s cannot be seen: %w", m.Destination, err)
	}
	defer func() { _ = unix.Close(fd) }()
	var (
		info unix.Stat_t
		fs   unix.Statfs_t
	)
	if err := unix.Fstat(fd, &info); err != nil {
		return fmt.Errorf("%s cannot be seen: %w", m.Destination, err)
	}
	if err := unix.Fstatfs(fd, &fs); err != nil {
		return fmt.Errorf("%s cannot be seen: %w", m.Destination, err)
	}
	if want, ok := b.pins[m.Destination]; ok && inodeOf(&info) != want {
		return fmt.Errorf("%s is not what %s was when it was checked", m.Destination, m.Source)
	}
	for _, option := range restrictions {
		if slices.Contains(m.Options, option) && int64(fs.Flags)&flags[option] == 0 { //nolint:unconvert // narrower elsewhere
			return fmt.Errorf("%s is covered by something without %s", m.Destination, option)
		}
	}
	return nil
}

// unchanged is what can be seen of [bundle.visible] where the program's files are a kernel's
// that is not the host's: the paths mean what they meant.
func (b *bundle) unchanged() error {
	for _, m := range b.spec.Mounts {
		var info unix.Stat_t
		if want, ok := b.pins[m.Destination]; !ok {
			continue
		} else if err := unix.Lstat(m.Source, &info); err != nil || inodeOf(&info) != want {
			return fmt.Errorf("%s is not what it was when it was checked", m.Source)
		}
	}
	return nil
}
