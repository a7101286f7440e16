package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/internal/bench/cases"
)

// A group is a level and a mode, and what was measured there.
type group struct {
	level  cases.Level
	mode   string
	series []series
}

// A series is what was measured of one case, one sample a round.
type series struct {
	name    string
	samples []sample
}

// A sample is one call, on average over one measurement.
type sample struct{ ns, allocs float64 }

const (
	sequential = "sequential"
	parallel   = "parallel"
)

// heap is what the process holds besides what is measured, as a server does that
// has something to do. With a heap of next to nothing the garbage collector would
// run every few calls, and its timing would drown what is measured.
const heap = 64 << 20

// measure starts every case and then goes round them, level by level.
func measure(ctx context.Context, dir string, o options, progress func(string)) (groups []*group, err error) {
	defer progress("")
	defer runtime.KeepAlive(make([]byte, heap))
	progress("starting the servers")
	if err := benchtime(o.time); err != nil {
		return nil, err
	}
	servers := make(map[string]*cases.Server)
	defer func() {
		for _, s := range servers {
			err = errors.Join(err, s.Close())
		}
	}()
	for i, c := range cases.At(cases.Memory) {
		if servers[c.Name], err = start(c, filepath.Join(dir, strconv.Itoa(i))); err != nil {
			delete(servers, c.Name)
			return nil, err
		}
	}
	for _, l := range cases.Levels() {
		for _, mode := range []string{sequential, parallel} {
			g := &group{level: l, mode: mode}
			for _, c := range cases.At(l) {
				g.series = append(g.series, series{name: c.Name})
			}
			for round := range o.rounds {
				progress(fmt.Sprintf("%v, %s: round %d of %d", l, mode, round+1, o.rounds))
				if err := g.round(ctx, round, servers); err != nil {
					return nil, err
				}
			}
			groups = append(groups, g)
		}
	}
	return groups, nil
}

// round measures each case once, in an order of its own: each measurement begins
// with the memory as the one before left it.
func (g *group) round(ctx context.Context, round int, servers map[string]*cases.Server) error {
	for _, i := range rand.New(rand.NewPCG(0, uint64(round))).Perm(len(g.series)) { //nolint:gosec // an order, and no secret
		if err := ctx.Err(); err != nil {
			return err
		}
		one := &g.series[i]
		s, err := g.sample(ctx, servers[one.name])
		if err != nil {
			return err
		}
		one.samples = append(one.samples, s)
	}
	return nil
}

// benchtime tells the testing package how long to measure. It has no other way.
func benchtime(d time.Duration) error {
	testing.Init()
	return flag.Set("test.benchtime", d.String())
}

// start starts the case in a folder of its own.
func start(c cases.Case, dir string) (*cases.Server, error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	return c.Start(dir)
}

// sample measures one case once.
func (g *group) sample(ctx context.Context, s *cases.Server) (sample, error) {
	var fault error
	r := testing.Benchmark(func(b *testing.B) {
		b.Helper()
		if g.mode == parallel {
			fault = s.Parallel(ctx, b, g.level)
		} else {
			fault = s.Sequential(ctx, b, g.level)
		}
		if fault != nil {
			b.FailNow()
		}
	})
	if fault != nil {
		return sample{}, fault
	}
	n := float64(r.N)
	return sample{ns: float64(r.T) / n, allocs: float64(r.MemAllocs) / n}, nil
}
