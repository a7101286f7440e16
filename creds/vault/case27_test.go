package vault

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/creds"
)

// Failure case 27: sealed, lease not renewable, token near its maximum life, revoked
// lease, redirect by a standby; and what lies beside them.

func (f *fake) leaseOf(t *testing.T, others ...*fake) (*Server, creds.Renewer, creds.Revoker) {
	t.Helper()
	s := newServer(t, f.appRole(), append([]*fake{f}, others...)...)
	p := s.Lease(Lease{Path: "database/creds/app"})
	closing(t, p)
	return s, p.(creds.Renewer), p.(creds.Revoker)
}

func mustIssue(t *testing.T, p creds.Provider) creds.Material {
	t.Helper()
	m, _, err := issue(t, p)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestSealedAndBack(t *testing.T) {
	t.Parallel()
	f := newFake()
	p := f.kvOf(t, KV{Mount: "secret", Path: "apps/db", Field: "key"})
	f.set(func() { f.sealed = true })
	_, _, err := issue(t, p)
	wantError(t, err, "HTTP 503 sealed", "unseal")
	f.set(func() { f.sealed = false })
	mustIssue(t, p)
}

func TestNodesThatDoNotServe(t *testing.T) {
	t.Parallel()
	for fault, breakNode := range map[string]func(*fake){
		"sealed":              func(f *fake) { f.sealed = true },
		"performance standby": func(f *fake) { f.status = 473 },
		"in recovery":         func(f *fake) { f.status = 472 },
		"unavailable":         func(f *fake) { f.status = 503 },
	} {
		standby, active := newFake(), newFake()
		breakNode(standby)
		p := newServer(t, active.appRole(), standby, active).KV(KV{Mount: "secret", Path: "apps/db", Field: "key"})
		closing(t, p)
		mustIssue(t, p)
		asked := len(standby.seen)
		mustIssue(t, p)
		if len(standby.seen) != asked {
			t.Errorf("%s: the active node is not remembered", fault)
		}
	}
}

func TestNodeThatIsGone(t *testing.T) {
	t.Parallel()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	f := newFake()
	s := New(Config{Addresses: []string{gone.URL, f.serve(t)}, Auth: f.appRole(), InsecureLoopback: true})
	s.now = f.now
	p := s.KV(KV{Mount: "secret", Path: "apps/db", Field: "key"})
	closing(t, p)
	mustIssue(t, p)
}

func TestRedirectToAConfiguredNodeIsFollowed(t *testing.T) {
	t.Parallel()
	standby, active := newFake(), newFake()
	s := New(Config{Addresses: []string{standby.serve(t), active.serve(t)}, Auth: active.appRole(), InsecureLoopback: true})
	s.now = active.now
	standby.redirect = s.conf.Addresses[1]
	p := s.KV(KV{Mount: "secret", Path: "apps/db", Field: "key"})
	closing(t, p)
	mustIssue(t, p)
}

func TestRedirectElsewhereIsRefused(t *testing.T) {
	t.Parallel()
	var stolen atomic.Int32
	thief := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { stolen.Add(1) }))
	t.Cleanup(thief.Close)
	standby, other := newFake(), newFake()
	standby.redirect = thief.URL
	p := newServer(t, standby.appRole(), standby, other).KV(KV{Mount: "secret", Path: "apps/db"})
	closing(t, p)
	_, _, err := issue(t, p)
	wantError(t, err, "HTTP 307", "not configured")
	if stolen.Load() != 0 || len(other.seen) != 0 {
		t.Errorf("the redirect was followed: %d, %v", stolen.Load(), other.seen)
	}
}

