package bearer

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/internal/test/httpx"
	"github.com/mcpsec/mcpsec-go/internal/test/issuer"
	"github.com/mcpsec/mcpsec-go/transport/https"
)

func thumbprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func TestCertificateBoundTokens(t *testing.T) {
	t.Parallel()
	a := httpx.NewAuthority(t)
	mine, theirs := leaf(t, a, "spiffe://example.com/a"), leaf(t, a, "spiffe://example.com/a")
	bound := claimset{"cnf": claimset{"x5t#S256": thumbprint(mine)}}
	tests := []struct {
		name     string
		required bool
		claims   claimset
		chain    []*x509.Certificate
		text     string // empty if it is good
	}{
		{"bound, with the certificate", false, bound, []*x509.Certificate{mine}, ""},
		{"bound, required", true, bound, []*x509.Certificate{mine}, ""},
		{"bound, stolen: another certificate of the same name", false, bound, []*x509.Certificate{theirs}, textInvalid},
		{"bound, stolen: without certificate", false, bound, nil, textInvalid},
		{"bound, the certificate is only in the chain", false, bound, []*x509.Certificate{theirs, mine}, textInvalid},
		{"bound by the hash in hex", false, claimset{"cnf": claimset{"x5t#S256": "ab"}}, []*x509.Certificate{mine}, textInvalid},
		{"unbound, where it is required", true, nil, []*x509.Certificate{mine}, textUnbound},
		{"bound to a key only, where a certificate is required", true, claimset{"cnf": claimset{"jkt": "x"}}, []*x509.Certificate{mine}, textUnbound},
		{"unbound, with a certificate", false, nil, []*x509.Certificate{mine}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, func(c *Config) { c.CertificateBound = test.required })
			token := r.issuer.Token(t, endpoint, test.claims)
			for range 2 { // the second time from the table
				_, err := r.Authenticate(request(t, "Bearer", token), test.chain)
				if test.text == "" {
					if err != nil {
						t.Error(explain(err))
					}
					continue
				}
				refusal(t, err, http.StatusUnauthorized, invalidToken, test.text)
			}
		})
	}
}

// A token that was good with its certificate is not good for the next without.
func TestBoundTokenIsJudgedEachTime(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	mine := leaf(t, httpx.NewAuthority(t), "spiffe://example.com/a")
	token := r.issuer.Token(t, endpoint, claimset{"cnf": claimset{"x5t#S256": thumbprint(mine)}})
	if _, err := r.Authenticate(request(t, "Bearer", token), []*x509.Certificate{mine}); err != nil {
		t.Fatal(explain(err))
	}
	r.refused(t, token, invalidToken, textInvalid)
}

// prove sends a token with a proof.
func (r *rig) prove(tb testing.TB, token string, proofs ...string) (*https.Identity, error) {
	tb.Helper()
	req := request(tb, "DPoP", token)
	for _, p := range proofs {
		req.Header.Add("DPoP", p)
	}
	return r.Authenticate(req, nil)
}

