package https

import (
	"bytes"
	"context"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/mcpsec"
	"github.com/mcpsec/mcpsec-go/transport/https/pki"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// BenchmarkChain is a call of the current revision, without network and TLS: what the SDK
// costs behind the guard, and what it costs behind the whole chain.
func BenchmarkChain(b *testing.B) {
	dev, err := pki.Development(filepath.Join(b.TempDir(), "dev"))
	if err != nil {
		b.Fatal(err)
	}
	guard, err := mcpsec.New()
	if err != nil {
		b.Fatal(err)
	}
	server := mcp.NewServer(implementation, nil)
	echo := func(_ context.Context, _ *mcp.CallToolRequest, in lookArgs) (*mcp.CallToolResult, any, error) {
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: in.Text}}}, nil, nil
	}
	if err := mcpsec.AddTool(guard, server, &mcp.Tool{Name: "look"}, echo); err != nil {
		b.Fatal(err)
	}
	if err := guard.Install(server); err != nil {
		b.Fatal(err)
	}
	known := &tokens{gone: map[string]bool{}}
	id, err := known.Authenticate(request(b.Context(), ""), nil)
	if err != nil {
		b.Fatal(err)
	}
	s, err := New(Config{
		Guard: guard, Server: server, Certificates: dev, Tokens: cached{known, id}, Hosts: []string{"localhost"},
		Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		b.Fatal(err)
	}
	sink := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			b.Error(err)
		}
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = w.Write(answerEvent)
	})
	config := s.config
	config.Tokens = cached{known, id}
	whole, err := New(config)
	if err != nil {
		b.Fatal(err)
	}
	whole.stateless = sink
	for name, h := range map[string]http.Handler{
		"sdk": s.stateless, "chain+sdk": s.Handler(), "chain": http.HandlerFunc(whole.serveHTTP), "nothing": sink,
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			ctx := withConnection(b.Context(), nil)
			for b.Loop() {
				w := &memory{head: make(http.Header)}
				h.ServeHTTP(w, request(ctx, strings.Repeat("x", 100)))
				if w.code != 200 {
					b.Fatalf("%d %s", w.code, w.body.Bytes())
				}
			}
		})
	}
	if err := s.Shutdown(context.Background()); err != nil {
		b.Error(err)
	}
}

var answerEvent = event("message", []byte(`{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"x"}]}}`))

// cached is an issuer that knows its only token already.
type cached struct {
	*tokens

	id *Identity
}

// Authenticate returns the identity.
func (c cached) Authenticate(*http.Request, []*x509.Certificate) (*Identity, error) { return c.id, nil }

func request(ctx context.Context, text string) *http.Request {
	body := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"look","arguments":{"text":"` + text + `"},` + meta + `}}`
	ctx = context.WithValue(ctx, http.LocalAddrContextKey, net.Addr(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 443}))
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "/mcp", strings.NewReader(body))
	if err != nil {
		panic(err)
	}
	r.Host, r.RemoteAddr, r.RequestURI = "localhost", "127.0.0.1:9999", "/mcp"
	for i := 0; i < len(currentHeader); i += 2 {
		r.Header[currentHeader[i]] = []string{currentHeader[i+1]}
	}
	r.Header["Content-Type"] = []string{"application/json"}
	r.Header["Accept"] = []string{"application/json, text/event-stream"}
	r.Header["User-Agent"] = []string{"bench"}
	r.Header["Accept-Encoding"] = []string{"gzip"}
	return r
}

// memory is a response in memory.
type memory struct {
	head http.Header
	body bytes.Buffer
	code int
}

// Header is of [http.ResponseWriter].
func (m *memory) Header() http.Header { return m.head }

// WriteHeader is of [http.ResponseWriter].
func (m *memory) WriteHeader(code int) { m.code = code }

// Write is of [http.ResponseWriter].
func (m *memory) Write(b []byte) (int, error) {
	if m.code == 0 {
		m.code = 200
	}
	return m.body.Write(b)
}

// SetWriteDeadline is of [http.ResponseController].
func (*memory) SetWriteDeadline(time.Time) error { return nil }

// FlushError is of [http.ResponseController].
func (*memory) FlushError() error { return nil }
