package bearer

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/internal/test/httpx"
	"github.com/mcpsec/mcpsec-go/internal/test/issuer"
)

// introspected turns introspection on; change may be nil.
func introspected(change func(*Introspection)) func(*Config) {
	return func(c *Config) {
		n := &Introspection{
			ClientID: issuer.Client,
			Secret:   func(context.Context) (string, error) { return issuer.Secret, nil },
		}
		if change != nil {
			change(n)
		}
		c.Issuers[0].Introspection = n
	}
}

func opaque(n *Introspection) { n.Opaque = true }

func TestRevokedTokenIsRefusedWhenTheAnswerIsOld(t *testing.T) {
	t.Parallel()
	r := newRig(t, introspected(nil))
	token := r.issuer.Token(t, endpoint, nil)
	r.issuer.Inform(token, claimset{"active": true, "sub": "alice"})
	id := r.good(t, token)
	r.issuer.Inform(token, nil)
	r.clock.add(3 * time.Second)
	r.good(t, token) // the answer is good for four seconds
	if n := r.issuer.Asked(issuer.Introspect); n != 1 {
		t.Errorf("asked %d times", n)
	}
	r.clock.add(time.Second)
	r.refused(t, token, invalidToken, textRevoked)
	if id.Still() == nil {
		t.Error("the stream goes on")
	}
	r.refused(t, token, invalidToken, textRevoked)
	if n := r.issuer.Asked(issuer.Introspect); n != 2 {
		t.Errorf("asked %d times: a token that was ended is asked about", n)
	}
}

func TestTokenThatWasNeverActive(t *testing.T) {
	t.Parallel()
	r := newRig(t, introspected(nil))
	r.refused(t, r.issuer.Token(t, endpoint, nil), invalidToken, textRevoked)
}

// Bad tokens never get as far as the issuer.
func TestForgedTokensAreNotAskedAbout(t *testing.T) {
	t.Parallel()
	r := newRig(t, introspected(nil))
	token := r.issuer.Token(t, endpoint, nil)
	r.refused(t, token[:len(token)-8]+"AAAAAAAA", invalidToken, textInvalid)
	if n := r.issuer.Asked(issuer.Introspect); n != 0 {
		t.Errorf("asked %d times", n)
	}
}

func TestFaultyIntrospection(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]issuer.Fault{
		"500": issuer.Status(http.StatusInternalServerError), "401": issuer.Status(http.StatusUnauthorized),
		"redirect": issuer.Redirect("https://127.0.0.1:1/"), "not JSON": issuer.Body("active"), "endless": issuer.Endless,
		"active a text": issuer.Body(`{"active":"true"}`), "active twice": issuer.Body(`{"active":false,"active":true}`),
		"ACTIVE": issuer.Body(`{"ACTIVE":true}`), "says nothing": issuer.Body(`{}`), "array": issuer.Body(`[{"active":true}]`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, introspected(nil))
			token := r.issuer.Token(t, endpoint, nil)
			r.issuer.Inform(token, claimset{"active": true})
			r.issuer.Fail(issuer.Introspect, fault)
			_, err := r.try(t, token)
			refusal(t, err, http.StatusServiceUnavailable, "", textUnavailable)

			// One that was good stays good for a while, and not longer.
			r.issuer.Fail(issuer.Introspect, nil)
			id := r.good(t, token)
			r.issuer.Fail(issuer.Introspect, fault)
			r.clock.add(20 * time.Second)
			r.good(t, token)
			if err := id.Still(); err != nil {
				t.Error(err)
			}
			r.clock.add(20 * time.Second)
			_, err = r.try(t, token)
			refusal(t, err, http.StatusServiceUnavailable, "", textUnavailable)
			if id.Still() == nil {
				t.Error("the stream goes on without an answer")
			}
		})
	}
}

func TestAnswerAboutAnotherTokenEndsIt(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]claimset{
		"subject": {"sub": "bob"}, "issuer": {"iss": "https://other.example"}, "client": {"client_id": "x"}, "id": {"jti": "x"},
		"binding": {"cnf": claimset{"jkt": "x"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, introspected(nil))
			token := r.issuer.Token(t, endpoint, nil)
			answer["active"] = true
			r.issuer.Inform(token, answer)
			r.refused(t, token, invalidToken, textRevoked)
		})
	}
}

func opaqueAnswer(r *rig, others claimset) claimset {
	answer := r.issuer.Claims(endpoint, others)
	answer["active"] = true
	if _, ok := others["token_type"]; !ok {
		answer["token_type"] = "Bearer"
	}
	return answer
}

