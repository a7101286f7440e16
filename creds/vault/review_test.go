package vault

import (
	"context"
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

// A node that accepts and never answers, or whose certificate has expired, is not asked
// first for ever.
func TestNodeThatHangsIsNotAskedForEver(t *testing.T) {
	t.Parallel()
	free := make(chan struct{})
	hung := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-free:
		}
	}))
	t.Cleanup(func() { close(free); hung.Close() })
	f := newFake()
	s := New(Config{Addresses: []string{hung.URL, f.serve(t)}, Auth: f.appRole(), InsecureLoopback: true})
	s.now = f.now
	p := s.KV(KV{Mount: "secret", Path: "apps/db", Field: "key"})
	closing(t, p)
	var err error
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		_, err = p.Issue(ctx, creds.Spec{}, creds.Request{})
		cancel()
	}
	if err != nil {
		t.Errorf("the other node is well, and after three requests still not asked: %v", err)
	}
}

func TestNodeWithABadCertificateIsNotAskedForEver(t *testing.T) {
	t.Parallel()
	untrusted := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(untrusted.Close)
	f := newFake()
	s := New(Config{Addresses: []string{untrusted.URL, f.serve(t)}, Auth: f.appRole(), InsecureLoopback: true})
	s.now = f.now
	p := s.KV(KV{Mount: "secret", Path: "apps/db", Field: "key"})
	closing(t, p)
	_, _, _ = issue(t, p)
	if _, _, err := issue(t, p); err != nil {
		t.Errorf("the other node is well and not asked: %v", err)
	}
}

// A login that is refused is no matter of policies.
func TestRefusedLoginNamesTheRightRemedy(t *testing.T) {
	t.Parallel()
	f := newFake()
	for name, auth := range map[string]Auth{
		"JWT":   JWT{Mount: "kubernetes", Role: "files", Token: secret("other.jwt.sig")},
		"token": Token{secret("s.revoked")},
	} {
		_, _, err := issue(t, newServer(t, auth, f).KV(KV{Mount: "secret", Path: "apps/db"}))
		if err == nil || strings.Contains(err.Error(), "the policies of the login must allow this path") {
			t.Errorf("%s: the remedy sends the operator to the policies: %v", name, err)
		}
	}
}

// The policy "default" allows neither to revoke nor much else: what the documentation
// promises of leases cannot be kept then, and the check has to say so.
func TestProbeFindsALoginThatCannotRevoke(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.denied["sys/leases/revoke"] = true
	_, p, _ := f.leaseOf(t)
	a, err := p.(creds.Prober).Probe(t.Context(), creds.Spec{})
	if err == nil && !strings.Contains(strings.Join(a.Notes, " "), "revoke") {
		t.Errorf("the probe is content: %+v", a)
	}
}

// An account of a month that could be neither used nor revoked: the operator must know.
func TestLeaseThatIsRefusedAndNotRevoked(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.leaseTTL, f.leaseMax, f.tokenTTL, f.tokenMax = 700*time.Hour, 700*time.Hour, 700*time.Hour, 700*time.Hour
	f.denied["sys/leases/revoke"] = true
	_, p, _ := f.leaseOf(t)
	_, _, err := issue(t, p)
	wantError(t, err, "life of", "revok")
}

// A word in a path is no state of the server.
func TestPathIsNoState(t *testing.T) {
	t.Parallel()
	if code := refusal([]byte(`{"errors":["no handler for route \"kv/sealed-notes/data/a\". route entry not found."]}`)); code != "no_such_mount" {
		t.Errorf("code %q", code)
	}
	for _, text := range []string{"Vault is sealed", "Vault is sealed\n", "error during sealed check: Vault is sealed"} {
		if code := refusal([]byte(`{"errors":["` + strings.ReplaceAll(text, "\n", `\n`) + `"]}`)); code != "sealed" {
			t.Errorf("%q: code %q", text, code)
		}
	}
}

// Parts are how the record finds a piece of the document.
func TestPartsOfANestedDocument(t *testing.T) {
	t.Parallel()
	m, err := material([]byte(`{"db":{"user":"u","password":"`+canary+`"},"keys":["`+canary+`-2"],"pin":12345678}`), "")
	if err != nil {
		t.Fatal(err)
	}
	var parts []string
	for _, p := range m.Parts {
		parts = append(parts, string(p.Reveal()))
	}
	all := strings.Join(parts, " ") + " "
	for _, want := range []string{canary + " ", canary + "-2 ", "12345678 "} {
		if !strings.Contains(all, want) {
			t.Errorf("the record cannot find %q: parts %q", want, parts)
		}
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
