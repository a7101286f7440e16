package bearer

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/internal/test/httpx"
	"github.com/mcpsec/mcpsec-go/internal/test/issuer"
)

// An unauthenticated flood causes at most one fetch a minute.
func TestFloodOfBadTokensCausesOneFetchAMinute(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	good := r.issuer.Token(t, endpoint, nil)
	r.good(t, good)
	before := r.issuer.Asked(issuer.JWKS)
	forged := r.issuer.Token(t, endpoint, claimset{"sub": "root"})
	forged = forged[:strings.LastIndex(forged, ".")+1]
	header := func(kid string) string {
		return enc(fmt.Sprintf(`{"alg":"ES256","typ":"at+jwt","kid":%q}`, kid))
	}
	body := strings.Split(forged, ".")[1]
	signature := "." + enc(strings.Repeat("x", 64))
	flood := func() {
		var all sync.WaitGroup
		for n := range 20 {
			all.Go(func() {
				for m := range 250 {
					for _, token := range []string{header(fmt.Sprintf("kid-%d-%d", n, m)) + "." + body + signature, forged + enc(fmt.Sprintf("%064d", n*1000+m))} {
						if _, err := r.try(t, token); err == nil {
							t.Error("a forged token was good")
						}
					}
				}
			})
		}
		all.Wait()
	}
	flood() // 10,000 tokens
	if n := r.issuer.Asked(issuer.JWKS) - before; n > 1 {
		t.Errorf("%d fetches", n)
	}
	r.clock.add(time.Minute)
	flood()
	if n := r.issuer.Asked(issuer.JWKS) - before; n > 2 {
		t.Errorf("%d fetches in two minutes", n)
	}
	r.good(t, good)
}

// The same while the issuer does not answer: nobody is let in, and it is asked no oftener.
func TestFloodWhileTheIssuerIsDown(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]issuer.Fault{
		"500": issuer.Status(http.StatusInternalServerError), "404": issuer.Status(http.StatusNotFound),
		"not JSON": issuer.Body("<html>"), "endless": issuer.Endless, "no keys": issuer.Body(`{"keys":[]}`),
		"members twice": issuer.Body(`{"keys":[],"keys":[]}`), "KEYS": issuer.Body(`{"KEYS":[]}`), "null": issuer.Body(`null`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.issuer.Fail(issuer.JWKS, fault)
			token := r.issuer.Token(t, endpoint, nil)
			for range 50 {
				_, err := r.try(t, token)
				refusal(t, err, http.StatusServiceUnavailable, "", textUnavailable)
			}
			if n := r.issuer.Asked(issuer.JWKS); n != 1 {
				t.Errorf("%d fetches", n)
			}
			r.issuer.Fail(issuer.JWKS, nil)
			r.clock.add(time.Minute)
			r.good(t, r.issuer.Token(t, endpoint, nil))
		})
	}
}

// An issuer whose only key was stolen takes it back, and has no other yet.
func TestWithdrawnLastKey(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	token := r.issuer.Token(t, endpoint, nil)
	id := r.good(t, token)
	r.issuer.Fail(issuer.JWKS, issuer.Body(`{"keys":null}`))
	if _, _, err := r.issuers[r.issuer.URL].keys.Refresh(t.Context()); err == nil || id.Still() != nil {
		t.Errorf("what is no set of keys withdraws them: %v", err)
	}
	r.issuer.Fail(issuer.JWKS, issuer.Body(`{"keys":[]}`))
	changed, faults, err := r.issuers[r.issuer.URL].keys.Refresh(t.Context())
	if err != nil || !changed || len(faults) == 0 {
		t.Errorf("changed %v, faults %v, %v", changed, faults, err)
	}
	if id.Still() == nil {
		t.Error("a stream of the withdrawn key goes on")
	}
	if _, err := r.try(t, token); err == nil {
		t.Error("a token of the withdrawn key is good")
	}
}

func TestHangingIssuerHoldsNobodyForLong(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.issuer.Fail(issuer.JWKS, issuer.Hang)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	req := request(t, "Bearer", r.issuer.Token(t, endpoint, nil))
	began := httpx.NewStopwatch(t)
	_, err := r.Authenticate(req, nil)
	refusal(t, err, http.StatusServiceUnavailable, "", textUnavailable)
	if took := began.Lived(); took > 20*time.Second {
		t.Errorf("held for %v", took)
	}
	_, err = r.Authenticate(req.WithContext(ctx), nil)
	refusal(t, err, http.StatusServiceUnavailable, "", textUnavailable)
}

func TestNewKeyIsFoundAndOldOneEnds(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	old := r.issuer.Key()
	token := r.issuer.Token(t, endpoint, nil)
	id := r.good(t, token)
	r.clock.add(time.Minute)
	r.issuer.Rotate(t, "ES256")
	fresh := r.good(t, r.issuer.Token(t, endpoint, nil)) // an unknown key causes a refresh
	r.good(t, token)
	r.issuer.Retire(old)
	if changed, _, err := r.issuers[r.issuer.URL].keys.Refresh(t.Context()); !changed || err != nil {
		t.Fatalf("changed %v, %v", changed, err)
	}
	e := r.refused(t, token, invalidToken, textInvalid)
	if !strings.Contains(e.Cause.Error(), "withdrawn") {
		t.Error(e.Cause)
	}
	if id.Still() == nil || fresh.Still() != nil {
		t.Errorf("old stream: %v, new: %v", id.Still(), fresh.Still())
	}
}

