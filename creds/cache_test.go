package creds

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var errDown = fmt.Errorf("%w: HTTP 503", ErrOutage)

// With the rig's dice a credential of 900 s is soft from 630, hard from 810 and dead
// from 900 s on.
const (
	span   = 900 * time.Second
	toSoft = 630 * time.Second
	toHard = 810 * time.Second
)

// Case 1: the issuer is down while a credential is soft, hard, dead, and comes back.
func TestOutageWhileCredentialsAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		p := &script{life: span, issue: func(context.Context, Request, int) error {
			if down.Load() {
				return errDown
			}
			return nil
		}}
		r := newRig(t, p)
		began := time.Now()
		r.want("k1")
		pass(toSoft - time.Second)
		r.want("k1")
		if p.asked() != 1 {
			t.Fatalf("a fresh credential was asked for again: %d", p.asked())
		}
		down.Store(true)
		for time.Since(began) < span-2*time.Second {
			pass(time.Second)
			at := time.Now()
			r.want("k1")
			if took := time.Since(at); took != 0 {
				t.Fatalf("%v after the issue a call waited %v for an issuer that is down", at.Sub(began), took)
			}
		}
		if n := p.asked(); n < 5 || n > 60 {
			t.Errorf("the issuer was asked %d times during the outage", n)
		}
		pass(2 * time.Second)
		_, err := r.get()
		isUnavailable(t, err, "503")
		down.Store(false)
		pass(30 * time.Second)
		if got, err := r.get(); err != nil || got == "k1" {
			t.Errorf("after the outage: %q, %v", got, err)
		}
		r.close()
		p.wiped(t)
	})
}

// Case 1: the background refresh replaces the credential without anybody waiting.
func TestSoftRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &script{life: span, issue: func(_ context.Context, _ Request, n int) error {
			if n > 1 {
				pass(2 * time.Second)
			}
			return nil
		}}
		r := newRig(t, p)
		r.want("k1")
		pass(toSoft)
		for range 50 {
			r.want("k1")
		}
		pass(2 * time.Second)
		synctest.Wait()
		r.want("k2")
		if p.asked() != 2 {
			t.Errorf("asked %d times", p.asked())
		}
		// Hard: a call waits for a new one, so that it does not end with an expired one.
		pass(toHard)
		at := time.Now()
		r.want("k3")
		if took := time.Since(at); took != 2*time.Second {
			t.Errorf("waited %v", took)
		}
		r.close()
	})
}

// Case 1: hard, the issuer hangs, and the call is content with what is still valid.
func TestHangWhileHard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &script{life: span, issue: func(ctx context.Context, _ Request, n int) error {
			if n == 1 {
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		}}
		r := newRig(t, p)
		r.want("k1")
		pass(toHard)
		at := time.Now()
		r.want("k1")
		if took := time.Since(at); took != IssueTimeout {
			t.Errorf("waited %v", took)
		}
		at = time.Now()
		r.want("k1")
		if took := time.Since(at); took != 0 {
			t.Errorf("during the pause a call waited %v", took)
		}
		r.close()
	})
}

// Case 2: the issuer accepts and never answers. Every caller returns by its own
// deadline, and the next flight begins by the end of the first.
func TestHangingIssuer(t *testing.T) {
	for name, stubborn := range map[string]bool{"ends with its context": false, "never ends": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				free := make(chan struct{})
				p := &script{life: span, issue: func(ctx context.Context, _ Request, n int) error {
					switch {
					case n > 1:
						return nil
					case stubborn:
						<-free
						return nil
					}
					<-ctx.Done()
					return ctx.Err()
				}}
				r := newRig(t, p)
				began := time.Now()
				var wg sync.WaitGroup
				for _, patience := range []time.Duration{200 * time.Millisecond, time.Second, time.Minute} {
					wg.Go(func() {
						ctx, cancel := context.WithTimeout(t.Context(), patience)
						defer cancel()
						isUnavailable(t, r.as(ctx, "alice", secretOf), context.DeadlineExceeded.Error())
						if took, want := time.Since(began), min(patience, IssueTimeout); took != want {
							t.Errorf("patience of %v: returned after %v", patience, took)
						}
					})
				}
				wg.Wait()
				if p.asked() != 1 {
					t.Errorf("asked %d times", p.asked())
				}
				pass(time.Second / 4)
				r.want("k2")
				if took := time.Since(began); took != IssueTimeout+time.Second/4 {
					t.Errorf("the next flight was at %v", took)
				}
				close(free)
				synctest.Wait()
				if stubborn && !p.values[2].Empty() {
					t.Error("what came too late was kept")
				}
				r.close()
				p.wiped(t)
			})
		})
	}
}

