//go:build linux && (amd64 || arm64)

package sandbox

import (
	"syscall"

	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox/internal/program"
	"golang.org/x/sys/unix"
)

// fault is a call of the child that the kernel refuses, as on other kernels and inside
// other sandboxes. For tests.
type fault struct {
	call  program.Call
	arg   int // -1: whatever the arguments
	value uint32
	errno syscall.Errno
}

// faultFilter makes the kernel itself refuse the calls, with a filter in front of the
// sandbox's own.
func faultFilter(faults []fault) []unix.SockFilter {
	const argsAt = 16 // struct seccomp_data
	load := func(at int) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: uint32(at)} //nolint:gosec // small
	}
	var code []unix.SockFilter
	for _, f := range faults {
		refuse := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(f.errno)}} //nolint:gosec // an errno
		if f.arg >= 0 {
			refuse = append([]unix.SockFilter{load(argsAt + 8*f.arg), {Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: f.value, Jf: 1}}, refuse...)
		}
		code = append(code, load(0), unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: uint32(f.call.Number), Jf: uint8(len(refuse))}) //nolint:gosec // small
		code = append(code, refuse...)
	}
	return append(code, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW})
}
