package cases

import (
	"context"
	"runtime"
	"sync/atomic"
	"testing"
)

// Sequential is the body of a benchmark in which one client calls at a time. An
// error means that b measured nothing.
func (s *Server) Sequential(ctx context.Context, b *testing.B, l Level) error {
	b.Helper()
	c, err := s.Take(ctx, l)
	if err != nil {
		return err
	}
	defer s.Put(l, c)
	b.ReportAllocs()
	for b.Loop() {
		if err := c.Call(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Parallel is the body of a benchmark in which GOMAXPROCS clients call at a time,
// each over a connection of its own and all as the same principal. An error means
// that b measured nothing.
func (s *Server) Parallel(ctx context.Context, b *testing.B, l Level) error {
	b.Helper()
	callers, err := s.takeMany(ctx, l, runtime.GOMAXPROCS(0))
	defer func() {
		for _, c := range callers {
			s.Put(l, c)
		}
	}()
	if err != nil {
		return err
	}
	var next atomic.Int64
	fault := make(chan error, 1)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		c := callers[next.Add(1)-1]
		for pb.Next() {
			if err := c.Call(ctx); err != nil {
				select {
				case fault <- err:
				default:
				}
			}
		}
	})
	select {
	case err := <-fault:
		return err
	default:
		return nil
	}
}

func (s *Server) takeMany(ctx context.Context, l Level, n int) (callers []Caller, err error) {
	for range n {
		c, err := s.Take(ctx, l)
		if err != nil {
			return callers, err
		}
		callers = append(callers, c)
	}
	return callers, nil
}
