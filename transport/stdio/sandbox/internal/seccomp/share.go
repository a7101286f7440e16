//go:build linux

package seccomp

import (
	"slices"

	"golang.org/x/sys/unix"
)

// share makes a program shorter whose answers, and whatever else comes out the same, are
// there many times: the kernel checks and translates every instruction at every start.
// Instructions are laid out from the last to the first, so that where one leads is known
// when its turn comes, and one that does what an earlier one does is not laid out again.
func share(code block) block {
	s := sharing{known: map[does]int{}, nearest: map[int]int{}}
	at := make([]int, len(code)) // where each instruction ended up, counted from the end
	for i, in := range slices.Backward(code) {
		switch {
		case in.Code&7 == unix.BPF_RET:
			at[i] = s.put(does{in.Code, in.K, -1, -1})
		case in.Code == unix.BPF_JMP|unix.BPF_JA:
			at[i] = at[i+1+int(in.K)]
		case in.Code&7 == unix.BPF_JMP:
			at[i] = s.put(does{in.Code, in.K, at[i+1+int(in.Jt)], at[i+1+int(in.Jf)]})
		default:
			at[i] = s.put(does{in.Code, in.K, at[i+1], -1})
		}
	}
	s.follow(at[0])
	slices.Reverse(s.code)
	return s.code
}

// does is what an instruction does, itself and by what follows: for a jump where it leads
// if its condition holds and if not, for the others what is next.
type does struct {
	code            uint16
	k               uint32
	then, otherwise int
}

type sharing struct {
	code    block // backwards
	known   map[does]int
	nearest map[int]int // the last place that leads to, or repeats, an instruction
}

// reach is how far a conditional jump may lead, less the two detours that may come between.
const reach = 255 - 2

func (s *sharing) put(d does) int {
	if at, ok := s.known[d]; ok {
		return at
	}
	in := unix.SockFilter{Code: d.code, K: d.k}
	switch {
	case d.then < 0: // an answer
	case d.otherwise < 0:
		s.follow(d.then)
	default:
		then, otherwise := s.near(d.then), s.near(d.otherwise)
		last := len(s.code) - 1
		in.Jt, in.Jf = uint8(last-then), uint8(last-otherwise) //nolint:gosec // both are near
	}
	at := len(s.code)
	s.code = append(s.code, in)
	s.known[d] = at
	return at
}

// follow sees to it that what is laid out next goes on with an instruction.
func (s *sharing) follow(at int) {
	if at != len(s.code)-1 {
		s.lead(at)
	}
}

// near is a place within the reach of a jump that does what an instruction does.
func (s *sharing) near(at int) int {
	place := at
	if later, ok := s.nearest[at]; ok {
		place = later
	}
	if len(s.code)-1-place > reach {
		place = s.lead(at)
	}
	return place
}

// lead puts the answer again, or a jump to what is not one.
func (s *sharing) lead(at int) int {
	in := s.code[at]
	if in.Code&7 != unix.BPF_RET {
		in = unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JA, K: uint32(len(s.code) - 1 - at)} //nolint:gosec // below 4096
	}
	place := len(s.code)
	s.code = append(s.code, in)
	s.nearest[at] = place
	return place
}
