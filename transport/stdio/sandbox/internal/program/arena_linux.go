//go:build linux && (amd64 || arm64)

package program

import (
	"encoding/binary"
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
	// The two words where the child says what went wrong: the call's address and result.
	statusSize = 2 * word
	// stackSize is the child's stack, which nothing uses.
	stackSize = 4096
	maxArena  = 64 << 20
)

// arena is the memory of one run: status, calls, blocks, stack. It belongs to the
// kernel's idea of this process only; the Go runtime does not look into it.
type arena struct {
	program *Program
	memory  []byte
	base    uint64
	calls   map[*Op]int    // where each stands
	blocks  map[*Block]int // where each stands
}

// load lays a program out.
func (p *Program) load() (*arena, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	a := &arena{program: p, calls: make(map[*Op]int, len(p.ops)), blocks: map[*Block]int{}}
	size := statusSize
	for _, op := range p.ops {
		a.calls[op] = size
		size += opSize
	}
	size += opSize // the end
	blocks := p.blocks()
	for _, b := range blocks {
		a.blocks[b] = size
		size += (len(b.data) + 15) &^ 15
	}
	size += stackSize
	if size > maxArena {
		return nil, fmt.Errorf("arguments and environment of %d bytes: at most %d", size, maxArena)
	}
	var err error
	a.memory, err = unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_ANONYMOUS|unix.MAP_POPULATE)
	if err != nil {
		return nil, fmt.Errorf("memory for the program: %w", err)
	}
	a.base = uint64(uintptr(unsafe.Pointer(unsafe.SliceData(a.memory)))) //nolint:gosec // its address is what the kernel needs
	for _, b := range blocks {
		copy(a.memory[a.blocks[b]:], b.data)
		for _, pt := range b.points {
			a.put(a.blocks[b]+pt.offset, a.base+uint64(a.blocks[pt.to])) //nolint:gosec // below maxArena
		}
	}
	for _, op := range p.ops {
		a.write(op)
	}
	a.put(a.end(), uint64(ExitGroup.Number))
	a.put(a.end()+word, exitCode)
	return a, nil
}

// blocks are all that the program refers to, each once.
func (p *Program) blocks() []*Block {
	var list []*Block
	seen := map[*Block]bool{}
	var add func(*Block)
	add = func(b *Block) {
		if b == nil || seen[b] {
			return
		}
		seen[b] = true
		list = append(list, b)
		for _, pt := range b.points {
			add(pt.to)
		}
	}
	for _, op := range p.ops {
		for _, arg := range op.Args {
			add(arg.block)
		}
		add(op.patch.block)
	}
	return list
}

func (a *arena) write(op *Op) {
	at := a.calls[op]
	a.put(at, uint64(op.Call.Number))
	var earlier uint64
	for i, arg := range op.Args {
		v := arg.number
		switch {
		case arg.op != nil:
			earlier |= 1 << i
			v = a.base + uint64(a.calls[arg.op]+opResult) //nolint:gosec // below maxArena
		case arg.block != nil:
			v = a.base + uint64(a.blocks[arg.block]) //nolint:gosec // below maxArena
		}
		a.put(at+word*(1+i), v)
	}
	a.put(at+7*word, earlier)
	a.put(at+8*word, uint64(op.mode))
	a.put(at+9*word, uint64(op.want)) //nolint:gosec // a result as the kernel returns it
	if b := op.patch.block; b != nil {
		a.put(at+10*word, a.base+uint64(a.blocks[b]+op.patch.offset)) //nolint:gosec // below maxArena
	}
}

func (a *arena) put(offset int, v uint64) {
	binary.NativeEndian.PutUint64(a.memory[offset:], v)
}

// end is where the call stands that ends a program which has run out.
func (a *arena) end() int {
	return statusSize + len(a.program.ops)*opSize
}

func (a *arena) address(offset int) uintptr {
	return uintptr(a.base) + uintptr(offset)
}

// failure is the call that ended the child, if one did.
func (a *arena) failure() error {
	at := a.word(0)
	if at == 0 {
		return nil
	}
	i := (int(at-a.base) - statusSize) / opSize //nolint:gosec // an address within the arena
	result := int64(a.word(word))               //nolint:gosec // a result as the kernel returns it
	if i < 0 || i >= len(a.program.ops) {
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
	if a.memory != nil {
		_ = unix.Munmap(a.memory)
		a.memory = nil
	}
}

const exitCode = 126

var _ = [1]struct{}{}[math.MaxInt>>62-1] // 64-bit words
