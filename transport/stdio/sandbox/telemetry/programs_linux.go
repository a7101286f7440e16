package telemetry

import (
	"errors"
	"fmt"
	"runtime"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"
)

// What the kernel sends, in its own byte order; see decode.
const (
	kindRefused = 1 + iota
	kindConnect
	kindExec
)

// Layout of an event on the programs' stack. Everything is written before it is sent.
const (
	atKind    = 0  // u64
	atThread  = 8  // u64: thread group in the upper half, thread in the lower
	atCall    = 16 // u64
	atResult  = 24 // s64
	atFirst   = 32 // 128 bytes: the first argument as text
	atSecond  = atFirst + textSize
	eventSize = atSecond + textSize
	textSize  = 128

	scratch = eventSize + 16 // below the event: the answer about the namespace
)

// registers are offsets in the kernel's struct pt_regs.
type registers struct{ number, first, second int16 }

var registersOf = map[string]registers{
	"amd64": {number: 120, first: 112, second: 104},
	"arm64": {number: 280, first: 272, second: 8},
}

// A namespace is a PID namespace as the kernel names it.
type namespace struct{ dev, inode uint64 }

// inside ends a program with 0 unless the current task is in the namespace.
func (n namespace) inside() asm.Instructions {
	return asm.Instructions{
		asm.LoadImm(asm.R1, int64(n.dev), asm.DWord),   //nolint:gosec // a bit pattern
		asm.LoadImm(asm.R2, int64(n.inode), asm.DWord), //nolint:gosec // a bit pattern
		asm.Mov.Reg(asm.R3, asm.RFP), asm.Add.Imm(asm.R3, -scratch),
		asm.Mov.Imm(asm.R4, 8),
		asm.FnGetNsCurrentPidTgid.Call(),
		asm.JNE.Imm(asm.R0, 0, "out"),
	}
}

func stack(at int16) int16 { return at - eventSize }

// put writes a small number into the event, by way of R1.
func put(at int16, value int32) asm.Instructions {
	return asm.Instructions{asm.Mov.Imm(asm.R1, value), asm.StoreMem(asm.RFP, stack(at), asm.R1, asm.DWord)}
}

// prepare clears the event and fills in what all have. R6 is the context.
func prepare(kind int32) asm.Instructions {
	var p asm.Instructions
	for at := int16(0); at < eventSize; at += 8 {
		p = append(p, put(at, 0)...)
	}
	p = append(p, put(atKind, kind)...)
	return append(p,
		asm.FnGetCurrentPidTgid.Call(),
		asm.StoreMem(asm.RFP, stack(atThread), asm.R0, asm.DWord),
	)
}

// send puts the event into the ring, or counts it as lost.
func send(ring, lost *ebpf.Map) asm.Instructions {
	return asm.Instructions{
		asm.LoadMapPtr(asm.R1, ring.FD()),
		asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, -eventSize),
		asm.Mov.Imm(asm.R3, eventSize), asm.Mov.Imm(asm.R4, 0),
		asm.FnRingbufOutput.Call(),
		asm.JEq.Imm(asm.R0, 0, "out"),
		asm.LoadMapValue(asm.R1, lost.FD(), 0),
		asm.Mov.Imm(asm.R2, 1),
		asm.StoreXAdd(asm.R1, asm.R2, asm.DWord),
		asm.Mov.Imm(asm.R0, 0).WithSymbol("out"),
		asm.Return(),
	}
}

// register reads a register of the system call into the event. R7 is struct pt_regs.
func register(at, offset int16, size int32) asm.Instructions {
	return asm.Instructions{
		asm.Mov.Reg(asm.R1, asm.RFP), asm.Add.Imm(asm.R1, int32(stack(at))),
		asm.Mov.Imm(asm.R2, size),
		asm.Mov.Reg(asm.R3, asm.R7), asm.Add.Imm(asm.R3, int32(offset)),
		asm.FnProbeReadKernel.Call(),
	}
}

// argument reads what a register points to. What cannot be read stays clear.
func argument(at, offset int16, size int32, read asm.BuiltinFunc) asm.Instructions {
	p := register(at, offset, 8)
	p = append(p, asm.LoadMem(asm.R3, asm.RFP, stack(at), asm.DWord))
	p = append(p, put(at, 0)...)
	return append(p,
		asm.Mov.Reg(asm.R1, asm.RFP), asm.Add.Imm(asm.R1, int32(stack(at))),
		asm.Mov.Imm(asm.R2, size),
		read.Call(),
	)
}

// sockaddrSize is what is read of an address: enough for IPv6.
const sockaddrSize = 28

// exits is the program at the end of system calls: raw_tp/sys_exit (regs, result).
func exits(n namespace, ring, lost *ebpf.Map) asm.Instructions {
	regs := registersOf[runtime.GOARCH]
	p := asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.LoadMem(asm.R7, asm.R6, 0, asm.DWord),
		asm.LoadMem(asm.R8, asm.R6, 8, asm.DWord),
	}
	p = append(p, n.inside()...)
	p = append(p, prepare(kindRefused)...)
	p = append(p, asm.StoreMem(asm.RFP, stack(atResult), asm.R8, asm.DWord))
	const numberSize = 4 // both architectures: the upper half is 0
	p = append(p, register(atCall, regs.number, numberSize)...)
	p = append(p,
		asm.LoadMem(asm.R9, asm.RFP, stack(atCall), asm.DWord),
		asm.JEq.Imm(asm.R9, unix.SYS_CONNECT, "connect"),
		asm.JEq.Imm(asm.R8, -int32(unix.EPERM), "refused"),
		asm.JEq.Imm(asm.R8, -int32(unix.EACCES), "refused"),
		asm.Ja.Label("out"),
	)
	first := argument(atFirst, regs.first, textSize, asm.FnProbeReadUserStr)
	first[0] = first[0].WithSymbol("refused")
	p = append(p, first...)
	p = append(p, argument(atSecond, regs.second, textSize, asm.FnProbeReadUserStr)...)
	p = append(p, asm.Ja.Label("send"))
	connect := append(put(atKind, kindConnect), argument(atSecond, regs.second, sockaddrSize, asm.FnProbeReadUser)...)
	connect[0] = connect[0].WithSymbol("connect")
	p = append(p, connect...)
	last := send(ring, lost)
	last[0] = last[0].WithSymbol("send")
	return append(p, last...)
}

// execs is the program at raw_tp/sched_process_exec (task, old pid, struct linux_binprm).
func execs(n namespace, ring, lost *ebpf.Map) (asm.Instructions, error) {
	filename, err := filenameOffset()
	if err != nil {
		return nil, err
	}
	p := asm.Instructions{asm.LoadMem(asm.R7, asm.R1, 16, asm.DWord)}
	p = append(p, n.inside()...)
	p = append(p, prepare(kindExec)...)
	p = append(p, argument(atFirst, filename, textSize, asm.FnProbeReadKernelStr)...)
	return append(p, send(ring, lost)...), nil
}

// filenameOffset asks the kernel's own description where linux_binprm has its file name.
func filenameOffset() (int16, error) {
	spec, err := btf.LoadKernelSpec()
	if err != nil {
		return 0, fmt.Errorf("the kernel does not describe its types (CONFIG_DEBUG_INFO_BTF): %w", err)
	}
	var binprm *btf.Struct
	if err := spec.TypeByName("linux_binprm", &binprm); err != nil {
		return 0, err
	}
	for _, m := range binprm.Members {
		if m.Name == "filename" {
			return int16(m.Offset.Bytes()), nil //nolint:gosec // a small struct
		}
	}
	return 0, errors.New("struct linux_binprm has no file name")
}
