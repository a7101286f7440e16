package creds

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// What is issued and cannot be used does not live on at the issuer.
func TestUnusableIsRevoked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{}
		p := struct {
			expiring
			revoker
		}{expiring{s, func() time.Time { return time.Now().Add(-time.Second) }}, leased{s}}
		r := newRig(t, p)
		_, err := r.get()
		isUnavailable(t, err, "clock is ahead")
		r.close()
		if got := s.revocations(); !slices.Equal(got, []string{"id1"}) {
			t.Errorf("issued, not usable, not revoked: %v", got)
		}
		s.wiped(t)
	})
}

// Neither does what takes the place of a lease that the service refused meanwhile, or
// that ends with the server.
func TestRenewedAnewIsRevoked(t *testing.T) {
	for _, how := range []string{"refused", "closed"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &script{life: span}
				p := renewable{leased{s}, func(Material) (Material, error) {
					pass(time.Second)
					return s.material(99), nil
				}, new(atomic.Int32)}
				r := newRig(t, p)
				r.want("k1")
				pass(toSoft)
				_ = r.as(t.Context(), "alice", func(ctx context.Context) error {
					h, _ := From(ctx)
					m, _ := h.Get(ctx, "n")
					synctest.Wait()
					if how == "refused" {
						return h.Report(m.Secret, errExpiredToken)
					}
					return nil
				})
				if how == "refused" {
					pass(2 * time.Second)
				}
				r.close()
				if got := p.revocations(); !slices.Contains(got, "id99") {
					t.Errorf("id99 lives on: revoked %v", got)
				}
				s.wiped(t)
			})
		})
	}
}

type hangRenew struct{ *script }

func (h hangRenew) Renew(ctx context.Context, _ Spec, _ Material) (Material, error) {
	<-ctx.Done()
	return Material{}, ctx.Err()
}

func TestHangingRenewalDoesNotKeepOthersFromIssuing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := hangRenew{&script{life: span, issue: func(ctx context.Context, _ Request, _ int) error { return ctx.Err() }}}
		r := newRig(t, p)
		r.want("k1")
		for at := time.Duration(0); at < span-time.Minute; at += 10 * time.Second {
			pass(10 * time.Second)
			if _, err := r.get(); err != nil {
				t.Fatal(err)
			}
		}
		if got, _ := r.get(); got == "k1" {
			t.Error("a minute before the end, after minutes of failed renewals, nothing new was issued")
		}
		r.close()
	})
}

// A lease near its longest life is replaced in time.
func TestRenewalThatGainsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{life: span}
		p := renewable{leased{s}, func(m Material) (Material, error) { return m.clone(), nil }, new(atomic.Int32)}
		r := newRig(t, p)
		r.want("k1")
		for at := time.Duration(0); at < span-10*time.Second; at += time.Second {
			pass(time.Second)
			if _, err := r.get(); err != nil {
				t.Fatal(err)
			}
		}
		if s.asked() < 2 {
			t.Errorf("10 s before its end calls are given the credential that %d renewals did not prolong", p.n.Load())
		}
		r.close()
	})
}

// A scrubbing log handler looks for held secrets in every line.
type scrubbing struct {
	slog.Handler
	in   *Injector
	seen chan struct{}
}

func (s scrubbing) Enabled(context.Context, slog.Level) bool { return true }
func (s scrubbing) Handle(_ context.Context, _ slog.Record) error {
	for range s.in.Held() { // looks for secrets in the line
		break
	}
	close(s.seen)
	return nil
}

func TestLogHandlerThatScrubs(t *testing.T) {
	p := failing{&script{life: span}, func(context.Context) error { return errors.New("down") }}
	r := newRig(t, p)
	was := slog.Default()
	defer slog.SetDefault(was)
	seen := make(chan struct{})
	slog.SetDefault(slog.New(scrubbing{was.Handler(), r.in, seen}))
	r.want("k1")
	r.in.cache.mu.Lock()
	for _, e := range r.in.cache.entries {
		r.in.cache.drop(e)
	}
	r.in.cache.mu.Unlock()
	select {
	case <-seen:
	case <-time.After(time.Minute):
		t.Fatal("the cache is locked for ever")
	}
}

// A provider that ends its goroutine keeps nobody else's credential from being revoked.
func TestGoexitInRevoke(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int32
		p := failing{&script{life: span}, func(context.Context) error {
			n.Add(1)
			runtime.Goexit()
			return nil
		}}
		r := newRig(t, p)
		r.want("k1")
		const many = 3 * maxRecallers
		for i := range many - 1 {
			if _, err := r.getAs(string(rune('a' + i))); err != nil {
				t.Fatal(err)
			}
		}
		r.in.cache.mu.Lock()
		for _, e := range r.in.cache.entries {
			r.in.cache.drop(e)
		}
		r.in.cache.mu.Unlock()
		synctest.Wait()
		if n.Load() != many {
			t.Errorf("%d of %d were revoked", n.Load(), many)
		}
		r.close()
		p.wiped(t)
	})
}
