package bearer

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/internal/test/httpx"
	"github.com/mcpsec/mcpsec-go/internal/test/issuer"
	"github.com/mcpsec/mcpsec-go/transport/https"
)

// endpoint is the URL of the server under test.
const endpoint = "https://mcp.example.com/mcp"

// A clock stands still until it is told otherwise.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Now()} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// A rig is a verifier with its issuer.
type rig struct {
	*Verifier

	issuer *issuer.Issuer
	clock  *clock
}

func newRig(tb testing.TB, change ...func(*Config)) *rig {
	tb.Helper()
	i := issuer.New(tb)
	c := configFor(i)
	for _, f := range change {
		f(&c)
	}
	r := &rig{issuer: i, clock: newClock()}
	i.Now = r.clock.now // or a machine that is held up makes tokens from the future
	var err error
	if r.Verifier, err = newVerifier(c, r.clock.now); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		for _, i := range r.issuers {
			i.client.Close()
		}
	})
	return r
}

func configFor(i *issuer.Issuer) Config {
	return Config{
		Issuers:  []Issuer{{URL: i.URL, Roots: i.Roots, Private: true}},
		Audience: []string{endpoint},
	}
}

// request returns one with a token.
func request(tb testing.TB, scheme, token string) *http.Request {
	tb.Helper()
	r := httptest.NewRequestWithContext(tb.Context(), http.MethodPost, endpoint, http.NoBody)
	r.Header.Set("Authorization", scheme+" "+token)
	return r
}

// try judges a token.
func (r *rig) try(tb testing.TB, token string) (*https.Identity, error) {
	tb.Helper()
	return r.Authenticate(request(tb, "Bearer", token), nil)
}

func (r *rig) good(tb testing.TB, token string) *https.Identity {
	tb.Helper()
	id, err := r.try(tb, token)
	if err != nil {
		tb.Fatalf("refused: %v", explain(err))
	}
	return id
}

func (r *rig) refused(tb testing.TB, token, code, text string) *https.AuthError {
	tb.Helper()
	_, err := r.try(tb, token)
	return refusal(tb, err, http.StatusUnauthorized, code, text)
}

func refusal(tb testing.TB, err error, status int, code, text string) *https.AuthError {
	tb.Helper()
	e, ok := errors.AsType[*https.AuthError](err)
	if !ok {
		tb.Fatalf("no refusal: %v", err)
	}
	if e.Status != status || e.Code != code || e.Description != text {
		tb.Fatalf("refused as %d %q %q because of %v, want %d %q %q", e.Status, e.Code, e.Description, e.Cause, status, code, text)
	}
	return e
}

func explain(err error) error {
	if e, ok := errors.AsType[*https.AuthError](err); ok && e.Cause != nil {
		return e.Cause
	}
	return err
}

// watch runs Watch for the life of the test and returns what it tells.
func (r *rig) watch(tb testing.TB) (changed <-chan struct{}, faults <-chan error) {
	tb.Helper()
	told, bad := make(chan struct{}, 64), make(chan error, 64)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- r.Watch(ctx, func() { told <- struct{}{} }, func(err error) { bad <- err })
	}()
	tb.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			tb.Errorf("Watch returned %v", err)
		}
	})
	return told, bad
}

// leaf returns a client certificate for a SPIFFE ID.
func leaf(tb testing.TB, a *httpx.Authority, id string) *x509.Certificate {
	tb.Helper()
	return parse(tb, a.Issue(tb, id))
}

func parse(tb testing.TB, c tls.Certificate) *x509.Certificate {
	tb.Helper()
	x, err := x509.ParseCertificate(c.Certificate[0])
	if err != nil {
		tb.Fatal(err)
	}
	return x
}
