//go:build linux

package seccomp

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// same proves that two programs do the same: every step of one is a step of the other, but
// for jumps that are always taken.
func same(long, short block) error {
	type pair struct{ a, b int }
	land := func(code block, i int) int {
		for i < len(code) && code[i].Code == unix.BPF_JMP|unix.BPF_JA {
			i += 1 + int(code[i].K)
		}
		return i
	}
	seen, todo := map[pair]bool{}, []pair{{}}
	for len(todo) > 0 {
		p := pair{land(long, todo[0].a), land(short, todo[0].b)}
		todo = todo[1:]
		if p.a >= len(long) || p.b >= len(short) {
			return fmt.Errorf("out of the program at %v", p)
		}
		if seen[p] {
			continue
		}
		seen[p] = true
		x, y := long[p.a], short[p.b]
		if x.Code != y.Code || x.K != y.K {
			return fmt.Errorf("at %v: %+v, %+v", p, x, y)
		}
		switch x.Code & 7 {
		case unix.BPF_RET:
		case unix.BPF_JMP:
			todo = append(todo, pair{p.a + 1 + int(x.Jt), p.b + 1 + int(y.Jt)}, pair{p.a + 1 + int(x.Jf), p.b + 1 + int(y.Jf)})
		default:
			todo = append(todo, pair{p.a + 1, p.b + 1})
		}
	}
	return nil
}

// The shorter program answers every call as the longer one does.
func TestSharedAnswersTheSame(t *testing.T) {
	t.Parallel()
	for _, o := range []Options{
		{}, {Shared: true}, {Shared: true, ReadOnly: true, NoListen: true}, {Inet: true, Notify: true, Shared: true},
		{Inet: true, Datagram: true, Unix: true}, {NoFileless: true, NoExec: true}, {Log: true}, {Allow: []string{"personality"}},
	} {
		for name, arch := range architectures {
			o.Arch = name
			answers, err := o.answers(arch.names)
			if err != nil {
				t.Fatalf("%+v: %v", o, err)
			}
			long := whole(arch, answers)
			short := compile(t, o)
			if len(short.Code)*3 > len(long)*2 {
				t.Errorf("%+v: %d instructions of %d are left", o, len(short.Code), len(long))
			}
			if err := same(long, short.Code); err != nil {
				t.Errorf("%+v: %v", o, err)
			}
		}
	}
}

// FuzzShare makes programs of all kinds, some with jumps farther than a conditional one
// reaches.
func FuzzShare(f *testing.F) {
	f.Add(uint64(1), uint16(3))
	f.Add(uint64(2), uint16(900))
	f.Add(uint64(3), uint16(4000))
	f.Fuzz(func(t *testing.T, seed uint64, size uint16) {
		random := rand.New(rand.NewPCG(seed, 0))
		n := 2 + int(size)%2000
		code := make(block, n)
		for i := range code {
			left := n - 1 - i
			far := func(most int) int { return random.IntN(min(left, most)) }
			switch kind := random.IntN(8); {
			case left == 0 || kind == 0:
				code[i] = answer(allow + uint32(random.IntN(3)))[0]
			case kind == 1 || i == 0:
				code[i] = load(uint32(4 * random.IntN(16)))
			case kind == 2:
				code[i] = unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JA, K: uint32(far(n))}
			case kind == 3:
				code[i] = masked(random.Uint32(), nil)[0]
			default:
				op := []uint16{unix.BPF_JEQ, unix.BPF_JSET, unix.BPF_JGE}[random.IntN(3)]
				code[i] = unix.SockFilter{Code: unix.BPF_JMP | op | unix.BPF_K, K: uint32(random.IntN(4)), Jt: uint8(far(256)), Jf: uint8(far(256))}
			}
		}
		short := share(slices.Clone(code))
		if len(short) > 2*len(code) {
			t.Fatalf("%d instructions became %d", len(code), len(short))
		}
		if err := same(code, short); err != nil {
			t.Fatal(err)
		}
		for range 30 {
			c := call{audit: random.Uint32() % 4, number: random.Uint32() % 4}
			for i := range c.args {
				c.args[i] = random.Uint64N(8) << (32 * random.IntN(2))
			}
			if got, want := run(t, &Filter{Code: short}, c), run(t, &Filter{Code: code}, c); got != want {
				t.Fatalf("%+v is answered %#x, not %#x", c, got, want)
			}
		}
	})
}
