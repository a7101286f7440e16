package creds

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A renewable script is a lease: Renew makes it live longer, Revoke ends it.
type renewable struct {
	leased
	renew func(m Material) (Material, error)
	n     *atomic.Int32
}

func (l renewable) Renew(_ context.Context, _ Spec, m Material) (Material, error) {
	l.n.Add(1)
	return l.renew(m)
}

func longer(m Material) (Material, error) {
	m.Expires = time.Now().Add(span)
	return m, nil // the very Values it was given
}

// TestLeaseIsRenewedUnderACall: the secret is the same, so are the calls' views of it.
func TestLeaseIsRenewedUnderACall(t *testing.T) {
	for name, renew := range map[string]func(Material) (Material, error){
		"returns what it was given": longer,
		"returns a copy":            func(m Material) (Material, error) { return longer(m.clone()) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := renewable{leased{&script{life: span}}, renew, new(atomic.Int32)}
				r := newRig(t, p)
				err := r.as(t.Context(), "alice", func(ctx context.Context) error {
					v, err := Secret(ctx, "n")
					if err != nil {
						return err
					}
					for range 60 {
						pass(time.Minute)
						r.want("k1") //nolint:contextcheck // another call
						if string(v.Reveal()) != "k1" {
							t.Fatal("the call lost its secret")
						}
					}
					return nil
				})
				if err != nil || p.asked() != 1 || p.n.Load() < 4 || len(p.revocations()) != 0 {
					t.Errorf("%v, issued %d times, renewed %d times, revoked %v", err, p.asked(), p.n.Load(), p.revocations())
				}
				r.close()
				if got := p.revocations(); !slices.Equal(got, []string{"id1"}) {
					t.Errorf("revoked %v", got)
				}
				p.wiped(t)
			})
		})
	}
}

// Case 27, generic part: a lease that cannot be renewed is replaced, and revoked when
// the last call that uses it is over, not before.
func TestLeaseIsReplaced(t *testing.T) {
	for name, renew := range map[string]func(Material) (Material, error){
		"error":          func(Material) (Material, error) { return Material{}, errors.New("lease is not renewable") },
		"panic":          func(Material) (Material, error) { panic(marker) },
		"nothing":        func(Material) (Material, error) { return Material{}, nil },
		"error and more": func(m Material) (Material, error) { return m, errors.New("lease not found") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := renewable{leased{&script{life: span}}, renew, new(atomic.Int32)}
				r := newRig(t, p)
				err := r.as(t.Context(), "alice", func(ctx context.Context) error {
					v, err := Secret(ctx, "n")
					pass(toSoft)
					r.want("k1") //nolint:contextcheck // another call
					synctest.Wait()
					r.want("k2") //nolint:contextcheck // another call
					if string(v.Reveal()) != "k1" || len(p.revocations()) != 0 {
						t.Errorf("revoked under the call: %v", p.revocations())
					}
					return err
				})
				synctest.Wait()
				if got := p.revocations(); err != nil || !slices.Equal(got, []string{"id1"}) {
					t.Errorf("%v, revoked %v", err, got)
				}
				r.close()
				p.wiped(t)
			})
		})
	}
}

// TestRenewalIsOfTheSameSecret: another one is revoked, and a new one issued.
func TestRenewalIsOfTheSameSecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{life: span}
		p := renewable{leased{s}, func(Material) (Material, error) { return s.material(99), nil }, new(atomic.Int32)}
		r := newRig(t, p)
		r.want("k1")
		pass(toSoft)
		r.want("k1")
		synctest.Wait()
		r.want("k2")
		if got := p.revocations(); !slices.Equal(got, []string{"id99", "id1"}) {
			t.Errorf("revoked %v", got)
		}
		r.close()
		p.wiped(t)
	})
}

// TestRenewedLeaseWasRefused: what the service refused while it was renewed does not
// come back.
func TestRenewedLeaseWasRefused(t *testing.T) {
	s := &script{}
	for name, renew := range map[string]func(Material) (Material, error){
		"same secret": longer,
		"another":     func(Material) (Material, error) { return longer(s.material(99)) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := renewable{leased{&script{life: span}}, func(m Material) (Material, error) {
					pass(time.Second)
					return renew(m)
				}, new(atomic.Int32)}
				r := newRig(t, p)
				r.want("k1")
				pass(toSoft)
				err := r.as(t.Context(), "alice", func(ctx context.Context) error {
					h, err := From(ctx)
					if err != nil {
						return err
					}
					m, err := h.Get(ctx, "n") // begins to renew
					if err != nil {
						return err
					}
					synctest.Wait()
					if p.n.Load() != 1 {
						t.Error("it is not being renewed")
					}
					return h.Report(m.Secret, errors.New("lease revoked"))
				})
				if err != nil {
					t.Fatal(err)
				}
				r.want("k2")
				r.close()
				p.wiped(t)
			})
		})
	}
	s.wiped(t)
}