// Case 2: a caller who gives up takes nothing from the others.
func TestFirstCallerGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		p := &script{life: span, issue: func(ctx context.Context, r Request, _ int) error {
			if ctx.Value(key{}) != nil || ctx.Value(handleKey{}) != nil {
				t.Error("the flight sees the first caller's context")
			}
			if d, ok := ctx.Deadline(); !ok || time.Until(d) != IssueTimeout {
				t.Errorf("the flight's deadline is %v", d)
			}
			select {
			case <-time.After(2 * time.Second):
			case <-ctx.Done():
				return ctx.Err()
			}
			if string(r.Arguments) != `{"of":"alice"}` {
				t.Errorf("arguments %s", r.Arguments)
			}
			return nil
		}}
		r := newRig(t, p)
		ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), key{}, 1), time.Second)
		defer cancel()
		isUnavailable(t, r.as(ctx, "alice", secretOf), context.DeadlineExceeded.Error())
		pass(2 * time.Second)
		synctest.Wait()
		r.in.cache.mu.Lock()
		for e := range maps.Values(r.in.cache.entries) {
			if !e.current.credential("another call").Kept || e.current.credential("call of alice").Kept {
				t.Error("the record takes another call for the one that it was issued to")
			}
		}
		r.in.cache.mu.Unlock()
		r.want("k1")
		if p.asked() != 1 {
			t.Errorf("asked %d times", p.asked())
		}
		r.close()
	})
}

// Case 3: 2,000 calls at once on an empty cache.
func TestColdStampede(t *testing.T) {
	for _, keys := range []int{1, 100} {
		t.Run(fmt.Sprint(keys), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &script{life: span, issue: func(context.Context, Request, int) error {
					pass(10 * time.Millisecond)
					return nil
				}}
				r := newRig(t, p)
				r.in.cache.random = random
				var wg sync.WaitGroup
				for i := range 2000 {
					wg.Go(func() {
						if _, err := r.getAs(fmt.Sprint(i % keys)); err != nil {
							t.Error(err)
						}
					})
				}
				wg.Wait()
				if p.asked() != keys {
					t.Errorf("%d keys were asked for %d times", keys, p.asked())
				}
				soft := map[time.Duration]bool{}
				for _, e := range r.in.cache.entries {
					now := r.in.cache.clock().mono
					soft[e.current.life.soft] = true
					if left := e.current.life.soft - now; left < 6*span/10-time.Second || left > 8*span/10 {
						t.Errorf("soft in %v", left)
					}
				}
				if len(soft) < keys*9/10 {
					t.Errorf("%d credentials are renewed at only %d different times", keys, len(soft))
				}
				r.close()
				p.wiped(t)
			})
		})
	}
}

// Case 4: an issuer that throttles is not asked more because more ask, nor all at once
// when it is back.
func TestThrottlingIssuer(t *testing.T) {
	const keys = 100
	for name, test := range map[string]struct {
		fault error
		most  int
	}{
		"that says so":  {fmt.Errorf("%w: 429", ErrOutage), keys + 15}, // each once before it is known, then probes
		"that does not": {errors.New("Throttling"), 12 * keys},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var healthy atomic.Bool
				p := &script{life: span, issue: func(context.Context, Request, int) error {
					if healthy.Load() {
						return nil
					}
					return test.fault
				}}
				r := newRig(t, p)
				r.in.cache.random = random
				ask := func(rounds int) (failed int) {
					for range rounds {
						for k := range keys {
							if _, err := r.getAs(fmt.Sprint(k)); err != nil {
								failed++
							}
						}
						pass(100 * time.Millisecond)
					}
					return failed
				}
				if failed := ask(600); failed != 600*keys { // a minute
					t.Errorf("%d failed", failed)
				}
				if n := p.asked(); n > test.most || n < keys/20 {
					t.Errorf("asked %d times in a minute, at most %d are wanted", n, test.most)
				}
				healthy.Store(true)
				before := p.asked()
				ask(600)
				if failed := ask(1); failed != 0 {
					t.Errorf("a minute after the recovery %d calls failed", failed)
				}
				if n := p.asked() - before; n != keys {
					t.Errorf("after the recovery %d keys were asked for %d times", keys, n)
				}
				r.close()
			})
		})
	}
}

