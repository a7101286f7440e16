package vault

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/creds"
)

func closeOf(t *testing.T, p creds.Provider) error {
	t.Helper()
	return p.(interface{ Close() error }).Close()
}

// Two thirds through its life a token that cannot be renewed is replaced. It still reads
// everything, so it is revoked with the one in use.
func TestCloseRevokesTheLoginBefore(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.tokenRenewable, f.tokenTTL, f.tokenMax = false, 30*24*time.Hour, 30*24*time.Hour
	p := newServer(t, f.appRole(), f).KV(KV{Mount: "secret", Path: "apps/db", Field: "key"})
	mustIssue(t, p)
	f.advance(21 * 24 * time.Hour)
	mustIssue(t, p)
	if err := closeOf(t, p); err != nil {
		t.Error(err)
	}
	if tokens, _ := f.live(); tokens != 0 {
		t.Errorf("%d tokens of ours live on after Close, for nine days", tokens)
	}
}

// A token that ended by itself needs no revoking, and its end is no fault.
func TestCloseAfterTheTokenEnded(t *testing.T) {
	t.Parallel()
	f := newFake()
	p := newServer(t, f.appRole(), f).KV(KV{Mount: "secret", Path: "apps/db", Field: "key"})
	mustIssue(t, p)
	f.advance(2 * time.Hour)
	if err := closeOf(t, p); err != nil {
		t.Error(err)
	}
}

// A login that may not revoke itself lives on: that is told.
func TestCloseTellsOfALoginThatMayNotRevokeItself(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.denied["auth/token/revoke-self"] = true
	p := newServer(t, f.appRole(), f).KV(KV{Mount: "secret", Path: "apps/db", Field: "key"})
	mustIssue(t, p)
	wantError(t, closeOf(t, p), "revoking the token", "permission_denied")
	f.set(func() { clear(f.denied) })
	p = newServer(t, f.appRole(), f).KV(KV{Mount: "secret", Path: "apps/db", Field: "key"})
	mustIssue(t, p)
	f.set(func() { clear(f.tokens) }) // an operator was quicker
	if err := closeOf(t, p); err != nil {
		t.Error(err)
	}
}

// A login that was under way when the last provider closed would live on.
func TestLoginUnderWayAtCloseIsRevoked(t *testing.T) {
	t.Parallel()
	f := newFake()
	arrived, free := make(chan struct{}), make(chan struct{})
	ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/login") {
			close(arrived)
			<-free
		}
		f.ServeHTTP(w, r)
	}))
	t.Cleanup(ts.Close)
	s := New(Config{Addresses: []string{ts.URL}, Auth: f.appRole(), InsecureLoopback: true})
	s.now = f.now
	p := s.KV(KV{Mount: "secret", Path: "apps/db", Field: "key"})
	done := make(chan error)
	go func() {
		_, err := p.Issue(t.Context(), creds.Spec{}, creds.Request{})
		done <- err
	}()
	<-arrived
	if err := closeOf(t, p); err != nil {
		t.Error(err)
	}
	close(free)
	if err := <-done; err == nil {
		t.Error("a secret was read after Close")
	}
	if tokens, _ := f.live(); tokens != 0 {
		t.Errorf("%d tokens live on", tokens)
	}
	if _, err := p.Issue(t.Context(), creds.Spec{}, creds.Request{}); err == nil {
		t.Error("a secret was read after Close")
	}
	if tokens, _ := f.live(); tokens != 0 {
		t.Errorf("%d tokens live on", tokens)
	}
}

// Everything at once, for the race detector.
func TestStorm(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.tokenTTL, f.tokenMax = 3*time.Minute, 5*time.Minute
	s := newServer(t, f.appRole(), f)
	k, l := s.KV(KV{Mount: "secret", Path: "apps/db", Field: "key"}), s.Lease(Lease{Path: "database/creds/app"})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 40 {
				switch {
				case i == 0:
					f.advance(20 * time.Second)
				case i == 1 && n%10 == 0:
					f.set(func() { clear(f.tokens) })
				case i%2 == 0:
					_, _ = k.Issue(t.Context(), creds.Spec{}, creds.Request{})
				default:
					m, err := l.Issue(t.Context(), creds.Spec{}, creds.Request{})
					if err != nil {
						continue
					}
					m, _ = l.(creds.Renewer).Renew(t.Context(), creds.Spec{}, m)
					if m.Record.KeyID != "" {
						_ = l.(creds.Revoker).Revoke(t.Context(), creds.Spec{}, m)
					}
				}
			}
		})
	}
	wg.Wait()
	_, _ = closeOf(t, k), closeOf(t, l)
	if tokens, leases := f.live(); tokens != 0 || leases != 0 {
		t.Errorf("%d tokens and %d leases live on", tokens, leases)
	}
}
