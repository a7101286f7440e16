// Package site runs the TLS listener in the process of a test, with certificates from files
// and tokens from an issuer, both of which rotate; and beside it what the SDK offers by
// itself, so that one test body shows a fault and its absence.
package site

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/internal/test/httpx"
	"github.com/mcpsec/mcpsec-go/internal/test/issuer"
	"github.com/mcpsec/mcpsec-go/internal/test/testpki"
	"github.com/mcpsec/mcpsec-go/mcpsec"
	"github.com/mcpsec/mcpsec-go/transport/https"
	"github.com/mcpsec/mcpsec-go/transport/https/bearer"
	"github.com/mcpsec/mcpsec-go/transport/https/pki"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// A Plan is what a site is made of. The zero value has all: client certificates, tokens,
// every revision, both transports, and a tool that says what it is told.
type Plan struct {
	Options  *mcp.ServerOptions
	Controls []mcpsec.Control
	// Tools adds to the server: with the guard, or with nil on the bare SDK.
	Tools func(g *mcpsec.Guard, s *mcp.Server)
	// Change changes the configuration last.
	Change func(*https.Config)
	// Bearer changes that of the tokens.
	Bearer func(*bearer.Config)
}

// A Site is a listener under test.
type Site struct {
	URL      string // "https://localhost:PORT"
	Addr     string
	Listener *https.Server
	MCP      *mcp.Server
	Issuer   *issuer.Issuer
	Record   *httpx.Record
	Tokens   *bearer.Verifier
	Log      *Log

	files     files
	pair      *pki.Pair
	bundle    *pki.Bundle
	denied    *pki.Denied
	mu        sync.Mutex
	first     *testpki.Authority
	authority *testpki.Authority // the newest
	roots     *x509.CertPool
	stop      context.CancelFunc
	ended     chan struct{}
}

// New starts a site. It ends with the test.
func New(tb testing.TB, p Plan) *Site {
	tb.Helper()
	s := &Site{files: files{tb.TempDir()}, authority: newAuthority(tb), roots: x509.NewCertPool(), Record: &httpx.Record{}, Log: &Log{}, ended: make(chan struct{})}
	s.first = s.authority
	s.roots.AddCert(s.authority.Cert)
	s.files.pair(tb, "server", serverOf(tb, s.authority))
	s.files.bundle(tb, s.authority)
	s.Deny(tb)

	guard, err := mcpsec.New(append([]mcpsec.Control{s.Record.At(mcpsec.StageAudit)}, p.Controls...)...)
	must(tb, err)
	s.MCP = mcp.NewServer(&mcp.Implementation{Name: "site", Version: "1"}, p.Options)
	must(tb, mcpsec.AddTool(guard, s.MCP, &mcp.Tool{Name: "echo"}, Echo))
	if p.Tools != nil {
		p.Tools(guard, s.MCP)
	}
	must(tb, guard.Install(s.MCP))

	ln, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	must(tb, err)
	_, port, err := net.SplitHostPort(ln.Addr().String())
	must(tb, err)
	s.Addr = "localhost:" + port
	s.URL = "https://" + s.Addr
	config := s.config(tb, guard, port)
	s.tokens(tb, &config, p.Bearer)
	if p.Change != nil {
		p.Change(&config)
	}
	s.Listener, err = https.New(config)
	must(tb, err)
	s.serve(tb, ln)
	return s
}

func (s *Site) config(tb testing.TB, guard *mcpsec.Guard, port string) https.Config {
	tb.Helper()
	var err error
	s.pair, err = pki.Files(s.files.path("server.pem"), s.files.path("server.key"))
	must(tb, err)
	s.bundle, err = pki.CAFile(s.files.path("ca.pem"))
	must(tb, err)
	s.denied, err = pki.DenyList(s.files.path("denied"))
	must(tb, err)
	return https.Config{
		Guard: guard, Server: s.MCP, Certificates: s.pair, Clients: s.bundle, Peers: s.denied,
		Hosts: []string{s.Addr, "127.0.0.1:" + port}, Legacy: true, SSE: true, Log: slog.New(s.Log),
	}
}

func (s *Site) tokens(tb testing.TB, config *https.Config, change func(*bearer.Config)) {
	tb.Helper()
	s.Issuer = issuer.New(tb)
	c := bearer.Config{
		Issuers:  []bearer.Issuer{{URL: s.Issuer.URL, Roots: s.Issuer.Roots, Private: true, Refresh: time.Second}},
		Audience: []string{s.URL + "/mcp", s.URL + "/sse"},
	}
	if change != nil {
		change(&c)
	}
	var err error
	s.Tokens, err = bearer.New(c)
	must(tb, err)
	config.Tokens = s.Tokens
}

func (s *Site) serve(tb testing.TB, ln net.Listener) {
	tb.Helper()
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	go func() {
		defer close(s.ended)
		_ = s.Listener.Serve(ctx, ln) // it ends with the test
	}()
	tb.Cleanup(func() { s.Stop(tb) })
}

// Stop ends the listener and waits for it.
func (s *Site) Stop(tb testing.TB) {
	tb.Helper()
	s.stop()
	select {
	case <-s.ended:
	case <-time.After(httpx.Patience):
		tb.Error("the listener did not end")
	}
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// Say is what Echo is told and says.
type Say struct {
	Text string `json:"text,omitempty"`
}

// Echo is the tool of every site.
func Echo(_ context.Context, _ *mcp.CallToolRequest, in Say) (*mcp.CallToolResult, Say, error) {
	return nil, in, nil
}

// TLS is the configuration of a client with a certificate of the name.
func (s *Site) TLS(tb testing.TB, name string) *tls.Config {
	tb.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.trust(clientOf(tb, s.authority, name, time.Hour))
}

func (s *Site) trust(certificates ...*tls.Certificate) *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: s.roots}
	for _, own := range certificates {
		c.Certificates = append(c.Certificates, *own)
	}
	return c
}

// Token returns an access token of the subject for both endpoints.
func (s *Site) Token(tb testing.TB, subject string, claims map[string]any) string {
	tb.Helper()
	all := map[string]any{"sub": subject, "aud": []string{s.URL + "/mcp", s.URL + "/sse"}}
	maps.Copy(all, claims)
	return s.Issuer.Token(tb, s.URL+"/mcp", all)
}

// Peer returns a client of the name, with its certificate and a token, that speaks
// Streamable HTTP.
func (s *Site) Peer(tb testing.TB, name string) *httpx.Peer {
	tb.Helper()
	return s.PeerWith(tb, s.TLS(tb, name), s.Token(tb, name, nil))
}

// PeerWith returns a client with a configuration of TLS and a token, if any.
func (s *Site) PeerWith(tb testing.TB, config *tls.Config, token string) *httpx.Peer {
	tb.Helper()
	t := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
	tb.Cleanup(t.CloseIdleConnections)
	p := &httpx.Peer{URL: s.URL + "/mcp", HTTP: &http.Client{Transport: t}, Header: make(http.Header)}
	if token != "" {
		p.Header.Set("Authorization", "Bearer "+token)
	}
	return p
}

// ClientFiles writes a certificate of the name for another process, and returns the files of
// the authority, the certificate and the key.
func (s *Site) ClientFiles(tb testing.TB, name string) (authority, cert, key string) {
	tb.Helper()
	f := files{tb.TempDir()}
	s.mu.Lock()
	defer s.mu.Unlock()
	f.pair(tb, name, clientOf(tb, s.authority, name, time.Hour))
	f.bundle(tb, s.first, s.authority)
	return f.path("ca.pem"), f.path(name + ".pem"), f.path(name + ".key")
}