func TestRedirectsInACircleEnd(t *testing.T) {
	t.Parallel()
	a, b := newFake(), newFake()
	s := New(Config{Addresses: []string{a.serve(t), b.serve(t)}, Auth: a.appRole(), InsecureLoopback: true})
	a.redirect, b.redirect = s.conf.Addresses[1], s.conf.Addresses[0]
	p := s.KV(KV{Mount: "secret", Path: "apps/db"})
	closing(t, p)
	_, _, err := issue(t, p)
	wantError(t, err, "HTTP 307")
	if n := len(a.seen) + len(b.seen); n > 4 {
		t.Errorf("%d requests", n)
	}
}

func TestLeaseLives(t *testing.T) {
	t.Parallel()
	f := newFake()
	_, p, r := f.leaseOf(t)
	m := mustIssue(t, p)
	if !m.Expires.Equal(f.now().Add(10*time.Minute)) || m.Record.KeyID != "database/creds/app/L2" || len(m.Parts) != 1 {
		t.Fatalf("%+v", m)
	}
	before := string(m.Secret.Reveal())
	f.advance(7 * time.Minute)
	m2, err := p.Renew(t.Context(), creds.Spec{}, m)
	if err != nil || !m2.Expires.Equal(f.now().Add(10*time.Minute)) || string(m2.Secret.Reveal()) != before {
		t.Fatalf("%+v, %v", m2, err)
	}
	wipe(m)
	if m2.Secret.Empty() || m2.Parts[0].Empty() {
		t.Error("the renewed lease shares bytes with the old one")
	}
	if err := r.Revoke(t.Context(), creds.Spec{}, m2); err != nil {
		t.Fatal(err)
	}
	if _, leases := f.live(); leases != 0 {
		t.Errorf("%d leases are left", leases)
	}
	if err := r.Revoke(t.Context(), creds.Spec{}, m2); err != nil {
		t.Errorf("twice: %v", err)
	}
	_, err = p.Renew(t.Context(), creds.Spec{}, m2)
	wantError(t, err, "not one of ours")
}

func TestLeaseNearItsLongestLife(t *testing.T) {
	t.Parallel()
	f := newFake()
	_, p, _ := f.leaseOf(t)
	m := mustIssue(t, p)
	var err error
	for range 2 {
		f.advance(8 * time.Minute)
		if m, err = p.Renew(t.Context(), creds.Spec{}, m); err != nil {
			t.Fatal(err)
		}
	}
	f.advance(10*time.Minute - time.Second) // 26 of 30 minutes
	_, err = p.Renew(t.Context(), creds.Spec{}, m)
	wantError(t, err, "near its longest life")
	if next := mustIssue(t, p); next.Record.KeyID == m.Record.KeyID {
		t.Error("no new lease")
	}
}

func TestLeaseThatCannotBeRenewed(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.leaseRenewable = false
	_, p, _ := f.leaseOf(t)
	_, err := p.Renew(t.Context(), creds.Spec{}, mustIssue(t, p))
	wantError(t, err, "not renewable")
	if f.count("POST sys/leases/renew") != 0 {
		t.Error("it was asked for all the same")
	}
}

func TestLeaseThatAnOperatorRevoked(t *testing.T) {
	t.Parallel()
	f := newFake()
	_, p, r := f.leaseOf(t)
	m := mustIssue(t, p)
	f.set(func() { clear(f.leases) })
	_, err := p.Renew(t.Context(), creds.Spec{}, m)
	wantError(t, err, "lease_not_found")
	if err := r.Revoke(t.Context(), creds.Spec{}, m); err != nil {
		t.Error(err)
	}
}

func TestLeaseOfAMonthIsRefusedAndRevoked(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.leaseTTL, f.leaseMax, f.tokenTTL, f.tokenMax = 700*time.Hour, 700*time.Hour, 700*time.Hour, 700*time.Hour
	_, p, _ := f.leaseOf(t)
	_, _, err := issue(t, p)
	wantError(t, err, "life of", "lower the time to live")
	if _, leases := f.live(); leases != 0 {
		t.Errorf("%d leases are left", leases)
	}
}

