package main

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/mcpsec/mcpsec-go/audit"
)

// boardNames is how many names a board keeps apart when it is full.
const boardNames = 512

// A tally is what is counted of one name.
type tally struct {
	name           string
	calls          uint64
	refused, error uint64
	latencies      latencies
}

// A board counts by name in bounded memory. Callers choose names, so there may be any
// number of them: when there are twice as many as it keeps, the rarer half is counted
// together from then on.
type board struct {
	tallies map[string]*tally
	others  tally // what was counted together
	pruned  bool
}

func newBoard() *board { return &board{tallies: make(map[string]*tally)} }

// at returns the tally of a name. Names that differ in no character the page has room
// for are one.
func (b *board) at(name string) *tally {
	name = shown(name, cellWidth)
	t := b.tallies[name]
	if t == nil {
		if len(b.tallies) == 2*boardNames {
			b.prune()
		}
		t = &tally{name: name}
		b.tallies[name] = t
	}
	return t
}

func (b *board) prune() {
	b.pruned = true
	for _, t := range b.sorted()[boardNames:] {
		b.others.merge(t)
		delete(b.tallies, t.name)
	}
}

// sorted returns the tallies, the most frequent first.
func (b *board) sorted() []*tally {
	all := make([]*tally, 0, len(b.tallies))
	for _, t := range b.tallies {
		all = append(all, t)
	}
	slices.SortFunc(all, func(a, b *tally) int {
		return cmp.Or(cmp.Compare(b.calls, a.calls), cmp.Compare(a.name, b.name))
	})
	return all
}

// top returns the n most frequent tallies, and what all others come to.
func (b *board) top(n int) (top []*tally, rest tally) {
	all := b.sorted()
	n = min(n, len(all))
	rest = b.others
	for _, t := range all[n:] {
		rest.merge(t)
	}
	return all[:n], rest
}

// add counts n calls that ended alike.
func (t *tally) add(d audit.Decision, n uint64) {
	t.calls = addUint(t.calls, n)
	switch d {
	case audit.Refused:
		t.refused = addUint(t.refused, n)
	case audit.Failed, audit.Unknown:
		t.error = addUint(t.error, n)
	case audit.Allowed:
	}
}

func (t *tally) merge(other *tally) {
	t.calls = addUint(t.calls, other.calls)
	t.refused = addUint(t.refused, other.refused)
	t.error = addUint(t.error, other.error)
	t.latencies.merge(&other.latencies)
}

func (s *summary) codeBoard() pageBoard {
	b := pageBoard{Title: "Refusals by code", Column: "Code", Counted: "Refusals", About: "What the controls refused, and panics of handlers; mcpsec explain CODE says what to do."}
	top, rest := s.codes.top(topCodes)
	if len(top) == 0 {
		b.About = "Nothing was refused."
	}
	for _, t := range append(top, restOf(rest)...) {
		row := newBoardRow(t, top[0].calls)
		row.Code = !row.Rest
		row.Parts = []piece{{Class: "refused", X: "0", Width: percent(t.calls, top[0].calls)}}
		b.Rows = append(b.Rows, row)
	}
	return b
}

func nameBoard(from *board, title, about, column string) pageBoard {
	b := pageBoard{Title: title, About: about, Column: column, Counted: "Calls", Detailed: true}
	if from.pruned {
		b.About += fmt.Sprintf(" There were more than %d names: counts of the rarer ones may be too low.", 2*boardNames)
	}
	top, rest := from.top(topNames)
	for _, t := range append(top, restOf(rest)...) {
		b.Rows = append(b.Rows, newBoardRow(t, max(top[0].calls, rest.calls)))
	}
	return b
}

func restOf(rest tally) []*tally {
	if rest.calls == 0 {
		return nil
	}
	return []*tally{&rest}
}

func newBoardRow(t *tally, most uint64) boardRow {
	r := boardRow{
		Name: t.name, Calls: grouped(t.calls),
		Refused: grouped(t.refused), Errors: grouped(t.error), P50: "-", P95: "-",
	}
	if t.name == "" {
		r.Name, r.Rest = "all others", true
	}
	if t.latencies.count > 0 {
		r.P50, r.P95 = briefly(t.latencies.percentile(50)), briefly(t.latencies.percentile(95))
	}
	var at uint64
	for _, part := range []struct {
		class string
		n     uint64
	}{{"allowed", t.calls - min(t.calls, addUint(t.refused, t.error))}, {"refused", t.refused}, {"error", t.error}} {
		if part.n > 0 {
			r.Parts = append(r.Parts, piece{Class: part.class, X: percent(at, most), Width: percent(part.n, most)})
			at = addUint(at, part.n)
		}
	}
	return r
}
