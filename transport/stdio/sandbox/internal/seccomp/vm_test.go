//go:build linux

package seccomp

import (
	"encoding/binary"
	"testing"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// A call is what the kernel shows a filter.
type call struct {
	audit  uint32
	number uint32
	args   [6]uint64
}

// run interprets a filter as the kernel does.
func run(tb testing.TB, f *Filter, c call) uint32 {
	tb.Helper()
	raw := make([]bpf.RawInstruction, len(f.Code))
	for i, in := range f.Code {
		raw[i] = bpf.RawInstruction{Op: in.Code, Jt: in.Jt, Jf: in.Jf, K: in.K}
	}
	program, known := bpf.Disassemble(raw)
	if !known {
		tb.Fatal("the program has instructions that nobody knows")
	}
	vm, err := bpf.NewVM(program)
	if err != nil {
		tb.Fatal(err)
	}
	// The interpreter reads words of the network's order.
	var data []byte
	word := func(v uint32) { data = binary.BigEndian.AppendUint32(data, v) }
	word(c.number)
	word(c.audit)
	word(0)
	word(0)
	for _, a := range c.args {
		word(uint32(a))
		word(uint32(a >> 32))
	}
	verdict, err := vm.Run(data)
	if err != nil {
		tb.Fatal(err)
	}
	return uint32(verdict)
}

var audits = map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64}

func compile(tb testing.TB, o Options) *Filter {
	tb.Helper()
	f, err := Compile(o)
	if err != nil {
		tb.Fatal(err)
	}
	return f
}