// Case 4: an attacker cannot open the circuit for others with requests that the issuer
// refuses.
func TestRefusedRequestsOpenNoCircuit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &script{life: span, issue: func(_ context.Context, r Request, _ int) error {
			if strings.Contains(r.Principal.Subject, "mallory") {
				return errors.New("AccessDenied")
			}
			return nil
		}}
		r := newRig(t, p)
		for i := range 50 {
			if _, err := r.getAs(fmt.Sprint("mallory", i)); err == nil {
				t.Fatal("got one")
			}
		}
		r.want("k51")
		r.close()
	})
}

// Cases 5 and 8: a handler that runs for hours always gets what is valid.
func TestLongHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &script{life: span}
		r := newRig(t, p)
		var first Value
		err := r.as(t.Context(), "alice", func(ctx context.Context) error {
			h, err := From(ctx)
			if err != nil {
				return err
			}
			for range 3 * 60 {
				m, err := h.Get(ctx, "n")
				if err != nil {
					return err
				}
				if left := time.Until(m.Expires); left < 90*time.Second-1 {
					t.Errorf("given out %v before its end", left)
				}
				if first.Empty() {
					first = m.Secret
				}
				pass(time.Minute)
			}
			if string(first.Reveal()) != "k1" {
				t.Error("overwritten under a handler that may still use it")
			}
			return nil
		})
		if err != nil || p.asked() < 12 || p.asked() > 18 {
			t.Errorf("%v, asked %d times", err, p.asked())
		}
		if !first.Empty() || !p.values[0].Empty() {
			t.Error("the first credential is still in memory")
		}
		r.close()
		p.wiped(t)
	})
}

// Case 8: what a failing refresh prolongs by itself is refused at its real end.
func TestExpiredIsNotProlonged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &script{life: -time.Second}
		r := newRig(t, p)
		_, err := r.get()
		isUnavailable(t, err, "has expired")
		r.close()
		p.wiped(t)
	})
}

// Case 10: a missing end, and one that is too far away.
func TestLifetimesAreCapped(t *testing.T) {
	for name, test := range map[string]struct{ life, most time.Duration }{
		"none": {0, maxAge}, "12 h": {12 * time.Hour, maxLife}, "5 s": {5 * time.Second, 5 * time.Second}, "100 years": {100 * 365 * 24 * time.Hour, maxLife},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &script{life: test.life}
				r := newRig(t, p)
				r.want("k1")
				for range 59 { // up to 59 %
					pass(test.most / 100)
					r.want("k1")
				}
				for range 41 {
					pass(test.most / 100)
					_, err := r.get()
					if err != nil {
						t.Error(err)
					}
				}
				r.want("k2")
				r.close()
			})
		})
	}
}

// Case 13: many principals.
func TestPrincipalsShareNothingAndTheCacheIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := leased{&script{life: span}}
		r := newRig(t, p)
		const principals = 10_000
		seen := make(map[string]bool, principals)
		for i := range principals {
			got, err := r.getAs(fmt.Sprint(i))
			if err != nil || seen[got] {
				t.Fatalf("%d: %q, %v", i, got, err)
			}
			seen[got] = true
		}
		synctest.Wait()
		c := r.in.cache
		c.mu.Lock()
		entries, live := len(c.entries), len(c.live)
		c.mu.Unlock()
		if entries != maxEntries || live != maxEntries || len(p.revocations()) != principals-maxEntries {
			t.Errorf("%d entries, %d secrets in memory, %d revoked", entries, live, len(p.revocations()))
		}
		if got, err := r.getAs(fmt.Sprint(principals - maxEntries)); err != nil || p.asked() != principals {
			t.Errorf("one that was used lately was thrown out: %q, %v", got, err)
		}
		r.close()
		if n := len(p.revocations()); n != principals {
			t.Errorf("%d of %d leases were revoked", n, principals)
		}
		p.wiped(t)
	})
}

