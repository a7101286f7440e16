//go:build linux

package seccomp

import "golang.org/x/sys/unix"

// A block is a piece of a filter program that always ends in an answer. Blocks nest: no
// jump leaves one but to its end.
type block []unix.SockFilter

// Offsets in the kernel's struct seccomp_data. Both architectures are little-endian, so
// the lower half of an argument comes first.
const (
	numberAt = 0
	archAt   = 4
	argsAt   = 16
)

func load(at uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: at}
}

func answer(action uint32) block { return block{{Code: unix.BPF_RET | unix.BPF_K, K: action}} }

// after puts instructions before a block.
func after(b block, first ...unix.SockFilter) block { return append(block(first), b...) }

// arg loads the lower half of an argument for a block.
func arg(n int, then block) block { return after(then, load(argsAt+8*uint32(n))) } //nolint:gosec // 0 to 5

// null tells whether a whole argument is zero.
func null(n int, then, otherwise block) block {
	lower := argsAt + 8*uint32(n) //nolint:gosec // 0 to 5
	return after(is(0, after(is(0, then, otherwise), load(lower+4)), otherwise), load(lower))
}

// masked keeps some bits of what was loaded.
func masked(bits uint32, then block) block {
	return after(then, unix.SockFilter{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: bits})
}

// is, has and least branch on what was loaded: equal, any of these bits, at least.
func is(k uint32, then, otherwise block) block { return branch(unix.BPF_JEQ, k, then, otherwise) }
func has(bits uint32, then, otherwise block) block {
	return branch(unix.BPF_JSET, bits, then, otherwise)
}
func least(k uint32, then, otherwise block) block { return branch(unix.BPF_JGE, k, then, otherwise) }

// in branches on whether what was loaded is one of some values.
func in(values []uint32, then, otherwise block) block {
	b := otherwise
	b = after(b, then...)
	// Every test jumps to then, right behind the last test, or goes on; the last skips it.
	tests := make(block, len(values))
	for i, v := range values {
		tests[i] = unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: v, Jt: uint8(len(values) - 1 - i)} //nolint:gosec // few values
	}
	tests[len(tests)-1].Jf = short(then)
	return after(b, tests...)
}

func branch(op uint16, k uint32, then, otherwise block) block {
	test := unix.SockFilter{Code: unix.BPF_JMP | op | unix.BPF_K, K: k}
	if len(then) > 255 {
		test.Jt = 1
		over := unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JA, K: uint32(len(then))} //nolint:gosec // below 4096
		return append(append(block{test, over}, then...), otherwise...)
	}
	test.Jf = short(then)
	return append(append(block{test}, then...), otherwise...)
}

// short is the length of a block that a conditional jump can skip. Rules are a few
// instructions; the tests run every one.
func short(b block) uint8 { return uint8(len(b)) } //nolint:gosec // see above
