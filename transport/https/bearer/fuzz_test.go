package bearer

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/internal/test/issuer"
	"github.com/mcpsec/mcpsec-go/transport/https"
)

// Whatever stands in the headers and the query, the answer is a refusal that may be sent.
func FuzzAuthenticate(f *testing.F) {
	k := issuer.NewKey(f, "ES256")
	v, err := New(Config{Audience: []string{endpoint}, Issuers: []Issuer{{URL: "urn:test", Keys: set1(f, k.JWK())}}})
	if err != nil {
		f.Fatal(err)
	}
	now := time.Now().Unix()
	claims := claimset{"iss": "urn:test", "aud": endpoint, "sub": "a", "iat": now, "exp": now + 3600, "cnf": claimset{"jkt": k.Thumbprint(f)}}
	token := k.Sign(f, claimset{"typ": "at+jwt"}, claims)
	f.Add("Bearer "+token, "", "")
	f.Add("DPoP "+token, k.Proof(f, http.MethodPost, endpoint, token, nil), "a=b")
	f.Add("bearer x", "x.y.z", "access_token=x")
	f.Fuzz(func(t *testing.T, authorization, proof, query string) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, endpoint, http.NoBody)
		r.Header.Set("Authorization", authorization)
		r.Header.Set("DPoP", proof)
		r.URL.RawQuery = query
		id, err := v.Authenticate(r, nil)
		if err == nil {
			if id.Principal.Subject != "a" || id.Secret() != token {
				t.Fatalf("let in as %+v", id.Principal)
			}
			return
		}
		e, ok := errors.AsType[*https.AuthError](err)
		if !ok || e.Status < http.StatusBadRequest || e.Description == "" {
			t.Fatalf("refused as %#v", err)
		}
	})
}

// What introspection answers is never good without saying so, nor without what a signed
// token would need.
func FuzzIntrospectionAnswer(f *testing.F) {
	c := withDefaults(Config{Audience: []string{endpoint}, Issuers: []Issuer{{URL: "https://login.example.com"}}})
	i := &authority{Issuer: &c.Issuers[0]}
	now := time.Now()
	good, err := json.Marshal(claimset{"active": true, "sub": "a", "aud": endpoint, "exp": now.Unix() + 60, "token_type": "Bearer"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"active":false}`))
	f.Add([]byte(`{"active":true,"active":false}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		answer, err := readActive(data)
		if err != nil {
			return
		}
		var usual struct {
			Active bool `json:"active"`
		}
		if err := json.Unmarshal(data, &usual); err != nil {
			t.Fatalf("another reader: %v", err)
		}
		read, err := i.readAnswer(answer, now)
		if err != nil {
			return
		}
		if read.Subject == "" || read.Expires == 0 || read.Issuer != i.URL || read.Expires.time().Sub(now) > 2*time.Hour {
			t.Errorf("accepted %+v", read)
		}
	})
}