func TestOpaqueTokens(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		claim claimset
		cause string
	}{
		{"good", nil, ""},
		{"good without iss and iat", claimset{"iss": nil, "iat": nil}, ""},
		{"of another issuer", claimset{"iss": "https://other.example"}, "another issuer"},
		{"for another audience", claimset{"aud": "https://other.example"}, "for others"},
		{"without audience", claimset{"aud": nil}, "for others"},
		{"without end", claimset{"exp": nil}, "no exp"},
		{"lives for a day", claimset{"exp": 24 * time.Hour}, "lives longer"},
		{"lives for a day, without iat", claimset{"iat": nil, "exp": 24 * time.Hour}, "lives longer"},
		{"refresh token", claimset{"token_type": "refresh_token"}, "no access token"},
		{"of no type", claimset{"token_type": ""}, "no access token"},
		{"nobody's", claimset{"sub": nil}, "no sub"},
		{"from the future", claimset{"nbf": time.Minute}, "not good yet"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, introspected(opaque))
			r.issuer.Inform("opaque-token", opaqueAnswer(r, test.claim))
			if test.cause == "" {
				id := r.good(t, "opaque-token")
				if id.Principal.Subject != "alice" || id.Principal.Issuer != r.issuer.URL {
					t.Errorf("principal %v", id.Principal)
				}
				return
			}
			e := r.refused(t, "opaque-token", invalidToken, textInvalid)
			if !strings.Contains(e.Cause.Error(), test.cause) {
				t.Errorf("because of %v", e.Cause)
			}
		})
	}
}

func TestOpaqueTokenKeepsItsIdentityAndEnds(t *testing.T) {
	t.Parallel()
	r := newRig(t, introspected(opaque))
	r.issuer.Inform("opaque-token", opaqueAnswer(r, nil))
	id := r.good(t, "opaque-token")
	for range 8 { // past the time for which a verification is believed
		r.clock.add(20 * time.Second)
		if r.good(t, "opaque-token") != id {
			t.Fatal("another identity: that of the stream would not be asked about")
		}
	}
	r.issuer.Inform("opaque-token", nil)
	r.clock.add(5 * time.Second)
	r.refused(t, "opaque-token", invalidToken, textRevoked)
	if id.Still() == nil {
		t.Error("the stream goes on")
	}
}

// A flood of opaque tokens that nobody knows costs the issuer a bounded rate of questions,
// and tokens in use nothing.
func TestFloodOfOpaqueTokensIsBounded(t *testing.T) {
	t.Parallel()
	r := newRig(t, introspected(opaque))
	r.issuer.Inform("opaque-token", opaqueAnswer(r, nil))
	r.good(t, "opaque-token")
	var flood sync.WaitGroup
	for n := range 8 {
		flood.Go(func() {
			for m := range 250 {
				if _, err := r.try(t, fmt.Sprintf("guess-%d-%d", n, m)); err == nil {
					t.Error("a guess was good")
				}
			}
		})
	}
	flood.Wait()
	if n := r.issuer.Asked(issuer.Introspect); n > 52 {
		t.Errorf("asked %d times in a second that has a rate of 50", n)
	}
	r.clock.add(5 * time.Second)
	r.good(t, "opaque-token")
	before := r.issuer.Asked(issuer.Introspect)
	for range 10 {
		r.refused(t, "guess-again", invalidToken, textInvalid)
	}
	if n := r.issuer.Asked(issuer.Introspect) - before; n != 1 {
		t.Errorf("the same guess was asked about %d times", n)
	}
}

func TestConcurrentRequestsShareOneQuestion(t *testing.T) {
	t.Parallel()
	r := newRig(t, introspected(nil))
	token := r.issuer.Token(t, endpoint, nil)
	r.issuer.Inform(token, claimset{"active": true})
	r.good(t, token)
	var asking, most atomic.Int32
	r.issuer.Fail(issuer.Introspect, func(w http.ResponseWriter, req *http.Request) {
		raised := asking.Add(1)
		defer asking.Add(-1)
		most.Store(max(most.Load(), raised))
		issuer.Body(`{"active":true}`)(w, req)
	})
	r.clock.add(10 * time.Second)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, err := r.try(t, token); err != nil {
				t.Error(explain(err))
			}
		})
	}
	all.Wait()
	if most.Load() != 1 {
		t.Errorf("%d questions at the same time", most.Load())
	}
}

// With Watch, a token that the issuer revoked ends its streams within five seconds, though
// no request comes.
func TestRevokedTokenIsOutWithinFiveSeconds(t *testing.T) {
	t.Parallel()
	i := issuer.New(t)
	c := configFor(i)
	introspected(nil)(&c)
	v, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{Verifier: v, issuer: i}
	changed, _ := r.watch(t)
	token, other := i.Token(t, endpoint, nil), i.Token(t, endpoint, nil)
	i.Inform(token, claimset{"active": true})
	i.Inform(other, claimset{"active": true})
	id, rest := r.good(t, token), r.good(t, other)
	i.Inform(token, nil)
	revoked := httpx.NewStopwatch(t)
	deadline := time.After(httpx.Patience)
	for id.Still() == nil {
		select {
		case <-changed:
		case <-deadline:
			t.Fatal("the stream goes on")
		}
	}
	took := revoked.Lived()
	t.Logf("out after %v", took)
	if took > 5*time.Second {
		t.Errorf("out after %v", took)
	}
	if !errors.Is(id.Still(), errRevoked) || rest.Still() != nil {
		t.Errorf("ended: %v, the other: %v", id.Still(), rest.Still())
	}
}
