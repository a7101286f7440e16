//go:build linux && (amd64 || arm64)

package program

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// An Arg is one argument of a call. The zero value is the number 0.
type Arg struct {
	number uint64
	block  *Block // the address of a block instead
	op     *Op    // the result of an earlier call instead
}

// Number is an argument that is a number.
func Number[T ~int | ~int32 | ~int64 | ~uint16 | ~uint32 | ~uint64 | ~uintptr](n T) Arg {
	return Arg{number: uint64(n)}
}

// Text is the address of a string, ended by a zero byte.
func Text(s string) Arg {
	return Arg{block: &Block{string: s, text: true}}
}

// At is the address of a block; nil is address 0.
func At(b *Block) Arg {
	return Arg{block: b}
}

// Result is what an earlier call of the same program returned.
func Result(op *Op) Arg {
	return Arg{op: op}
}

func (a Arg) String() string {
	switch {
	case a.op != nil:
		return "<" + a.op.Step + ">"
	case a.block != nil:
		return a.block.String()
	case int64(a.number) < 0: //nolint:gosec // how the kernel reads it
		return fmt.Sprint(int64(a.number)) //nolint:gosec // how the kernel reads it
	case a.number > 4096:
		return fmt.Sprintf("%#x", a.number)
	}
	return fmt.Sprint(a.number)
}

// A Block is memory that calls of one program read or write.
type Block struct {
	data   []byte
	string string // of a text, instead of data: a zero byte follows it
	text   bool
	show   string
	list   []string // to show instead, if it is not nil
	points []point

	owner *Program // that it was laid out for
	place []byte   // where, in the memory of the run
}

// size is what the block takes in memory.
func (b *Block) size() int {
	if b.text {
		return len(b.string) + 1
	}
	return len(b.data)
}

// room is the size, with what keeps the next one aligned.
func (b *Block) room() int {
	return (b.size() + 15) &^ 15
}

// point is a place in a block that holds another block's address.
type point struct {
	offset int
	to     *Block
}

// Memory is a block that starts as a copy of data; show is what a printed program says
// for it.
func Memory(show string, data []byte) *Block {
	return &Block{data: slices.Clone(data), show: show}
}

// Point puts the address of another block at an offset.
func (b *Block) Point(offset int, to *Block) *Block {
	b.points = append(b.points, point{offset: offset, to: to})
	return b
}

// Strings is a list of addresses of strings, ended by a zero address: an argument list or
// an environment. Values of an environment are secrets: only names are printed.
func Strings(list []string, names bool) *Block {
	b := &Block{data: make([]byte, word*(len(list)+1))}
	for i, s := range list {
		b.Point(i*word, Text(s).block)
	}
	b.list = slices.Clone(list)
	if names {
		for i := range b.list {
			b.list[i], _, _ = strings.Cut(b.list[i], "=")
		}
	}
	return b
}

func (b *Block) String() string {
	switch {
	case b.text:
		return strconv.Quote(b.string)
	case b.list != nil:
		return fmt.Sprintf("%q", b.list)
	}
	return b.show
}