// A key that is replaced under its id is another key.
func TestKeyReplacedUnderItsID(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	old := r.issuer.Key()
	token := r.issuer.Token(t, endpoint, nil)
	id := r.good(t, token)
	k := issuer.NewKey(t, "ES256")
	k.ID = old.ID
	r.issuer.Publish(k)
	r.issuer.Retire(old)
	if _, _, err := r.issuers[r.issuer.URL].keys.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if id.Still() == nil {
		t.Error("the stream goes on")
	}
	r.refused(t, token, invalidToken, textInvalid)
}

func TestKeysAreBelievedForAWhileWhenTheIssuerIsDown(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) {
		c.Issuers[0].MaxLifetime = 12 * time.Hour
		c.Issuers[0].Stale = 30 * time.Minute
	})
	token := r.issuer.Token(t, endpoint, claimset{"exp": time.Now().Add(10 * time.Hour).Unix()})
	id := r.good(t, token)
	r.issuer.Fail(issuer.JWKS, issuer.Status(http.StatusInternalServerError))
	r.clock.add(29 * time.Minute)
	if _, _, err := r.issuers[r.issuer.URL].keys.Refresh(t.Context()); err == nil {
		t.Fatal("refreshed")
	}
	r.good(t, token)
	r.clock.add(2 * time.Minute)
	if _, err := r.try(t, token); err == nil || id.Still() == nil {
		t.Error("keys are believed for ever")
	}
	r.issuer.Fail(issuer.JWKS, nil)
	r.clock.add(time.Minute)
	r.good(t, r.issuer.Token(t, endpoint, claimset{"exp": time.Now().Add(10 * time.Hour).Unix()}))
}

func TestAllAlgorithms(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, alg := range []string{"RS256", "PS256", "ES256", "ES384", "EdDSA"} {
		r.issuer.Rotate(t, alg)
		r.good(t, r.issuer.Token(t, endpoint, nil))
		r.clock.add(time.Minute) // one refresh for each new key
	}
}

func TestStaticKeysNeedNoNetwork(t *testing.T) {
	t.Parallel()
	k := issuer.NewKey(t, "EdDSA")
	v, err := New(Config{Audience: []string{endpoint}, Issuers: []Issuer{{URL: "urn:test", Keys: set1(t, k.JWK())}}})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().Unix()
	claims := claimset{"iss": "urn:test", "aud": endpoint, "sub": "a", "iat": now, "exp": now + 60}
	r := &rig{Verifier: v}
	r.good(t, k.Sign(t, claimset{"typ": "at+jwt"}, claims))
	r.good(t, k.Sign(t, claimset{"typ": "application/at+JWT", "kid": nil}, claims))
	r.refused(t, k.Sign(t, claimset{"typ": "at+jwt", "kid": "x"}, claims), invalidToken, textInvalid)
}

func set1(tb testing.TB, keys ...claimset) []byte {
	tb.Helper()
	data, err := json.Marshal(claimset{"keys": keys})
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

func TestWatchRefreshesAndTells(t *testing.T) {
	t.Parallel()
	i := issuer.New(t)
	c := configFor(i)
	c.Issuers[0].Refresh = time.Second
	v, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{Verifier: v, issuer: i}
	changed, faults := r.watch(t)
	<-changed // the first keys
	old := i.Key()
	id := r.good(t, i.Token(t, endpoint, nil))
	i.Rotate(t, "ES256")
	i.Retire(old)
	for id.Still() == nil {
		<-changed
	}
	i.Fail(issuer.JWKS, issuer.Status(http.StatusBadGateway))
	if err := <-faults; !strings.Contains(err.Error(), "502") || !strings.Contains(err.Error(), i.URL) {
		t.Error(err)
	}
}

// Keys rotate while tokens are judged: no good token is ever refused.
func TestKeysRotateUnderLoad(t *testing.T) {
	t.Parallel()
	i := issuer.New(t)
	v, err := New(configFor(i)) // whose clock is the issuer's, however long it takes
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{Verifier: v, issuer: i}
	t.Cleanup(v.issuers[i.URL].client.Close)
	keys := r.issuers[r.issuer.URL].keys
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var use sync.RWMutex // held while a token of current is on its way
	current := r.issuer.Key()
	var load sync.WaitGroup
	var judged [4]int
	once := func() error {
		use.RLock()
		defer use.RUnlock()
		token := current.Sign(t, claimset{"typ": "at+jwt"}, r.issuer.Claims(endpoint, nil))
		_, err := r.try(t, token)
		return err
	}
	for n := range judged {
		load.Go(func() {
			for ctx.Err() == nil {
				if err := once(); err != nil {
					t.Errorf("refused: %v", explain(err))
					return
				}
				judged[n]++
			}
		})
	}
	refresh := func() {
		if changed, _, err := keys.Refresh(t.Context()); err != nil || !changed {
			t.Errorf("changed %v, %v", changed, err)
		}
	}
	for range 50 {
		// As issuers do: published, then used, and withdrawn after the last token of it.
		old, k := current, r.issuer.Rotate(t, "ES256")
		refresh()
		use.Lock()
		current = k
		use.Unlock()
		r.issuer.Retire(old)
		refresh()
	}
	cancel()
	load.Wait()
	t.Logf("judged %v through 50 rotations", judged)
	for n, count := range judged {
		if count == 0 {
			t.Errorf("caller %d judged nothing", n)
		}
	}
}
