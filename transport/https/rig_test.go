package https

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/internal/test/httpx"
	"github.com/mcpsec/mcpsec-go/mcpsec"
	"github.com/mcpsec/mcpsec-go/transport/https/internal/stream"
	"github.com/mcpsec/mcpsec-go/transport/https/pki"
	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// A rig is a server on the loopback, with a tool "look" that answers with what it saw, and
// "park" that waits.
type rig struct {
	*testing.T
	server *Server
	mcp    *mcp.Server
	record *httpx.Record
	tokens *tokens
	dev    *pki.Local
	addr   string
	served chan error
	parked chan context.Context
	free   chan struct{}
	jam    atomic.Pointer[chan struct{}] // what the handler of a notification waits for
	end    context.CancelFunc

	client *http.Client
	clock  *clock // the server's, where a test has one
}

// tokens knows tokens by heart: "subject" or "subject/anything".
type tokens struct {
	mu      sync.Mutex
	gone    map[string]bool // revoked, by token
	expires map[string]time.Time
	need    string // scope without which nothing is permitted
	changed func()
}

func (k *tokens) Authenticate(r *http.Request, certs []*x509.Certificate) (*Identity, error) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return nil, &AuthError{Status: 401, Scheme: "Bearer", Scope: "mcp"}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.gone[token] || token == "bad" {
		return nil, &AuthError{Status: 401, Scheme: "Bearer", Code: "invalid_token", Description: `the token is no "good"`, Cause: io.ErrUnexpectedEOF}
	}
	if token == "down" {
		return nil, &AuthError{Status: 503, Cause: io.ErrClosedPipe}
	}
	subject, _, _ := strings.Cut(token, "/")
	expires, ok := k.expires[token]
	if !ok {
		expires = time.Now().Add(time.Hour)
	}
	id := &Identity{
		Principal: mcpsec.Principal{Rung: mcpsec.Token, Issuer: "https://issuer", Subject: subject},
		Token:     &auth.TokenInfo{Expiration: expires, Extra: map[string]any{"sub": subject, "iss": "https://issuer"}},
		Secret:    func() string { return token }, Certificates: certs, Expires: expires,
		Still: func() error {
			k.mu.Lock()
			defer k.mu.Unlock()
			if k.gone[token] {
				return errRevoked
			}
			return nil
		},
	}
	return id, nil
}

func (k *tokens) Permit(_ *Identity, _, name string) error {
	if k.need != "" && name == k.need {
		return &AuthError{Status: 403, Scheme: "Bearer", Code: "insufficient_scope", Scope: "admin"}
	}
	return nil
}

func (*tokens) Metadata(resource string) []byte {
	return []byte(`{"resource":` + strconv.Quote(resource) + `}`)
}

func (k *tokens) Watch(ctx context.Context, changed func(), _ func(error)) error {
	k.mu.Lock()
	k.changed = changed
	k.mu.Unlock()
	<-ctx.Done()
	return ctx.Err()
}

func (k *tokens) revoke(token string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.gone[token] = true
}

func (k *tokens) expire(token string, at time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.expires[token] = at
}

var errRevoked = errors.New("revoked")

type lookArgs struct {
	Text string `json:"text,omitempty"`
	Size int    `json:"size,omitempty"`
}

var implementation = &mcp.Implementation{Name: "rig", Version: "1"}

func newRig(t *testing.T, change func(*Config)) *rig {
	t.Helper()
	return newRigAt(t, time.Now, change)
}

// newRigAt is newRig with a clock of the server's.
func newRigAt(t *testing.T, now func() time.Time, change func(*Config)) *rig {
	t.Helper()
	dev, err := pki.Development(filepath.Join(t.TempDir(), "dev"))
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{
		T: t, record: &httpx.Record{}, dev: dev, served: make(chan error, 1),
		tokens: &tokens{gone: map[string]bool{}, expires: map[string]time.Time{}},
		parked: make(chan context.Context, 100), free: make(chan struct{}),
	}
	guard, err := mcpsec.New(r.record.At(mcpsec.StageAudit))
	if err != nil {
		t.Fatal(err)
	}
	r.mcp = mcp.NewServer(implementation, &mcp.ServerOptions{
		RootsListChangedHandler: func(context.Context, *mcp.RootsListChangedRequest) {
			if jam := r.jam.Load(); jam != nil {
				<-*jam
			}
		},
	})
	look := func(ctx context.Context, req *mcp.CallToolRequest, in lookArgs) (*mcp.CallToolResult, any, error) {
		var seen []string
		for _, name := range []string{"Authorization", "Cookie", "X-Forwarded-For", "Mcp-Session-Id", "Mcp-Name", "Mcp-Surplus"} {
			if req.Extra.Header.Get(name) != "" {
				seen = append(seen, name)
			}
		}
		if info := auth.TokenInfoFromContext(ctx); info != nil {
			sub, _ := info.Extra["sub"].(string)
			seen = append(seen, "sub:"+sub)
		}
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: strings.Join(seen, " ") + "|" + in.Text + strings.Repeat("x", in.Size)}}}, nil, nil
	}
	park := func(ctx context.Context, req *mcp.CallToolRequest, in lookArgs) (*mcp.CallToolResult, any, error) {
		r.parked <- ctx
		for range in.Size { // words that nobody may be there to hear
			if err := req.Session.NotifyProgress(ctx, &mcp.ProgressNotificationParams{ProgressToken: "p", Progress: 1}); err == nil {
				continue
			}
			break
		}
		select {
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		case <-r.free:
		}
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "freed"}}}, nil, nil
	}
	for name, tool := range map[string]mcp.ToolHandlerFor[lookArgs, any]{"look": look, "park": park} {
		if err := mcpsec.AddTool(guard, r.mcp, &mcp.Tool{Name: name}, tool); err != nil {
			t.Fatal(err)
		}
	}
	if err := guard.Install(r.mcp); err != nil {
		t.Fatal(err)
	}
	c := Config{
		Guard: guard, Server: r.mcp, Certificates: dev, Tokens: r.tokens, Legacy: true, SSE: true,
		Log: slog.New(slog.DiscardHandler),
	}
	c.Limits.Drain = 100 * time.Millisecond
	if change != nil {
		change(&c)
	}
	if r.server, err = New(c); err != nil {
		t.Fatal(err)
	}
	r.server.now = now
	const long = httpx.Patience / 5 // the machine may be busy
	r.server.patience = patience{goodbye: long, words: long, wait: long}
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.addr = l.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	r.end = cancel
	go func() { r.served <- r.server.Serve(ctx, l) }()
	r.client = r.httpClient("")
	t.Cleanup(func() {
		r.client.CloseIdleConnections() // an end waits a second for those of HTTP/2
		cancel()
		select {
		case <-r.served:
		case <-time.After(httpx.Patience):
			t.Error("the server does not end")
		}
		_ = guard.Close()
	})
	return r
}

