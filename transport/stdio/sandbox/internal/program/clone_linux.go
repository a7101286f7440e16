//go:build linux && (amd64 || arm64)

package program

// clone starts a child on a stack of its own that runs the calls at ops and reports at
// status. It returns in the host only.
//
//go:noescape
func clone(flags, stack, ops, status uintptr) (pid, errno uintptr)