// Case 13: a flood of different keys while the issuer hangs is refused, not kept.
func TestFullOfFlights(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running, most, refused, failed atomic.Int32
		p := &script{life: span, issue: func(ctx context.Context, _ Request, _ int) error {
			most.Store(max(most.Load(), running.Add(1)))
			defer running.Add(-1)
			<-ctx.Done()
			return ctx.Err()
		}}
		r := newRig(t, p)
		var wg sync.WaitGroup
		for i := range maxFlying + 100 {
			wg.Go(func() {
				_, err := r.getAs(fmt.Sprint(i))
				switch {
				case errors.Is(err, errFull):
					refused.Add(1)
				case errors.Is(err, errBusy), errors.Is(err, context.DeadlineExceeded):
					failed.Add(1)
				}
			})
		}
		wg.Wait()
		if refused.Load() != 100 || failed.Load() != maxFlying || most.Load() > maxAsked {
			t.Errorf("%d refused, %d failed, %d were under way at once", refused.Load(), failed.Load(), most.Load())
		}
		r.close()
	})
}

// TestIdleCredentialsGo: what nobody asks for does not stay in memory.
func TestIdleCredentialsGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := leased{&script{life: time.Hour}}
		r := newRig(t, p)
		r.want("k1")
		pass(idleAfter + sweepEvery)
		synctest.Wait()
		p.wiped(t)
		if got := p.revocations(); len(got) != 1 || len(r.in.cache.entries) != 0 || r.in.cache.timer != nil {
			t.Errorf("revoked %v, %d entries", got, len(r.in.cache.entries))
		}
		r.want("k2")
		r.close()
	})
}

// TestPlanFails: a plan that cannot be made gives nothing.
func TestPlanFails(t *testing.T) {
	for fault, test := range map[string]struct {
		plan   func(Request) (string, error)
		detail string
	}{
		"error":    {func(Request) (string, error) { return "x", errors.New("wildcard in argument") }, "wildcard"},
		"panic":    {func(Request) (string, error) { panic(marker) }, "panicked with a string"},
		"too long": {func(Request) (string, error) { return strings.Repeat("x", maxPlan+1), nil }, "at most 1024"},
	} {
		t.Run(fault, func(t *testing.T) {
			p := &script{plan: test.plan}
			r := newRig(t, p)
			_, err := r.get()
			isUnavailable(t, err, test.detail)
			if p.asked() != 0 {
				t.Error("asked all the same")
			}
			r.close()
		})
	}
}

// TestPlanEndsItsGoroutine: and with it the handler's; nothing stays locked.
func TestPlanEndsItsGoroutine(t *testing.T) {
	p := &script{plan: func(Request) (string, error) { runtime.Goexit(); return "", nil }}
	r := newRig(t, p)
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = r.get() })
	wg.Wait()
	p.plan = nil
	r.want("k1")
	r.close()
}

// TestHandleClosesWhileAProviderPlans: a plan that hangs cannot hang the call's end.
func TestHandleClosesWhileAProviderPlans(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		free := make(chan struct{})
		p := &script{plan: func(Request) (string, error) { <-free; return "", nil }}
		r := newRig(t, p)
		got := make(chan error, 1)
		if err := r.as(t.Context(), "alice", func(ctx context.Context) error {
			go func() { got <- secretOf(ctx) }()
			synctest.Wait()
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		close(free)
		if d := denialOf(<-got); d != "creds.closed" || p.asked() != 0 {
			t.Errorf("got %s, asked %d times", d, p.asked())
		}
		r.close()
	})
}

// TestProviderClosesWhatItIssued: a provider that closes, or hands out twice, a Value
// that it gave away makes calls fail, and not work with nothing.
func TestProviderClosesWhatItIssued(t *testing.T) {
	once := NewValue([]byte("k1"))
	p := sharing{once}
	r := newRig(t, p)
	r.want("k1")
	once.Close()
	_, err := r.get()
	isUnavailable(t, err, "issued nothing")
	r.close()
}

type sharing struct{ v Value }

func (sharing) Plan(Spec, Request) (string, error) { return "", nil }

func (s sharing) Issue(context.Context, Spec, Request) (Material, error) {
	return Material{Secret: s.v}, nil
}
