// Package httpx speaks MCP over HTTP on the loopback in tests, also in ways that
// no honest client would.
package httpx

import (
	"context"
	"crypto/tls"
	"maps"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Patience bounds every wait of a test. It is long because it passes only when a
// test fails, and the machine may be busy.
const Patience = 30 * time.Second

// Revisions of the protocol: the last with sessions and the first without.
const (
	Sessions    = "2025-11-25"
	Sessionless = "2026-07-28"
)

// Serve serves h on the loopback for the life of the test, ends the sessions of s
// with it, and returns a peer that knows nothing but the address.
func Serve(tb testing.TB, s *mcp.Server, h http.Handler) *Peer {
	tb.Helper()
	return serve(tb, s, h, nil)
}

// ServeTLS is Serve over TLS. The peer has no certificate: see [Peer.WithCertificate].
func ServeTLS(tb testing.TB, s *mcp.Server, h http.Handler, conf *tls.Config) *Peer {
	tb.Helper()
	return serve(tb, s, h, conf)
}

func serve(tb testing.TB, s *mcp.Server, h http.Handler, conf *tls.Config) *Peer {
	tb.Helper()
	ts := httptest.NewUnstartedServer(h)
	if conf != nil {
		ts.TLS = conf
		ts.StartTLS()
	} else {
		ts.Start()
	}
	tb.Cleanup(func() {
		ts.CloseClientConnections()
		for ss := range s.Sessions() {
			_ = ss.Close() // the test is over
		}
		ts.Close()
	})
	p := &Peer{URL: ts.URL, HTTP: ts.Client(), Header: make(http.Header)}
	tb.Cleanup(p.HTTP.CloseIdleConnections)
	return p
}

// Bearer puts the SDK's own token check in front of h. Tokens are looked up in the
// table; any other is refused.
func Bearer(h http.Handler, tokens map[string]*auth.TokenInfo) http.Handler {
	verify := func(_ context.Context, token string, _ *http.Request) (*auth.TokenInfo, error) {
		info, ok := tokens[token]
		if !ok {
			return nil, auth.ErrInvalidToken
		}
		own := *info
		own.Extra = maps.Clone(info.Extra)
		return &own, nil
	}
	return auth.RequireBearerToken(verify, nil)(h)
}

// Token is what a verifier makes of an access token.
func Token(issuer, subject string, scopes ...string) *auth.TokenInfo {
	return &auth.TokenInfo{
		UserID: subject, Scopes: scopes, Expiration: time.Now().Add(time.Hour),
		Extra: map[string]any{"iss": issuer, "sub": subject},
	}
}

// Connect connects the SDK's own client with the peer's headers on every request.
func (p *Peer) Connect(tb testing.TB, opts *mcp.ClientOptions) *mcp.ClientSession {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), Patience)
	defer cancel()
	own := *p.HTTP
	own.Transport = &headers{p, p.HTTP.Transport}
	cs, err := mcp.NewClient(&mcp.Implementation{Name: "httpx", Version: "1"}, opts).Connect(ctx, &mcp.StreamableClientTransport{
		Endpoint: p.URL, HTTPClient: &own, MaxRetries: -1,
	}, nil)
	if err != nil {
		tb.Fatalf("connecting: %v", err)
	}
	tb.Cleanup(func() { _ = cs.Close() }) // what it may say is not under test
	return cs
}

type headers struct {
	peer *Peer
	next http.RoundTripper
}

func (h *headers) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	h.peer.mu.Lock()
	maps.Copy(r.Header, h.peer.Header)
	h.peer.mu.Unlock()
	return h.next.RoundTrip(r)
}
