package dpop

import (
	"net/http"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/internal/test/issuer"
	"github.com/mcpsec/mcpsec-go/transport/https/bearer/internal/jose"
)

const target = "https://mcp.example.com/mcp"

// Nothing that a sender without the key writes is a proof, and nothing makes us stumble.
func FuzzCheck(f *testing.F) {
	k := issuer.NewKey(f, "ES256")
	now := time.Now()
	proof := k.Proof(f, http.MethodPost, target, "token", nil)
	f.Add(proof, target)
	f.Add("a.b.c", "https://a.example/%41?x#y")
	f.Add(issuer.NewKey(f, "EdDSA").Proof(f, http.MethodPost, target, "token", nil), "https://[::1]:443")
	f.Fuzz(func(t *testing.T, text, address string) {
		c := New(Checker{Algorithms: jose.Default(), Window: time.Minute, Now: func() time.Time { return now }})
		err := c.Check(text, Request{Method: http.MethodPost, URL: target, Token: "token", Thumbprint: k.Thumbprint(t)})
		if err == nil && text != proof {
			t.Errorf("accepted %q", text)
		}
		once, err := Normalize(address)
		if err != nil {
			return
		}
		twice, err := Normalize(once)
		if err != nil || twice != once {
			t.Errorf("%q is %q, and that %q (%v)", address, once, twice, err)
		}
	})
}
