package bearer

import (
	"context"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcpsec/mcpsec-go/internal/test/httpx"
	"github.com/mcpsec/mcpsec-go/internal/test/issuer"
	"github.com/mcpsec/mcpsec-go/transport/https"
)

// An issuer that does not answer must not keep another's tokens from being asked about.
func TestSlowIssuerDoesNotDelayRevocationAtAnother(t *testing.T) {
	t.Parallel()
	quick, slow := issuer.New(t), issuer.New(t)
	c := configFor(quick)
	c.Issuers = append(c.Issuers, configFor(slow).Issuers...)
	for n := range c.Issuers {
		c.Issuers[n].Introspection = &Introspection{
			ClientID: issuer.Client, Secret: func(context.Context) (string, error) { return issuer.Secret, nil },
		}
	}
	v, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{Verifier: v, issuer: quick}
	for range 4 * maxKnown {
		token := slow.Token(t, endpoint, nil)
		slow.Inform(token, claimset{"active": true})
		r.good(t, token)
	}
	ids := make(map[string]*https.Identity)
	for range 8 { // the order of a round is random
		token := quick.Token(t, endpoint, nil)
		quick.Inform(token, claimset{"active": true})
		ids[token] = r.good(t, token)
	}
	r.watch(t)
	slow.Fail(issuer.Introspect, func(w http.ResponseWriter, req *http.Request) {
		_, _ = io.Copy(io.Discard, req.Body)
		issuer.Hang(w, req)
	})
	for slow.Asked(issuer.Introspect) < 4*maxKnown+maxKnown { // all places of a round are taken
		<-time.After(50 * time.Millisecond)
	}
	revoked := httpx.NewStopwatch(t)
	for token := range ids {
		quick.Inform(token, nil)
	}
	for _, id := range ids {
		for id.Still() == nil {
			if revoked.Lived() > 5*time.Second {
				t.Fatal("the stream goes on after 5s")
			}
			<-time.After(50 * time.Millisecond)
		}
	}
	t.Logf("out after %v", revoked.Lived())
}

// A token that the issuer calls DPoP must not pass as a bearer token because the key is missing.
func TestOpaqueDPoPTokenWithoutKeyIsRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t, introspected(opaque))
	r.issuer.Inform("opaque-token", opaqueAnswer(r, claimset{"token_type": "DPoP"}))
	r.refused(t, "opaque-token", invalidToken, textInvalid)
}

// A Secret that waits for its context holds nobody for long.
func TestSecretThatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := issuer.NewKey(t, "EdDSA")
		v, err := New(Config{Audience: []string{endpoint}, Issuers: []Issuer{{URL: "https://a.example", Keys: set1(t, k.JWK()), Introspection: &Introspection{
			URL: "https://a.example/i", ClientID: "a", Opaque: true,
			Secret: func(ctx context.Context) (string, error) {
				select {
				case <-ctx.Done():
					return "", ctx.Err()
				case <-time.After(time.Hour):
					return "", nil
				}
			},
		}}}})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		_, err = v.Authenticate(request(t, "Bearer", "opaque"), nil)
		refusal(t, err, http.StatusServiceUnavailable, "", textUnavailable)
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("held for %v", took)
		}
	})
}
