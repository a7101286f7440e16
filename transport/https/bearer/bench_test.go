package bearer

import (
	"crypto/x509"
	"testing"

	"github.com/mcpsec/mcpsec-go/internal/test/httpx"
	"github.com/mcpsec/mcpsec-go/internal/test/issuer"
)

// The second and later requests with a token.
func BenchmarkAuthenticateCached(b *testing.B) {
	for _, name := range []string{"bearer", "certificate", "introspected"} {
		b.Run(name, func(b *testing.B) {
			var chain []*x509.Certificate
			r := newRig(b, func(c *Config) {
				if name == "introspected" {
					introspected(nil)(c)
				}
			})
			claims := claimset{"tid": "acme", "scope": "read write"}
			if name == "certificate" {
				chain = []*x509.Certificate{leaf(b, httpx.NewAuthority(b), "spiffe://example.com/a")}
				claims["cnf"] = claimset{"x5t#S256": thumbprint(chain[0])}
			}
			r.issuer.Rotate(b, "RS256")
			token := r.issuer.Token(b, endpoint, claims)
			r.issuer.Inform(token, claimset{"active": true})
			req := request(b, "Bearer", token)
			if _, err := r.Authenticate(req, chain); err != nil {
				b.Fatal(explain(err))
			}
			b.SetBytes(int64(len(token)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := r.Authenticate(req, chain); err != nil {
					b.Fatal(explain(err))
				}
			}
		})
	}
}

// The first request with a token.
func BenchmarkAuthenticateUncached(b *testing.B) {
	for _, alg := range []string{"RS256", "PS256", "ES256", "EdDSA"} {
		b.Run(alg, func(b *testing.B) {
			r := newRig(b)
			r.issuer.Rotate(b, alg)
			token := r.issuer.Token(b, endpoint, nil)
			r.good(b, token)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := r.verify(b.Context(), token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAuthenticateForged(b *testing.B) {
	r := newRig(b)
	token := r.issuer.Token(b, endpoint, nil)
	token = token[:len(token)-8] + "AAAAAAAA"
	req := request(b, "Bearer", token)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Authenticate(req, nil); err == nil {
			b.Fatal("good")
		}
	}
}

func BenchmarkProof(b *testing.B) {
	k := issuer.NewKey(b, "ES256")
	r := newRig(b)
	token := r.issuer.Token(b, endpoint, claimset{"cnf": claimset{"jkt": k.Thumbprint(b)}})
	req := request(b, "DPoP", token)
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		req.Header.Set("DPoP", k.Proof(b, "POST", endpoint, token, nil))
		b.StartTimer()
		if _, err := r.Authenticate(req, nil); err != nil {
			b.Fatal(explain(err))
		}
	}
}

func BenchmarkPermit(b *testing.B) {
	r := newRig(b, scoped)
	id := r.good(b, r.issuer.Token(b, endpoint, claimset{"scope": "mcp tools files:write"}))
	b.ReportAllocs()
	for b.Loop() {
		if err := r.Permit(id, "tools/call", "delete_file"); err != nil {
			b.Fatal(err)
		}
	}
}
