package lock

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// A rewriter is a proxy in front of a server that changes the bytes of its answers.
type rewriter struct {
	http.ResponseWriter

	evil     *atomic.Bool
	old, new string
}

func (w rewriter) Write(b []byte) (int, error) {
	if !w.evil.Load() {
		return w.ResponseWriter.Write(b)
	}
	_, err := w.ResponseWriter.Write(bytes.ReplaceAll(b, []byte(w.old), []byte(w.new)))
	return len(b), err
}

func (w rewriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
func (w rewriter) Flush()                      { _ = http.NewResponseController(w.ResponseWriter).Flush() }

// overHTTP serves the upstream. Once evil is set, its answers are changed.
func overHTTP(t *testing.T, h http.Handler, evil *atomic.Bool, from, to string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(rewriter{w, evil, from, to}, r)
	}))
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s.URL
}

// What is compared is what went over the wire, whatever the transport: each of the SDK's
// own shows an unknown member and a number beyond 2^53.
func TestEveryTransportShowsTheWire(t *testing.T) {
	t.Parallel()
	type kind struct {
		name, version string
		handler       func(*mcp.Server) http.Handler
		dial          func(url string, c *http.Client) mcp.Transport
	}
	streamable := func(o *mcp.StreamableHTTPOptions) func(*mcp.Server) http.Handler {
		return func(s *mcp.Server) http.Handler {
			return mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return s }, o)
		}
	}
	client := func(url string, c *http.Client) mcp.Transport {
		return &mcp.StreamableClientTransport{Endpoint: url, HTTPClient: c, MaxRetries: -1}
	}
	kinds := []kind{
		{"streamable, events", "2026-07-28", streamable(nil), client},
		{"streamable, events, sessions", "2025-11-25", streamable(nil), client},
		{"streamable, JSON", "2026-07-28", streamable(&mcp.StreamableHTTPOptions{JSONResponse: true}), client},
		{"streamable, JSON, sessions", "2025-11-25", streamable(&mcp.StreamableHTTPOptions{JSONResponse: true}), client},
		{
			"SSE", "2025-11-25",
			func(s *mcp.Server) http.Handler {
				return mcp.NewSSEHandler(func(*http.Request) *mcp.Server { return s }, nil)
			},
			func(url string, c *http.Client) mcp.Transport {
				return &mcp.SSEClientTransport{Endpoint: url, HTTPClient: c}
			},
		},
	}
	for _, k := range kinds {
		for _, change := range []struct {
			name, from, to, code string
		}{
			{"unknown member", `"name":"a"`, `"name":"a","execution":{}`, codeChanged.Name},
			{"number", `9007199254740992`, `9007199254740993`, codeMalformed.Name},
			{"duplicate", `"name":"a"`, `"name":"a","name":"a"`, codeMalformed.Name},
		} {
			t.Run(k.name+": "+change.name, func(t *testing.T) {
				t.Parallel()
				u := newUpstream(t)
				var evil atomic.Bool
				url := overHTTP(t, k.handler(u.server), &evil, change.from, change.to)
				connect := func(opts ...Option) *mcp.ClientSession {
					inner := &http.Transport{DisableKeepAlives: true}
					session, err := u.dial(Pin(k.dial(url, &http.Client{Transport: inner}), u.lock,
						append(opts, Name("files"), Logger(slog.New(slog.DiscardHandler)))...), &mcp.ClientSessionOptions{ProtocolVersion: k.version})
					if err != nil {
						t.Fatal(err)
					}
					return session
				}
				session := connect(FirstUse())
				if err := everything(t.Context(), session); err != nil {
					t.Fatal(err)
				}
				evil.Store(true)
				d := DenialOf(drain(session.Tools(t.Context(), nil)))
				if d == nil || d.Code != change.code {
					t.Fatalf("not refused: %v", d)
				}
				if strings.HasPrefix(d.Reason, d.Code) || !strings.Contains(d.Reason, `tool`) {
					t.Errorf("reason %q", d.Reason)
				}
				// A tool that was never approved is kept back before it goes out.
				if d := DenialOf(call(t.Context(), session, "hidden")); d == nil || d.Code != codeUnapproved.Name {
					t.Errorf("a tool that is not approved: %v", d)
				}
				evil.Store(false)
				if err := everything(t.Context(), session); err != nil {
					t.Errorf("the session did not go on: %v", err)
				}
			})
		}
	}
}