func TestProofsOfPossession(t *testing.T) {
	t.Parallel()
	good := func(tb testing.TB, k *issuer.Key, token string) string {
		tb.Helper()
		return k.Proof(tb, http.MethodPost, endpoint, token, nil)
	}
	changed := func(claims claimset) func(testing.TB, *issuer.Key, string) string {
		return func(tb testing.TB, k *issuer.Key, token string) string {
			tb.Helper()
			return k.Proof(tb, http.MethodPost, endpoint, token, claims)
		}
	}
	header := func(h claimset) func(testing.TB, *issuer.Key, string) string {
		return func(tb testing.TB, k *issuer.Key, token string) string {
			tb.Helper()
			all := claimset{"typ": "dpop+jwt", "kid": nil, "jwk": k.Bare()}
			maps.Copy(all, h)
			sum := sha256.Sum256([]byte(token))
			return k.Sign(tb, all, claimset{
				"jti": "x", "htm": "POST", "htu": endpoint, "iat": time.Now().Unix(), "ath": enc(string(sum[:])),
			})
		}
	}
	tests := []struct {
		name  string
		make  func(testing.TB, *issuer.Key, string) string
		cause string // empty if it is good
	}{
		{"good", good, ""},
		{"URL in capitals, with port", changed(claimset{"htu": "HTTPS://MCP.Example.com:443/mcp"}), ""},
		{"URL with needless escapes", changed(claimset{"htu": "https://mcp.example.com/%6dcp"}), ""},
		{"URL with query and fragment", changed(claimset{"htu": endpoint + "?a=b#c"}), ""},
		{"of another key", func(tb testing.TB, _ *issuer.Key, token string) string {
			tb.Helper()
			return good(tb, issuer.NewKey(tb, "ES256"), token)
		}, "another key"},
		{"another's key in the header", func(tb testing.TB, k *issuer.Key, token string) string {
			tb.Helper()
			forged := issuer.NewKey(tb, "ES256")
			sum := sha256.Sum256([]byte(token))
			return forged.Sign(tb, claimset{"typ": "dpop+jwt", "kid": nil, "jwk": k.Bare()}, claimset{
				"jti": "x", "htm": "POST", "htu": endpoint, "iat": time.Now().Unix(), "ath": enc(string(sum[:])),
			})
		}, "signature is wrong"},
		{"for another method", changed(claimset{"htm": "GET"}), "another method"},
		{"method in small letters", changed(claimset{"htm": "post"}), "another method"},
		{"for another host", changed(claimset{"htu": "https://other.example.com/mcp"}), "another URL"},
		{"for another path", changed(claimset{"htu": endpoint + "/x"}), "another URL"},
		{"path with a slash escaped", changed(claimset{"htu": "https://mcp.example.com%2Fmcp"}), "another URL"},
		{"over http", changed(claimset{"htu": "http://mcp.example.com/mcp"}), "another URL"},
		{"for a user's URL", changed(claimset{"htu": "https://a@mcp.example.com/mcp"}), "another URL"},
		{"no URL", changed(claimset{"htu": nil}), "another URL"},
		{"for another token", changed(claimset{"ath": enc(strings.Repeat("x", 32))}), "another token"},
		{"for no token (made for the token endpoint)", changed(claimset{"ath": nil}), "another token"},
		{"too old", changed(claimset{"iat": -2 * time.Minute}), "too old"},
		{"from the future", changed(claimset{"iat": time.Minute}), "from the future"},
		{"without time", changed(claimset{"iat": nil}), "no time"},
		{"without id", changed(claimset{"jti": nil}), "no jti"},
		{"with an endless id", changed(claimset{"jti": strings.Repeat("x", 300)}), "too long"},
		{"not a proof by its typ", header(claimset{"typ": "at+jwt"}), "no proof"},
		{"without key", header(claimset{"jwk": nil}), "no key"},
		{"with a private key", header(claimset{"jwk": claimset{"kty": "EC", "crv": "P-256", "x": "", "y": "", "d": "AA"}}), "private key"},
		{"with a symmetric key", header(claimset{"jwk": claimset{"kty": "oct", "k": "AA"}}), "symmetric key"},
		{"alg none", header(claimset{"alg": "none"}), "algorithm is not allowed"},
		{"HS256", header(claimset{"alg": "HS256"}), "algorithm is not allowed"},
		{"RS256 said of an EC key", header(claimset{"alg": "RS256"}), "not for this algorithm"},
		{"crit", header(claimset{"crit": []string{"x"}}), "not supported"},
		{"an access token as a proof", func(_ testing.TB, _ *issuer.Key, token string) string { return token }, "no key"},
		{"too long", changed(claimset{"x": strings.Repeat("x", 9000)}), "longer than"},
		{"rubbish", func(testing.TB, *issuer.Key, string) string { return "x" }, "three parts"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			k := issuer.NewKey(t, "ES256")
			token := r.issuer.Token(t, endpoint, claimset{"cnf": claimset{"jkt": k.Thumbprint(t)}})
			proof := test.make(t, k, token)
			_, err := r.prove(t, token, proof)
			if test.cause != "" {
				e := refusal(t, err, http.StatusUnauthorized, invalidProof, textProof)
				if !strings.Contains(e.Cause.Error(), test.cause) || e.Scheme != schemeDPoP {
					t.Errorf("as %s because of %v", e.Scheme, e.Cause)
				}
				return
			}
			if err != nil {
				t.Fatal(explain(err))
			}
			// The same proof again is a replay; another is not.
			_, err = r.prove(t, token, proof)
			e := refusal(t, err, http.StatusUnauthorized, invalidProof, textProof)
			if !strings.Contains(e.Cause.Error(), "used before") {
				t.Error(e.Cause)
			}
			if _, err := r.prove(t, token, good(t, k, token)); err != nil {
				t.Error(explain(err))
			}
		})
	}
}