func TestLeaseEndsWithItsToken(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.tokenTTL, f.tokenMax, f.tokenRenewable = 5*time.Minute, 5*time.Minute, false
	_, p, _ := f.leaseOf(t)
	m := mustIssue(t, p)
	if m.Expires.After(f.now().Add(5 * time.Minute)) {
		t.Errorf("expires %v after its token", m.Expires)
	}
	f.advance(4 * time.Minute) // the token is tired and cannot be renewed: a new login
	_, err := p.Renew(t.Context(), creds.Spec{}, m)
	wantError(t, err, "an earlier login")
	mustIssue(t, p)
	if n := f.count("POST auth/approle/login"); n != 2 {
		t.Errorf("%d logins", n)
	}
}

// Answers that are sound and about something else.
func TestAnswersAboutSomethingElse(t *testing.T) {
	t.Parallel()
	answering := func(f *fake, body string) {
		f.set(func() { f.raw = &raw{200, "application/json", body} })
	}
	f := newFake()
	pinned := f.kvOf(t, KV{Mount: "secret", Path: "apps/db", Field: "key", Version: 1})
	answering(f, `{"data":{"data":{"key":"`+canary+`"},"metadata":{"version":2}}}`)
	_, _, err := issue(t, pinned)
	wantError(t, err, "version 1 was asked for and 2 came")

	f = newFake()
	_, p, _ := f.leaseOf(t)
	for id, want := range map[string]string{
		"":                           "no lease",
		"database/creds/admin/L1":    "another path",
		"database/creds/app":         "another path",
		"database/creds/apple/L1":    "another path",
		"database/creds/app/../x/L1": "another path",
	} {
		answering(f, `{"lease_id":"`+id+`","lease_duration":60,"renewable":true,"data":{"password":"`+canary+`"}}`)
		_, _, err := issue(t, p)
		wantError(t, err, want)
	}
	f.set(func() { f.raw = nil })
	m := mustIssue(t, p)
	answering(f, `{"lease_id":"database/creds/app/other","lease_duration":600,"renewable":true}`)
	_, err = p.Renew(t.Context(), creds.Spec{}, m)
	wantError(t, err, "about another lease")
	answering(f, `{"lease_id":"`+m.Record.KeyID+`","lease_duration":9000000,"renewable":true}`)
	_, err = p.Renew(t.Context(), creds.Spec{}, m)
	wantError(t, err, "life of")
}

// A lease that its token cuts short is renewed with it, and not made anew each time.
func TestLeaseOfAShortToken(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.tokenTTL, f.leaseTTL, f.leaseMax = 3*time.Minute, time.Hour, 4*time.Hour
	_, p, _ := f.leaseOf(t)
	m := mustIssue(t, p)
	for range 5 {
		f.advance(2*time.Minute + time.Second)
		next, err := p.Renew(t.Context(), creds.Spec{}, m)
		if err != nil || !next.Expires.Equal(f.now().Add(3*time.Minute)) {
			t.Fatalf("%v, %v", next.Expires, err)
		}
		m = next
	}
	if _, leases := f.live(); leases != 1 || f.count("POST auth/approle/login") != 1 {
		t.Errorf("%d leases: %v", leases, f.seen)
	}
}

func TestTokenIsRenewedAndThenReplaced(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.tokenMax = 100 * time.Minute
	p := f.kvOf(t, KV{Mount: "secret", Path: "apps/db", Field: "key"})
	mustIssue(t, p)
	for _, step := range []struct {
		after            time.Duration
		logins, renewals int
	}{
		{30 * time.Minute, 1, 0}, {15 * time.Minute, 1, 1}, // 45 of 100 minutes: renewed to 100
		{35 * time.Minute, 1, 1}, {10 * time.Minute, 2, 2}, // 90 of 100: 10 minutes are not enough
		{2 * time.Hour, 3, 2}, // nobody called for two hours: it has expired
	} {
		f.advance(step.after)
		mustIssue(t, p)
		if l, r := f.count("POST auth/approle/login"), f.count("POST auth/token/renew-self"); l != step.logins || r != step.renewals {
			t.Errorf("after %v: %d logins and %d renewals, want %d and %d", step.after, l, r, step.logins, step.renewals)
		}
	}
}

