//go:build linux && (amd64 || arm64)

package program

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	word    = 8
	maxArgs = 6
	// One call in memory: number, six arguments, a bit for each argument that is the
	// address of an earlier result, mode, expected result, address of the 32-bit copy of
	// the result, result. The assembly knows these offsets.
	opWords  = 12
	opSize   = opWords * word
	opResult = 11 * word
	// stackSize is the child's stack, which nothing uses.
	stackSize = 4096
	// Behind it stand two words where the child says what went wrong, the call's address
	// and result, and then the calls.
	statusAt = stackSize
	callsAt  = statusAt + 2*word
	maxBytes = 64 << 20
)

// arena is the memory of one run: stack, status, calls, and blocks for them. It belongs to
// the kernel's idea of this process only; the Go runtime does not look into it.
type arena struct {
	program *Program
	memory  []byte
	base    uint64
	blocks  [][]byte
	loaded  int // calls
}

// where is the place of a call.
func where(op *Op) int {
	return callsAt + op.index*opSize
}

// load lays a program out, with room for all the calls that there may be: only what is
// used takes memory.
func (p *Program) load() (*arena, error) {
	if p.loaded {
		return nil, errors.New("a program runs once")
	}
	p.loaded = true
	a := &arena{program: p}
	var err error
	if a.memory, err = pages(callsAt+(maxOps+1)*opSize, 0); err != nil {
		return nil, err
	}
	a.base = address(a.memory)
	if err := a.extend(); err != nil {
		a.close()
		return nil, err
	}
	return a, nil
}

// extend lays out the calls that the program has got since.
func (a *arena) extend() error {
	p := a.program
	if err := p.check(a.loaded); err != nil {
		return err
	}
	added := p.ops[a.loaded:]
	blocks, err := p.blocks(added)
	if err != nil {
		return err
	}
	size := 0
	for _, b := range blocks {
		size += b.room()
	}
	if size > maxBytes {
		return fmt.Errorf("arguments and environment of %d bytes: at most %d", size, maxBytes)
	}
	if size > 0 {
		memory, err := pages(size, unix.MAP_POPULATE)
		if err != nil {
			return err
		}
		a.blocks = append(a.blocks, memory)
		for _, b := range blocks {
			b.place = memory[:b.size():b.size()]
			memory = memory[b.room():]
		}
	}
	for _, b := range blocks {
		copy(b.place, b.string) // and a zero byte, or
		copy(b.place, b.data)
		for _, pt := range b.points {
			binary.NativeEndian.PutUint64(b.place[pt.offset:], address(pt.to.place))
		}
	}
	for _, op := range added {
		a.write(op)
	}
	a.loaded = len(p.ops)
	end := callsAt + a.loaded*opSize
	a.put(end, uint64(ExitGroup.Number))
	a.put(end+word, exitCode)
	return nil
}

// pages are memory that a child sees as this process does.
func pages(size, flags int) ([]byte, error) {
	kind := unix.MAP_PRIVATE
	if memory == 0 { // copied for the child otherwise
		kind = unix.MAP_SHARED
	}
	m, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANONYMOUS|unix.MAP_NORESERVE|kind|flags)
	if err != nil {
		return nil, fmt.Errorf("memory for the program: %w", err)
	}
	return m, nil
}

// address is where memory is, for the kernel.
func address(memory []byte) uint64 {
	return uint64(uintptr(unsafe.Pointer(unsafe.SliceData(memory)))) //nolint:gosec // outside of the runtime's
}

func (a *arena) write(op *Op) {
	at := where(op)
	a.put(at, uint64(op.Call.Number))
	var earlier uint64
	for i, arg := range op.arguments() {
		v := arg.number
		switch {
		case arg.op != nil:
			earlier |= 1 << i
			v = a.base + uint64(where(arg.op)+opResult) //nolint:gosec // at most maxOps
		case arg.block != nil:
			v = address(arg.block.place)
		}
		a.put(at+word*(1+i), v)
	}
	a.put(at+7*word, earlier)
	a.put(at+8*word, uint64(op.mode))
	a.put(at+9*word, uint64(op.want)) //nolint:gosec // a result as the kernel returns it
	if b := op.patch.block; b != nil {
		a.put(at+10*word, address(b.place[op.patch.offset:]))
	}
}

func (a *arena) put(offset int, v uint64) {
	binary.NativeEndian.PutUint64(a.memory[offset:], v)
}

func (a *arena) address(offset int) uintptr {
	return uintptr(a.base) + uintptr(offset)
}

// failure is the call that ended the child, if one did.
func (a *arena) failure() error {
	at := a.word(statusAt)
	if at == 0 {
		return nil
	}
	i := (int(at-a.base) - callsAt) / opSize //nolint:gosec // an address within the arena
	result := int64(a.word(statusAt + word)) //nolint:gosec // a result as the kernel returns it
	if i < 0 || i >= a.loaded {
		return fmt.Errorf("the child reports a failure at no step: %#x, %d", at-a.base, result)
	}
	op := a.program.ops[i]
	e := &StepError{Section: op.Section, Step: op.Step, Call: op.Call.Name, Result: result}
	if result < 0 && result >= -4095 {
		e.Errno = syscall.Errno(-result)
	}
	return e
}

// word reads what the child wrote.
func (a *arena) word(offset int) uint64 {
	return atomic.LoadUint64((*uint64)(unsafe.Pointer(&a.memory[offset]))) //nolint:gosec // aligned: offsets are multiples of a word
}

func (a *arena) close() {
	for _, m := range append(a.blocks, a.memory) {
		_ = unix.Munmap(m)
	}
	a.blocks, a.memory = nil, nil
}

const exitCode = 126

var _ = [1]struct{}{}[math.MaxInt>>62-1] // 64-bit words
