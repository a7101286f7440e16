//go:build linux && (amd64 || arm64)

package program

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
)

// maxOps bounds a program: a profile is written by people, but sometimes by programs.
const maxOps = 16384

// A Program is a list of system calls. It is written by one goroutine, and runs once. It
// may get more calls while it runs, see [Run.Extend].
type Program struct {
	ops     []*Op
	slab    []Op // the next ones: there are some hundred, each small
	section string
	loaded  bool
}

// An Op is one call of a program.
type Op struct {
	Section string // what the call is for
	Step    string // names the call in errors
	Call    Call

	args  [maxArgs]Arg
	count int // of args
	mode  mode
	want  int64
	patch patch
	index int // in its program
}

func (o *Op) arguments() []Arg {
	return o.args[:min(o.count, maxArgs)]
}

type mode uint64

// The assembly knows these numbers.
const (
	must   mode = iota // a negative errno ends the child
	may                // the result does not matter
	equals             // anything but want ends the child
)

type patch struct {
	block  *Block
	offset int
}

// Section names what the calls that follow are for.
func (p *Program) Section(name string) {
	p.section = name
}

// Do adds a call. A call that fails ends the child.
func (p *Program) Do(step string, c Call, args ...Arg) *Op {
	if len(p.slab) == 0 {
		p.slab = make([]Op, 64)
	}
	op := &p.slab[0]
	p.slab = p.slab[1:]
	op.Section, op.Step, op.Call, op.index = p.section, step, c, len(p.ops)
	op.count = len(args)
	copy(op.args[:], args)
	p.ops = append(p.ops, op)
	return op
}

// Try lets the child go on if the call fails.
func (o *Op) Try() *Op {
	o.mode = may
	return o
}

// Expect ends the child if the call returns anything but n; a negative n is the errno
// that is expected.
func (o *Op) Expect(n int64) *Op {
	o.mode, o.want = equals, n
	return o
}

// Into also stores the call's result as a 32-bit number in a block.
func (o *Op) Into(b *Block, offset int) *Op {
	o.patch = patch{block: b, offset: offset}
	return o
}

// Explain prints the program, one call a line, the same on every architecture.
func (p *Program) Explain() string {
	var b strings.Builder
	section := ""
	for _, op := range p.ops {
		if op.Section != section {
			section = op.Section
			fmt.Fprintf(&b, "[%s]\n", section)
		}
		args := make([]string, 0, maxArgs)
		for _, a := range op.arguments() {
			args = append(args, a.String())
		}
		fmt.Fprintf(&b, "  %s: %s(%s)", op.Step, op.Call.Name, strings.Join(args, ", "))
		switch {
		case op.mode == may:
			b.WriteString(" or go on")
		case op.mode == equals && op.want < 0:
			fmt.Fprintf(&b, " must fail: %v", syscall.Errno(-op.want))
		case op.mode == equals:
			fmt.Fprintf(&b, " = %d", op.want)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// A StepError says which call of a program failed.
type StepError struct {
	Section, Step string
	Call          string
	// Errno is zero if the call returned something else than it had to.
	Errno  syscall.Errno
	Result int64
}

func (e *StepError) Error() string {
	if e.Errno == 0 {
		return fmt.Sprintf("step %q: %s returned %d", e.Step, e.Call, e.Result)
	}
	return fmt.Sprintf("step %q: %s: %v", e.Step, e.Call, e.Errno)
}

func (e *StepError) Unwrap() error {
	if e.Errno == 0 {
		return nil
	}
	return e.Errno
}

// holds reports whether an op is one of this program's.
func (p *Program) holds(o *Op) bool {
	return o.index < len(p.ops) && p.ops[o.index] == o
}

// check looks at the calls from one on.
func (p *Program) check(from int) error {
	if len(p.ops) == from || len(p.ops) > maxOps {
		return fmt.Errorf("a program of %d calls, %d of them new: at least 1, at most %d", len(p.ops), len(p.ops)-from, maxOps)
	}
	for _, op := range p.ops[from:] {
		if op.count > maxArgs {
			return fmt.Errorf("step %q: %d arguments", op.Step, op.count)
		}
		for _, a := range op.arguments() {
			if a.op != nil && (!p.holds(a.op) || a.op.index >= op.index) {
				return fmt.Errorf("step %q uses the result of a later one", op.Step)
			}
		}
		if b := op.patch.block; b != nil && (op.patch.offset < 0 || op.patch.offset+4 > len(b.data)) {
			return errors.New("step " + op.Step + ": its result does not fit where it is to go")
		}
	}
	return nil
}

// blocks are all that calls refer to, each once, but for those that are laid out.
func (p *Program) blocks(ops []*Op) (list []*Block, err error) {
	var add func(*Block)
	add = func(b *Block) {
		switch {
		case b == nil || b.owner == p:
			return
		case b.owner != nil:
			err = errors.New("memory of another program")
			return
		case b.text && strings.IndexByte(b.string, 0) >= 0:
			err = errors.New("a zero byte within a path, an argument or the environment")
		}
		b.owner = p
		list = append(list, b)
		for _, pt := range b.points {
			add(pt.to)
		}
	}
	for _, op := range ops {
		for _, arg := range op.arguments() {
			add(arg.block)
		}
		add(op.patch.block)
	}
	return list, err
}