func TestTiredTokenIsGoodWhileTheLoginFails(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.tokenRenewable = false
	p := f.kvOf(t, KV{Mount: "secret", Path: "apps/db", Field: "key"})
	mustIssue(t, p)
	f.set(func() { f.secretID = "changed" })
	f.advance(50 * time.Minute)
	mustIssue(t, p)
	f.advance(11 * time.Minute)
	_, _, err := issue(t, p)
	wantError(t, err, "invalid_role_or_secret_id")
}

func TestRevokedTokenIsReplacedOnce(t *testing.T) {
	t.Parallel()
	f := newFake()
	p := f.kvOf(t, KV{Mount: "secret", Path: "apps/db", Field: "key"})
	mustIssue(t, p)
	f.set(func() { clear(f.tokens) })
	mustIssue(t, p)
	if n := f.count("POST auth/approle/login"); n != 2 {
		t.Errorf("%d logins", n)
	}
}

func TestForbiddenPathIsNoStormOfLogins(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.denied["secret/data/apps/db"] = true
	p := f.kvOf(t, KV{Mount: "secret", Path: "apps/db", Field: "key"})
	for range 5 {
		_, _, err := issue(t, p)
		wantError(t, err, "permission_denied", "policies")
	}
	if n := f.count("POST auth/approle/login"); n != 1 {
		t.Errorf("%d logins", n)
	}
}

func TestTokenFileIsReadAgain(t *testing.T) {
	t.Parallel()
	f := newFake()
	file := filepath.Join(t.TempDir(), "token")
	write := func(token string) {
		if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	first, second := f.grant(time.Hour, time.Hour, "app"), f.grant(time.Hour, time.Hour, "app")
	write(first)
	p := newServer(t, Token{creds.File(file)}, f).KV(KV{Mount: "secret", Path: "apps/db", Field: "key"})
	mustIssue(t, p)
	write(second)
	f.set(func() { delete(f.tokens, first) })
	mustIssue(t, p)
	write("")
	_, _, err := issue(t, p)
	wantError(t, err, "empty")
	write(second)
	if err := p.(interface{ Close() error }).Close(); err != nil {
		t.Fatal(err)
	}
	if tokens, _ := f.live(); tokens != 1 {
		t.Error("a token that is not ours was revoked")
	}
}

func TestCloseRevokesTheLoginWithTheLastProvider(t *testing.T) {
	t.Parallel()
	f := newFake()
	s := newServer(t, f.appRole(), f)
	a, b := s.KV(KV{Mount: "secret", Path: "apps/db"}), s.Lease(Lease{Path: "database/creds/app"})
	mustIssue(t, a)
	mustIssue(t, b)
	for i, p := range []creds.Provider{a, a, b, b} { // a guard closes once for every grant
		if err := p.(interface{ Close() error }).Close(); err != nil {
			t.Fatal(err)
		}
		tokens, leases := f.live()
		if want := map[bool]int{true: 1, false: 0}[i < 2]; tokens != want || leases != want {
			t.Errorf("after %d: %d tokens, %d leases", i+1, tokens, leases)
		}
	}
}

func TestCloseWhileVaultIsGone(t *testing.T) {
	t.Parallel()
	f := newFake()
	p := newServer(t, f.appRole(), f).KV(KV{Mount: "secret", Path: "apps/db"})
	mustIssue(t, p)
	f.set(func() { f.sealed = true })
	err := p.(interface{ Close() error }).Close()
	wantError(t, err, "revoking the token", "sealed")
	if !strings.HasPrefix(err.Error(), "vault: ") {
		t.Error(err)
	}
}
