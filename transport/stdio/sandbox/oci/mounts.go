//go:build linux

package oci

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox/internal/procfs"
)

// bind shows a part of the host's file system; what the host mounts there later does not
// follow. Of a folder what is taken away stands there twice: for the mount itself, which
// every runtime knows, and for those below it (version 1.1 of the specification). Whether a
// runtime did either is looked at once the program runs.
func bind(source, target string, options ...string) specs.Mount {
	m := specs.Mount{Destination: target, Type: "bind", Source: source, Options: append([]string{"rbind", "rprivate", "nosuid", "nodev"}, options...)}
	if info, err := os.Stat(source); err == nil && info.IsDir() {
		for _, option := range m.Options {
			if slices.Contains(restrictions, option) {
				m.Options = append(m.Options, "r"+option)
			}
		}
	}
	return m
}

// restrictions are the options that take something away, as the kernel calls them.
var restrictions = []string{"ro", "nosuid", "nodev", "noexec"}

// checkMounts compares what is mounted inside with what was asked for: runtimes have dropped
// options, and nothing else confines files here. What lies below a folder of the host's is
// held to the options of the folder.
func checkMounts(pid int, b *bundle) error {
	text, err := procfs.Read(folder(pid)+"/mountinfo", procfs.Most)
	if err != nil {
		return fmt.Errorf("the mounts cannot be seen: %w", err)
	}
	if err := b.mounted(text); err != nil {
		return err
	}
	return b.visible(pid)
}

// mounted is [checkMounts] of what the kernel says.
func (b *bundle) mounted(text string) error {
	seen := make(map[string]bool)
	for m, err := range procfs.Mounts(text) {
		if err != nil {
			return err
		}
		if !b.expected(m.At) {
			return fmt.Errorf("something is mounted at %s that nobody asked for", m.At)
		}
		seen[m.At] = true
		for _, want := range b.wanted(m.At) {
			if !m.Options.Has(want) {
				return fmt.Errorf("%s is mounted without %s", m.At, want)
			}
		}
	}
	return b.complete(seen)
}

// complete reports an error if something that was asked for is not mounted.
func (b *bundle) complete(seen map[string]bool) error {
	for _, m := range b.spec.Mounts {
		at := filepath.Clean(m.Destination)
		if led, err := filepath.EvalSymlinks(at); err == nil && !seen[at] {
			at = led // the root has links that the host has
		}
		if !seen[at] {
			return fmt.Errorf("nothing is mounted at %s", at)
		}
	}
	return nil
}

// expected reports whether something is to be mounted at a place: what was asked for, what
// lies below a folder of the host's, and the devices and covers that are the runtime's own.
func (b *bundle) expected(at string) bool {
	if dir, name := filepath.Split(at); at == "/" || dir == "/dev/" && slices.Contains(devices, name) {
		return true
	}
	if slices.Contains(b.spec.Linux.MaskedPaths, at) || slices.Contains(b.spec.Linux.ReadonlyPaths, at) {
		return true
	}
	return slices.ContainsFunc(b.spec.Mounts, func(m specs.Mount) bool {
		return at == m.Destination || m.Type == "bind" && strings.HasPrefix(at, m.Destination+"/")
	})
}

// devices are those that a runtime adds.
var devices = []string{"full", "null", "random", "tty", "urandom", "zero"}

// wanted are the restrictions of what is mounted at a place.
func (b *bundle) wanted(at string) []string {
	if at == "/" {
		return restrictions[:1]
	}
	var over *specs.Mount
	for i := range b.spec.Mounts {
		m := &b.spec.Mounts[i]
		if (at == m.Destination || strings.HasPrefix(at, m.Destination+"/")) && (over == nil || len(m.Destination) > len(over.Destination)) {
			over = m
		}
	}
	if over == nil || over.Type != "bind" && over.Destination != at {
		return nil // the runtime's own: devices, and what it hides of /proc
	}
	return slices.DeleteFunc(slices.Clone(restrictions), func(r string) bool { return !slices.Contains(over.Options, r) })
}
