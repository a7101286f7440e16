//go:build linux

package seccomp

import "slices"

// Plain returns the calls of the list that run whatever their arguments are, for a
// process with namespaces of its own: for filters that somebody else compiles.
func Plain() []string { return slices.Concat(allowed, shared) }

// Absent returns the calls that answer ENOSYS.
func Absent() []string { return slices.Clone(absent) }

// Breaks reports whether a call is refused even if a profile asks for it.
func Breaks(name string) bool { return slices.Contains(breaking, name) }

// Listed reports whether a call is on the list, for all arguments or for some.
func Listed(name string) bool {
	_, ruled := Options{Inet: true, Datagram: true, Unix: true}.rules()[name]
	return ruled || slices.Contains(allowed, name) || slices.Contains(shared, name) || slices.Contains(absent, name)
}
