package httpx

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// A Peer is a client made by hand: it sends what it is told to send.
type Peer struct {
	URL  string
	HTTP *http.Client
	// Client makes the peer speak the sessionless revision under this name.
	Client string

	mu     sync.Mutex
	Header http.Header // sent with every message
}

// lastID numbers the requests of all peers: several may share a session.
var lastID atomic.Int64

// With returns a peer that sends further headers; the pairs are name and value.
func (p *Peer) With(pairs ...string) *Peer {
	p.mu.Lock()
	defer p.mu.Unlock()
	q := &Peer{URL: p.URL, HTTP: p.HTTP, Client: p.Client, Header: p.Header.Clone()}
	for i := 0; i+1 < len(pairs); i += 2 {
		q.Header.Set(pairs[i], pairs[i+1])
	}
	return q
}

// Set changes a header from now on, also for a connected SDK client.
func (p *Peer) Set(name, value string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.Header.Set(name, value)
}

// As returns a peer that speaks the sessionless revision and claims to be the client.
func (p *Peer) As(client string) *Peer {
	q := p.With("Mcp-Protocol-Version", Sessionless)
	q.Client = client
	return q
}

// WithCertificate returns a peer that shows the certificate.
func (p *Peer) WithCertificate(tb testing.TB, c tls.Certificate) *Peer {
	tb.Helper()
	transport, ok := p.HTTP.Transport.(*http.Transport)
	if !ok {
		tb.Fatalf("the peer's transport is a %T", p.HTTP.Transport)
	}
	transport = transport.Clone()
	transport.TLSClientConfig.Certificates = []tls.Certificate{c}
	tb.Cleanup(transport.CloseIdleConnections)
	q := p.With()
	q.HTTP = &http.Client{Transport: transport}
	return q
}

// Open initializes a session of the revision that has them and returns a peer
// inside it.
func (p *Peer) Open(tb testing.TB) *Peer {
	tb.Helper()
	a := p.Send(tb, "initialize", map[string]any{
		"protocolVersion": Sessions, "capabilities": map[string]any{},
		"clientInfo": map[string]any{"name": "httpx", "version": "1"},
	})
	if a.Status != http.StatusOK || a.Header.Get("Mcp-Session-Id") == "" {
		tb.Fatalf("initialize was answered with %d %s", a.Status, a.Body)
	}
	q := p.With("Mcp-Session-Id", a.Header.Get("Mcp-Session-Id"), "Mcp-Protocol-Version", Sessions)
	if a := q.Post(tb, `{"jsonrpc":"2.0","method":"notifications/initialized"}`); a.Status != http.StatusAccepted {
		tb.Fatalf("initialized was answered with %d %s", a.Status, a.Body)
	}
	return q
}

// CallTool calls a tool.
func (p *Peer) CallTool(tb testing.TB, name string, arguments map[string]any) *Answer {
	tb.Helper()
	return p.Send(tb, "tools/call", map[string]any{"name": name, "arguments": arguments})
}

// Send sends one request in the peer's revision.
func (p *Peer) Send(tb testing.TB, method string, params map[string]any) *Answer {
	tb.Helper()
	q, body := p.message(tb, method, params)
	return q.Post(tb, body)
}

// message writes a request, and in the sessionless revision also its mirror in
// _meta and headers.
func (p *Peer) message(tb testing.TB, method string, params map[string]any) (*Peer, string) {
	tb.Helper()
	q := p
	if p.Client != "" {
		params = maps.Clone(params)
		if params == nil {
			params = make(map[string]any)
		}
		params["_meta"] = map[string]any{
			mcp.MetaKeyProtocolVersion:    Sessionless,
			mcp.MetaKeyClientInfo:         map[string]any{"name": p.Client, "version": "1"},
			mcp.MetaKeyClientCapabilities: map[string]any{},
		}
		q = p.With("Mcp-Method", method)
		if name, ok := params["name"].(string); ok {
			q.Header.Set("Mcp-Name", name)
		}
	}
	body, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": lastID.Add(1), "method": method, "params": params})
	if err != nil {
		tb.Fatal(err)
	}
	return q, string(body)
}

// Post sends a body as it is and waits for the whole answer.
func (p *Peer) Post(tb testing.TB, body string) *Answer {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), Patience)
	defer cancel()
	a, err := p.post(ctx, body)
	if err != nil {
		tb.Fatalf("POST: %v", err)
	}
	return a
}

// Abandon sends a request that nobody waits for. The returned function breaks the
// connection; it may be called more than once.
func (p *Peer) Abandon(tb testing.TB, method string, params map[string]any) (leave func()) {
	tb.Helper()
	q, body := p.message(tb, method, params)
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = q.post(ctx, body) // it fails: that is its purpose
	}()
	leave = func() { cancel(); <-done }
	tb.Cleanup(leave)
	return leave
}

func (p *Peer) post(ctx context.Context, body string) (*Answer, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, p.URL, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	r.Header = p.Header.Clone()
	p.mu.Unlock()
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	res, err := p.HTTP.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }() // read to its end below
	raw, err := io.ReadAll(res.Body)
	return &Answer{Status: res.StatusCode, Header: res.Header, Body: raw}, err
}

// An Answer is what came back, whole.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Result decodes a JSON-RPC result into v, or returns the error that came in its
// place: a *[jsonrpc.Error], or what HTTP said.
func (a *Answer) Result(v any) error {
	body := a.Body
	for line := range bytes.Lines(a.Body) { // of an event stream the last message is the answer
		if data, ok := bytes.CutPrefix(line, []byte("data: ")); ok && len(bytes.TrimSpace(data)) > 0 {
			body = data
		}
	}
	var msg struct {
		Result json.RawMessage `json:"result"`
		Error  *jsonrpc.Error  `json:"error"`
	}
	switch err := json.Unmarshal(body, &msg); {
	case err != nil:
		return &StatusError{a.Status, string(a.Body)}
	case msg.Error != nil:
		return msg.Error
	case v == nil:
		return nil
	}
	return json.Unmarshal(msg.Result, v)
}

// A StatusError is an answer that is no JSON-RPC message.
type StatusError struct {
	Status int
	Body   string
}

func (e *StatusError) Error() string { return http.StatusText(e.Status) + ": " + e.Body }