func TestProofsByEveryKindOfKey(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, alg := range []string{"RS256", "PS256", "ES256", "ES384", "EdDSA"} {
		k := issuer.NewKey(t, alg)
		token := r.issuer.Token(t, endpoint, claimset{"cnf": claimset{"jkt": k.Thumbprint(t)}})
		if _, err := r.prove(t, token, k.Proof(t, http.MethodPost, endpoint, token, nil)); err != nil {
			t.Errorf("%s: %v", alg, explain(err))
		}
	}
}

func TestBoundTokensAreNotDowngraded(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	k := issuer.NewKey(t, "ES256")
	bound := r.issuer.Token(t, endpoint, claimset{"cnf": claimset{"jkt": k.Thumbprint(t)}})
	proof := func() string { return k.Proof(t, http.MethodPost, endpoint, bound, nil) }
	if _, err := r.prove(t, bound, proof()); err != nil {
		t.Fatal(explain(err))
	}
	if e := r.refused(t, bound, invalidToken, textInvalid); e.Scheme != schemeDPoP {
		t.Errorf("challenge of scheme %s", e.Scheme)
	}
	req := request(t, "Bearer", bound)
	req.Header.Set("DPoP", proof())
	_, err := r.Authenticate(req, nil)
	refusal(t, err, http.StatusUnauthorized, invalidToken, textInvalid)
	_, err = r.prove(t, bound)
	refusal(t, err, http.StatusUnauthorized, invalidProof, textProof)
	_, err = r.prove(t, bound, proof(), proof())
	refusal(t, err, http.StatusUnauthorized, invalidProof, textProof)
	unbound := r.issuer.Token(t, endpoint, nil)
	_, err = r.prove(t, unbound, k.Proof(t, http.MethodPost, endpoint, unbound, nil))
	refusal(t, err, http.StatusUnauthorized, invalidToken, textInvalid)
}

func TestProofsRequired(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.DPoP.Required = true })
	e := r.refused(t, r.issuer.Token(t, endpoint, nil), invalidToken, textUnbound)
	if e.Scheme != schemeDPoP {
		t.Errorf("challenge of scheme %s", e.Scheme)
	}
}

func TestNonces(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.DPoP.Nonces = true })
	k := issuer.NewKey(t, "ES256")
	token := r.issuer.Token(t, endpoint, claimset{"exp": time.Now().Add(time.Hour).Unix(), "cnf": claimset{"jkt": k.Thumbprint(t)}})
	try := func(nonce string) error {
		_, err := r.prove(t, token, k.Proof(t, http.MethodPost, endpoint, token, claimset{"nonce": nonce, "iat": r.clock.now().Unix()}))
		return err
	}
	e := refusal(t, try(""), http.StatusUnauthorized, wantNonce, textNonce)
	nonce := e.Nonce
	if nonce == "" || e.Scheme != schemeDPoP {
		t.Fatalf("nonce %q, scheme %s", nonce, e.Scheme)
	}
	for range 2 {
		if err := try(nonce); err != nil {
			t.Fatal(explain(err))
		}
		r.clock.add(5 * time.Minute)
	}
	next := refusal(t, try(nonce), http.StatusUnauthorized, wantNonce, textNonce).Nonce
	if next == nonce {
		t.Error("the nonce is given out for ever")
	}
	if err := try(next); err != nil {
		t.Error(explain(err))
	}
	other := newRig(t, func(c *Config) { c.DPoP.Nonces = true })
	if other.proofs.Nonce() == r.proofs.Nonce() {
		t.Error("two servers have one nonce")
	}
}

// Bound to both, a token needs both.
func TestTokenBoundToCertificateAndKey(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.CertificateBound, c.DPoP.Required = true, true })
	mine := leaf(t, httpx.NewAuthority(t), "spiffe://example.com/a")
	k := issuer.NewKey(t, "EdDSA")
	token := r.issuer.Token(t, endpoint, claimset{"cnf": claimset{"jkt": k.Thumbprint(t), "x5t#S256": thumbprint(mine)}})
	try := func(scheme, proof string, chain ...*x509.Certificate) error {
		req := request(t, scheme, token)
		if proof != "" {
			req.Header.Set("DPoP", proof)
		}
		_, err := r.Authenticate(req, chain)
		return err
	}
	proof := func() string { return k.Proof(t, http.MethodPost, endpoint, token, nil) }
	if err := try("DPoP", proof(), mine); err != nil {
		t.Error(explain(err))
	}
	refusal(t, try("DPoP", proof()), http.StatusUnauthorized, invalidToken, textInvalid)
	refusal(t, try("Bearer", "", mine), http.StatusUnauthorized, invalidToken, textInvalid)
	refusal(t, try("DPoP", "", mine), http.StatusUnauthorized, invalidProof, textProof)
}