// httpClient returns a client that trusts the server, and shows a certificate of that name
// if there is one.
func (r *rig) httpClient(name string) *http.Client {
	r.Helper()
	conf := &tls.Config{RootCAs: r.dev.Pool(), MinVersion: tls.VersionTLS13}
	if name != "" {
		cert, key, err := r.dev.IssueClient(name)
		if err != nil {
			r.Fatal(err)
		}
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			r.Fatal(err)
		}
		conf.Certificates = []tls.Certificate{pair}
	}
	transport := &http.Transport{TLSClientConfig: conf, ForceAttemptHTTP2: true}
	r.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func (r *rig) peer(token string) *httpx.Peer {
	p := &httpx.Peer{URL: "https://" + r.addr + "/mcp", HTTP: r.client, Header: make(http.Header)}
	if token != "" {
		p.Header.Set("Authorization", "Bearer "+token)
	}
	return p
}

// do sends a request as it is.
func (r *rig) do(method, path, body string, header ...string) *httpx.Answer {
	r.Helper()
	res := r.open(method, path, body, header...)
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		r.Fatal(err)
	}
	return &httpx.Answer{Status: res.StatusCode, Header: res.Header, Body: raw}
}

// open sends a request and returns the answer, of which the test reads what it wants.
func (r *rig) open(method, path, body string, header ...string) *http.Response {
	r.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, method, "https://"+r.addr+path, strings.NewReader(body))
	if err != nil {
		r.Fatal(err)
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Accept", "application/json, text/event-stream")
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		} else {
			req.Header.Add(header[i], header[i+1])
		}
	}
	res, err := r.client.Do(req)
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { _ = res.Body.Close() })
	return res
}

// overSSE opens a session over HTTP+SSE, and returns what arrives in it and how to send.
func (r *rig) overSSE(token string) (in <-chan string, post func(body string) (status int)) {
	r.Helper()
	in = lines(r.T, r.open("GET", "/sse", "", "Authorization", "Bearer "+token).Body)
	line, _ := awaitLine(r.T, in, "data: /sse")
	post = func(body string) int {
		return r.do("POST", strings.TrimPrefix(line, "data: "), body, "Authorization", "Bearer "+token).Status
	}
	post(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2024-11-05","capabilities":{},"clientInfo":{"name":"x","version":"1"}}}`)
	awaitLine(r.T, in, `data: {"jsonrpc":"2.0","id":1`)
	post(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	return in, post
}

// lines sends what arrives on a stream, line by line, and is closed at its end.
func lines(t *testing.T, body io.Reader) <-chan string {
	t.Helper()
	out := make(chan string, 1000)
	go func() {
		defer close(out)
		for s := bufio.NewScanner(body); s.Scan(); {
			if s.Text() != "" {
				out <- s.Text()
			}
		}
	}()
	return out
}

// await returns the next line with the prefix; false at the end of the stream.
func awaitLine(t *testing.T, in <-chan string, prefix string) (string, bool) {
	t.Helper()
	late := time.After(httpx.Patience)
	for {
		select {
		case line, ok := <-in:
			if !ok {
				return "", false
			}
			if strings.HasPrefix(line, prefix) {
				return line, true
			}
		case <-late:
			t.Fatalf("no line %q", prefix)
		}
	}
}

// until waits for a condition.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(httpx.Patience)
	for !done() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("%s: did not happen", what)
		}
	}
}

// A clock stands still until it is told otherwise.
type clock struct{ at atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.at.Store(time.Now().UnixNano())
	return c
}

func (c *clock) now() time.Time      { return time.Unix(0, c.at.Load()) }
func (c *clock) add(d time.Duration) { c.at.Add(int64(d)) }

func (r *rig) open0() bool {
	n := r.server.streams
	return n.Count(stream.Call) == 0 && n.Count(stream.Stream) == 0 && n.Count(stream.Session) == 0 && n.Count(stream.Reading) == 0
}

func code(a *httpx.Answer) int64 {
	if wire, ok := errors.AsType[*jsonrpc.Error](a.Result(nil)); ok {
		return wire.Code
	}
	return 0
}