// Case 26: what is issued for one call alone ends with the server as well.
func TestShutdownDuringACallsOwnIssue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{issue: func(ctx context.Context, _ Request, _ int) error {
			<-ctx.Done()
			return ctx.Err()
		}}
		r := newRig(t, ProviderFunc(s.Issue))
		got := make(chan error)
		go func() { got <- r.as(t.Context(), "alice", secretOf) }()
		synctest.Wait()
		began := time.Now()
		r.close()
		if took := time.Since(began); took != 0 {
			t.Errorf("Close took %v", took)
		}
		if d := denialOf(<-got); d != "creds.unavailable" && d != "creds.closed" {
			t.Errorf("the call got %s", d)
		}
	})
}

// Case 26: the server shuts down while a credential is refreshed.
func TestShutdownDuringRefresh(t *testing.T) {
	for name, test := range map[string]struct {
		stubborn bool
		took     time.Duration
		fault    string
	}{
		"the provider ends": {false, 0, ""}, "the provider does not end": {true, CloseTimeout, "did not end within"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				free := make(chan struct{})
				p := leased{&script{life: span, issue: func(ctx context.Context, _ Request, n int) error {
					switch {
					case n == 1:
					case test.stubborn:
						<-free
					default:
						<-ctx.Done()
						return ctx.Err()
					}
					return nil
				}}}
				r := newRig(t, p)
				r.want("k1")
				pass(toSoft)
				r.want("k1") // begins the refresh
				synctest.Wait()
				var held Value
				err := r.as(t.Context(), "alice", func(ctx context.Context) error {
					v, err := Secret(ctx, "n")
					held = v
					began := time.Now()
					closing := r.in.Close() //nolint:contextcheck // Close has a deadline of its own
					if took := time.Since(began); took != test.took {
						t.Errorf("Close took %v", took)
					}
					if test.fault == "" && closing != nil || test.fault != "" && (closing == nil || !strings.Contains(closing.Error(), test.fault)) {
						t.Errorf("Close: %v", closing)
					}
					if d := denialOf(secretOf(ctx)); d != "creds.closed" {
						t.Errorf("after Close: %s", d)
					}
					return err
				})
				if err != nil || !held.Empty() || !slices.Equal(p.revocations(), []string{"id1"}) {
					t.Errorf("%v, revoked %v, held %v", err, p.revocations(), !held.Empty())
				}
				p.wiped(t)
				close(free)
				synctest.Wait()
				p.wiped(t)
				if err := r.in.Close(); err != nil {
					t.Errorf("second Close: %v", err)
				}
			})
		})
	}
}

// Case 26: revocations that fail, hang or panic do not keep the server from ending,
// and are told.
func TestShutdownWithFailingRevocations(t *testing.T) {
	for name, test := range map[string]struct {
		revoke func(ctx context.Context) error
		took   time.Duration
		fault  string
	}{
		"error": {func(context.Context) error { return errors.New("sealed") }, 0, `id "id1" was not revoked: sealed`},
		"panic": {func(context.Context) error { panic(marker) }, 0, "panicked with a string"},
		"hangs": {func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, CloseTimeout, "d"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := failing{&script{life: span}, test.revoke}
				r := newRig(t, p)
				r.want("k1")
				began := time.Now()
				err := r.in.Close()
				if took := time.Since(began); took != test.took || err == nil || !strings.Contains(err.Error(), test.fault) || leaks(err.Error()) {
					t.Errorf("after %v: %v", took, err)
				}
				synctest.Wait()
				p.wiped(t)
			})
		})
	}
}

type failing struct {
	*script
	revoke func(context.Context) error
}

func (f failing) Revoke(ctx context.Context, _ Spec, _ Material) error { return f.revoke(ctx) }

// TestLateCredentialIsRevoked: what a provider returns after its time is not used, and
// does not live on at the issuer.
func TestLateCredentialIsRevoked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := leased{&script{life: span, issue: func(_ context.Context, _ Request, n int) error {
			if n == 1 {
				pass(2 * IssueTimeout) // whatever its context says
			}
			return nil
		}}}
		r := newRig(t, p)
		_, err := r.get()
		isUnavailable(t, err, context.DeadlineExceeded.Error())
		pass(time.Second)
		r.want("k2")
		pass(2 * IssueTimeout)
		synctest.Wait()
		if got := p.revocations(); !slices.Equal(got, []string{"id1"}) {
			t.Errorf("revoked %v", got)
		}
		r.want("k2")
		r.close()
		p.wiped(t)
	})
}

// TestCallsOwnCredentialIsRevoked: a provider that is asked for every call revokes when
// the call is over.
func TestCallsOwnCredentialIsRevoked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{}
		p := struct {
			ProviderFunc
			revoker
		}{s.Issue, leased{s}}
		r := newRig(t, p)
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				if _, err := r.get(); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		synctest.Wait()
		if s.asked() != 10 || len(s.revocations()) != 10 {
			t.Errorf("asked %d times, revoked %v", s.asked(), s.revocations())
		}
		s.wiped(t)
		r.close()
	})
}

type revoker interface {
	Revoke(ctx context.Context, s Spec, m Material) error
}
