package https

import (
	"context"
	"crypto/x509"
	"sync/atomic"
	"testing"
)

// fading are authorities that lose all their certificates.
type fading struct{ pool atomic.Pointer[x509.CertPool] }

// Pool returns nil when all are gone.
func (f *fading) Pool() *x509.CertPool { return f.pool.Load() }

// Watch reports nothing.
func (*fading) Watch(ctx context.Context, _ func(), _ func(error)) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestNoAuthoritiesTrustNobody(t *testing.T) {
	t.Parallel()
	fade := &fading{}
	r := newRig(t, func(c *Config) {
		fade.pool.Store(c.Certificates.(interface{ Pool() *x509.CertPool }).Pool())
		c.Tokens, c.Clients = nil, fade
	})
	r.client = r.httpClient("alice")
	header := []string{"Mcp-Protocol-Version", "2026-07-28", "Mcp-Method", "tools/call", "Mcp-Name", "look"}
	if a := r.do("POST", "/mcp", callBody("look"), header...); a.Status != 200 {
		t.Fatal(a.Status, string(a.Body))
	}
	fade.pool.Store(nil)
	if a := r.do("POST", "/mcp", callBody("look"), header...); a.Status != 403 {
		t.Errorf("at once: %d", a.Status)
	}
	r.server.changed()
	if a := r.do("POST", "/mcp", callBody("look"), header...); a.Status != 403 {
		t.Errorf("after a change: %d", a.Status)
	}
}