// Over HTTP with sessions the SDK opens a stream of its own after initialize, on which
// notifications come: pinning must not take it away.
func TestStandaloneStreamOverHTTP(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	var evil atomic.Bool
	url := overHTTP(t, mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return u.server }, nil), &evil, "", "")
	u.learn(Reviewed)
	changed := make(chan struct{}, 8)
	client := mcp.NewClient(&mcp.Implementation{Name: "host", Version: "1"}, &mcp.ClientOptions{
		ToolListChangedHandler: notify(changed), Logger: slog.New(slog.DiscardHandler),
	})
	transport := &mcp.StreamableClientTransport{Endpoint: url, HTTPClient: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, MaxRetries: -1}
	session, err := client.Connect(t.Context(), Pin(transport, u.lock, Name("files"), Logger(slog.New(slog.DiscardHandler))),
		&mcp.ClientSessionOptions{ProtocolVersion: "2025-11-25"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = session.Close() })
	u.server.AddTool(&mcp.Tool{Name: "d", InputSchema: map[string]any{"type": "object"}}, ran)
	select {
	case <-changed:
	case <-time.After(time.Minute):
		t.Fatal("no notification came")
	}
}

// stream reads a stream of events to its end.
func stream(t *testing.T, text string, pass func([]byte) ([]byte, error)) (string, error) {
	t.Helper()
	e := newEvents(io.NopCloser(strings.NewReader(text)), pass, func() {})
	e.most = 10_000
	got, err := io.ReadAll(e)
	return string(got), err
}

func TestEvents(t *testing.T) {
	t.Parallel()
	upper := func(data []byte) ([]byte, error) {
		if bytes.HasPrefix(data, []byte("bad")) {
			return nil, errors.New("bad")
		}
		if bytes.HasPrefix(data, []byte("two")) {
			return []byte("a\n\ndata: b"), nil
		}
		return bytes.ToUpper(data), nil
	}
	for _, test := range []struct{ name, in, want string }{
		{"one", "data: a\n\n", "event: message\ndata: A\n\n"},
		{"carriage returns", "data: a\r\n\r\n", "event: message\ndata: A\n\n"},
		{"named", "event: message\nid: 7\nretry: 5\ndata:a\n\n", "id: 7\nretry: 5\nevent: message\ndata: A\n\n"},
		{"no data", "id: 7\n\n", "id: 7\n\n"},
		{"a comment", ": keep alive\n\n", ""},
		{"another name holds no message", "event: endpoint\ndata: a\n\n", ""},
		{"no message", "data: bad\n\n", "event: message\ndata: malformed\n\n"},
		{"cut off", "data: a\n\ndata: b\n", "event: message\ndata: A\n\n"},
		{"a second line for some readers", "id: 7\rdata: evil\nretry: 5\rdata: evil\ndata: a\n\n", "event: message\ndata: A\n\n"},
		{"a second event in the answer", "data: two\n\n", "event: message\ndata: malformed\n\n"},
		{"an id of spaces", "id:   \ndata: a\n\n", "event: message\ndata: A\n\n"},
		{"an unknown field", "dats: x\ndata: a\n\n", "event: message\ndata: A\n\n"},
	} {
		if got, err := stream(t, test.in, upper); got != test.want || err != nil {
			t.Errorf("%s: %q, %v", test.name, got, err)
		}
	}
	if _, err := stream(t, "data: "+strings.Repeat("x", 9_000)+"\n\n", upper); err != nil {
		t.Errorf("an event below the limit: %v", err)
	}
	var judged string
	if _, err := stream(t, "data: {\ndata: }\n\n", func(b []byte) ([]byte, error) { judged = string(b); return []byte("x"), nil }); err != nil || judged != "{\n}" {
		t.Errorf("two lines: %q, %v", judged, err)
	}
	if _, err := stream(t, "data: "+strings.Repeat("x", 10_000)+"\n\n", upper); err == nil {
		t.Error("an event without limit was read")
	}
	if _, err := stream(t, strings.Repeat("data: x\n", 10_000/8+1)+"\n", upper); err == nil {
		t.Error("an event of too many lines was read")
	}
}
