package https

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/mcpsec/mcpsec-go/internal/test/httpx"
	"github.com/mcpsec/mcpsec-go/mcpsec"
	"github.com/mcpsec/mcpsec-go/transport/https/internal/stream"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

func callBody(name string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":%q,"arguments":{},%s}}`, name, meta)
}

var currentHeader = []string{"Authorization", "Bearer alice", "Mcp-Protocol-Version", "2026-07-28", "Mcp-Method", "tools/call", "Mcp-Name", "look"}

// Each attack is a request that net/http lets through: its status, the code in the record,
// and something the answer says.
var attacks = []struct {
	name         string
	method, path string
	body         string
	header       []string
	status       int
	code         string
	says         string
}{
	{"DNS rebinding", "POST", "/mcp", callBody("look"), []string{"Host", "evil.example"}, 403, "https.bad_host", ""},
	{"DNS rebinding, right name and wrong port", "POST", "/mcp", callBody("look"), []string{"Host", "127.0.0.1:1"}, 403, "https.bad_host", ""},
	{"DNS rebinding, name that begins right", "POST", "/mcp", callBody("look"), []string{"Host", "localhost.evil.example"}, 403, "https.bad_host", ""},
	{"cross-site POST", "POST", "/mcp", callBody("look"), []string{"Origin", "https://evil.example"}, 403, "https.bad_origin", ""},
	{"cross-site GET", "GET", "/sse", "", []string{"Origin", "https://evil.example"}, 403, "https.bad_origin", ""},
	{"cross-site DELETE", "DELETE", "/mcp", "", []string{"Origin", "https://evil.example"}, 403, "https.bad_origin", ""},
	{"sandboxed page", "POST", "/mcp", callBody("look"), []string{"Origin", "null"}, 403, "https.bad_origin", ""},
	{"two origins", "POST", "/mcp", callBody("look"), []string{"Origin", "https://app.example", "Origin", "https://evil.example"}, 403, "https.bad_origin", ""},
	{"origin that begins right", "POST", "/mcp", callBody("look"), []string{"Origin", "https://app.example.evil.example"}, 403, "https.bad_origin", ""},
	{"no token", "POST", "/mcp", callBody("look"), []string{"Authorization", ""}, 401, "https.unauthenticated", ""},
	{"bad token", "POST", "/mcp", callBody("look"), []string{"Authorization", "Bearer bad"}, 401, "https.unauthenticated", ""},
	{"keys cannot be had", "POST", "/mcp", callBody("look"), []string{"Authorization", "Bearer down"}, 503, "https.unavailable", ""},
	{"token in the query", "POST", "/mcp?access_token=alice", callBody("look"), nil, 400, "https.query_token", ""},
	{"token in the query, in capitals", "POST", "/mcp?Access_Token=alice", callBody("look"), nil, 400, "https.query_token", ""},
	{"token in the query of SSE", "GET", "/sse?token=alice", "", nil, 400, "https.query_token", ""},
	{"semicolon in the query", "POST", "/mcp?a=1;access_token=alice", callBody("look"), nil, 400, "https.bad_request", ""},
	{"escaped path", "POST", "/m%63p", callBody("look"), nil, 400, "https.bad_request", ""},
	{"two slashes", "POST", "//mcp", callBody("look"), nil, 400, "https.bad_request", ""},
	{"long URL", "POST", "/mcp?a=" + strings.Repeat("a", 3000), callBody("look"), nil, 414, "https.too_large", ""},
	{"form", "POST", "/mcp", callBody("look"), []string{"Content-Type", "text/plain"}, 415, "https.bad_request", ""},
	{"UTF-16", "POST", "/mcp", callBody("look"), []string{"Content-Type", "application/json; charset=utf-16"}, 415, "https.bad_request", ""},
	{"two content types", "POST", "/mcp", callBody("look"), []string{"Content-Type", "application/json", "Content-Type", "text/plain"}, 415, "https.bad_request", ""},
	{"compressed bomb", "POST", "/mcp", callBody("look"), []string{"Content-Encoding", "gzip"}, 415, "https.bad_request", ""},
	{"large body", "POST", "/mcp", callBody(strings.Repeat("x", 1<<20)), nil, 413, "https.too_large", ""},
	{"two messages", "POST", "/mcp", callBody("look") + callBody("look"), nil, 400, "https.malformed", ""},
	{"batch in the current revision", "POST", "/mcp", "[" + callBody("look") + "]", nil, 400, "https.malformed", ""},
	{"duplicate member", "POST", "/mcp", `{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}`, nil, 400, "https.malformed", ""},
	{"fractional id", "POST", "/mcp", `{"jsonrpc":"2.0","id":1.7,"method":"ping"}`, nil, 400, "https.malformed", ""},
	{"no JSON", "POST", "/mcp", `hello`, nil, 400, "https.malformed", ""},
	{"no body", "POST", "/mcp", ``, nil, 400, "https.malformed", ""},
	{"two versions", "POST", "/mcp", callBody("look"), []string{"Mcp-Protocol-Version", "2026-07-28", "Mcp-Protocol-Version", "2025-11-25"}, 400, "https.bad_request", ""},
	{"two names", "POST", "/mcp", callBody("look"), []string{"Mcp-Name", "look", "Mcp-Name", "park"}, 400, "https.bad_request", ""},
	{"revision of the future", "POST", "/mcp", callBody("look"), []string{"Mcp-Protocol-Version", "2027-01-01"}, 400, "https.unsupported_version", `"supported":["2026-07-28"`},
	{"revision of nobody", "POST", "/mcp", callBody("look"), []string{"Mcp-Protocol-Version", "9"}, 400, "https.unsupported_version", ""},
	{"current message without its header", "POST", "/mcp", callBody("look"), []string{"Mcp-Protocol-Version", ""}, 400, "https.unsupported_version", "-32020"},
	{"call before a session", "POST", "/mcp", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"look"}}`, []string{"Mcp-Protocol-Version", "2025-11-25"}, 400, "https.unknown_session", ""},
	{"invented session", "POST", "/mcp", `{"jsonrpc":"2.0","id":1,"method":"ping"}`, []string{"Mcp-Protocol-Version", "2025-11-25", "Mcp-Session-Id", "invented"}, 404, "https.unknown_session", ""},
	{"stream of an invented session", "GET", "/mcp", "", []string{"Mcp-Protocol-Version", "2025-11-25", "Mcp-Session-Id", "invented"}, 404, "https.unknown_session", ""},
	{"end of an invented session", "DELETE", "/mcp", "", []string{"Mcp-Protocol-Version", "2025-11-25", "Mcp-Session-Id", "invented"}, 404, "https.unknown_session", ""},
	{"invented SSE session", "POST", "/sse?sessionid=invented", `{"jsonrpc":"2.0","id":1,"method":"ping"}`, nil, 404, "https.unknown_session", ""},
	{"two SSE sessions", "POST", "/sse?sessionid=a&sessionid=b", `{"jsonrpc":"2.0","id":1,"method":"ping"}`, nil, 400, "https.unknown_session", ""},
	{"tool without the scope", "POST", "/mcp", callBody("admin"), []string{"Mcp-Name", "admin"}, 403, "https.forbidden", ""},
	{"unprintable Mcp-Param", "POST", "/mcp", callBody("look"), []string{"Mcp-Param-Region", "\u00e9"}, 400, "https.bad_request", "-32020"},
	{"lying Mcp-Name", "POST", "/mcp", callBody("look"), []string{"Mcp-Name", "harmless"}, 400, "guard.rejected", ""},
	{"lying Mcp-Method", "POST", "/mcp", callBody("look"), []string{"Mcp-Method", "ping"}, 400, "guard.rejected", ""},
	{"Mcp-Name in broken base64", "POST", "/mcp", callBody("look"), []string{"Mcp-Name", "=?base64?!?="}, 400, "guard.rejected", ""},
}

func TestAttacksAreRefused(t *testing.T) {
	t.Parallel()
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, func(c *Config) {
				c.Limits.Body = 1 << 20
				c.Origins = []string{"https://app.example"}
			})
			r.tokens.need = "admin"
			got := r.do(a.method, a.path, a.body, replaced(currentHeader, a.header)...)
			if got.Status != a.status || !strings.Contains(string(got.Body), a.says) {
				t.Errorf("answered %d %s", got.Status, got.Body)
			}
			for _, secret := range []string{"alice", "evil", "EOF", "harmless", "invented"} {
				if strings.Contains(string(got.Body), secret) {
					t.Errorf("the answer repeats %q: %s", secret, got.Body)
				}
			}
			var codes []string
			for _, method := range []string{"", "tools/call", "ping"} {
				for _, c := range r.record.Calls(method) {
					codes = append(codes, c.Code)
				}
			}
			if !slices.Equal(codes, []string{a.code}) {
				t.Errorf("recorded %q", codes)
			}
			// What was refused holds nothing, and the server serves on.
			until(t, "release", r.open0)
			look(t, r.peer("alice").As("x").CallTool(t, "look", map[string]any{}))
		})
	}
}

// replaced returns pairs of headers with some replaced; an empty value removes one.
func replaced(base, by []string) []string {
	var out []string
	for i := 0; i < len(base); i += 2 {
		if !slices.Contains(by, base[i]) {
			out = append(out, base[i], base[i+1])
		}
	}
	for i := 0; i < len(by); i += 2 {
		if by[i+1] != "" {
			out = append(out, by[i], by[i+1])
		}
	}
	return out
}

// Requests that no client of net/http sends.
func TestRawRequests(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	post := func(head string) string {
		body := callBody("look")
		conn, err := tls.Dial("tcp", r.addr, &tls.Config{RootCAs: r.dev.Pool(), NextProtos: []string{"http/1.1"}})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "%s\r\nAuthorization: Bearer alice\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n"+
			"Mcp-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: look\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", head, len(body), body)
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		raw, _ := io.ReadAll(res.Body)
		return fmt.Sprint(res.StatusCode) + " " + string(raw)
	}
	for name, tc := range map[string]struct{ head, want string }{
		"as it should be":                     {"POST /mcp HTTP/1.1\r\nHost: " + r.addr, "200"},
		"absolute form":                       {"POST https://" + r.addr + "/mcp HTTP/1.1\r\nHost: " + r.addr, "400"},
		"absolute form with another host":     {"POST https://evil.example/mcp HTTP/1.1\r\nHost: " + r.addr, "400"},
		"two hosts":                           {"POST /mcp HTTP/1.1\r\nHost: " + r.addr + "\r\nHost: evil.example", "400"},
		"no host":                             {"POST /mcp HTTP/1.1", "400"},
		"no host, before it was needed":       {"POST /mcp HTTP/1.0", "403"},
		"empty host":                          {"POST /mcp HTTP/1.1\r\nHost:", "403"},
		"both lengths (smuggling)":            {"POST /mcp HTTP/1.1\r\nHost: " + r.addr + "\r\nContent-Length: 3", "400"},
		"unknown transfer coding (smuggling)": {"POST /mcp HTTP/1.1\r\nHost: " + r.addr + "\r\nTransfer-Encoding: xchunked", "501"},
		"an asterisk":                         {"OPTIONS * HTTP/1.1\r\nHost: " + r.addr, ""},
		"large header":                        {"POST /mcp HTTP/1.1\r\nHost: " + r.addr + "\r\nX: " + strings.Repeat("x", 32<<10), "431"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := post(tc.head); !strings.HasPrefix(got, tc.want) {
				t.Errorf("answered %.200s", got)
			}
		})
	}
}

// Edges 4 to 7: a session belongs to the principal that opened it, whoever knows its id.
func TestSessionsBelongToTheirPrincipal(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	id := r.initialized("alice")
	for _, tc := range [][2]string{
		{"POST", `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"look"}}`},
		{"POST", `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`},
		{"POST", `{"jsonrpc":"2.0","id":1,"result":{}}`},
		{"GET", ""},
		{"DELETE", ""},
	} {
		a := r.do(tc[0], "/mcp", tc[1], "Authorization", "Bearer mallory", "Mcp-Session-Id", id, "Mcp-Protocol-Version", "2025-11-25")
		if a.Status != http.StatusNotFound {
			t.Errorf("%s %s: answered %d %s", tc[0], tc[1], a.Status, a.Body)
		}
	}
	a := r.do("POST", "/mcp", `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"look"}}`, "Authorization", "Bearer alice/fresh", "Mcp-Session-Id", id)
	if a.Status != http.StatusOK {
		t.Errorf("the owner is answered with %d %s", a.Status, a.Body)
	}
}

// Edge 9, and what proxies write.
func TestHandlersSeeNoForeignHeaders(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	for _, p := range []*httpx.Peer{r.peer("alice").Open(t), r.peer("alice").As("x")} {
		p = p.With("Cookie", "a=b", "X-Forwarded-For", "1.2.3.4", "Mcp-Surplus", "1")
		got := look(t, p.CallTool(t, "look", map[string]any{}))
		if strings.Contains(got, "Authorization") || strings.Contains(got, "Cookie") || strings.Contains(got, "Forwarded") || strings.Contains(got, "Surplus") {
			t.Errorf("the handler sees %q", got)
		}
	}
	for name, want := range map[string]bool{
		"Authorization": true, "Proxy-Authorization": true, "Dpop": true, "X-Forwarded-Client-Cert": true, "Forwarded": true,
		"X-Amzn-Oidc-Data": true, "Mcpsec-Frame": true, "Traceparent": false, "Accept": false, "X-Trace": false,
	} {
		if foreign(name) != want {
			t.Errorf("foreign(%q) is %t", name, !want)
		}
	}
}

// Edge 18: a name in base64 is compared decoded.
func TestEncodedName(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	got := r.do("POST", "/mcp", callBody("look"), replaced(currentHeader, []string{"Mcp-Name", "=?base64?bG9vaw==?="})...)
	if got.Status != http.StatusOK {
		t.Errorf("answered %d %s", got.Status, got.Body)
	}
}

func TestChallenges(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	a := r.do("POST", "/mcp", callBody("look"))
	want := `Bearer scope="mcp", resource_metadata="https://` + r.addr + `/.well-known/oauth-protected-resource/mcp"`
	if got := a.Header.Get("WWW-Authenticate"); got != want {
		t.Errorf("challenged with %s", got)
	}
	a = r.do("POST", "/mcp", callBody("look"), "Authorization", "Bearer bad")
	if got := a.Header.Get("WWW-Authenticate"); !strings.HasPrefix(got, `Bearer error="invalid_token", error_description="the token is no \"good\"", resource_metadata=`) {
		t.Errorf("challenged with %s", got)
	}
	r.tokens.need = "look"
	a = r.do("POST", "/mcp", callBody("look"), currentHeader...)
	if got := a.Header.Get("WWW-Authenticate"); a.Status != 403 || !strings.Contains(got, `error="insufficient_scope", scope="admin"`) {
		t.Errorf("%d, challenged with %s", a.Status, got)
	}
	for path, want := range map[string]string{
		"/.well-known/oauth-protected-resource":     `{"resource":"https://` + r.addr + `/mcp"}`,
		"/.well-known/oauth-protected-resource/mcp": `{"resource":"https://` + r.addr + `/mcp"}`,
		"/.well-known/oauth-protected-resource/sse": `{"resource":"https://` + r.addr + `/sse"}`,
		"/.well-known/oauth-protected-resource/x":   "Not Found\n",
	} {
		if got := r.do("GET", path, ""); string(got.Body) != want {
			t.Errorf("%s: %s", path, got.Body)
		}
	}
	header := (&AuthError{Status: 401, Scheme: "Bearer", Code: "a\r\nSet-Cookie: x", Description: `b"c\`}).challenge("")
	if header != `Bearer error_description="b\"c\\"` {
		t.Errorf("challenged with %s", header)
	}
}

func TestOnlyTheCurrentRevisionByDefault(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.Legacy, c.SSE = false, false })
	initialize := `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"x","version":"1"}}}`
	for _, header := range [][]string{nil, {"Mcp-Protocol-Version", "2025-11-25"}} {
		a := r.do("POST", "/mcp", initialize, append([]string{"Authorization", "Bearer alice"}, header...)...)
		if a.Status != http.StatusBadRequest || code(a) != mcp.CodeUnsupportedProtocolVersion || !strings.Contains(string(a.Body), `"supported":["2026-07-28"]`) {
			t.Errorf("answered %d %s", a.Status, a.Body)
		}
	}
	batch := r.do("POST", "/mcp", `[{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"look"}}]`, "Authorization", "Bearer alice")
	if batch.Status != http.StatusBadRequest || len(r.record.Calls("tools/call")) > 0 {
		t.Errorf("edge 53: a batch is answered with %d %s", batch.Status, batch.Body)
	}
	for _, method := range []string{"GET", "DELETE", "PUT"} {
		if a := r.do(method, "/mcp", "", "Authorization", "Bearer alice"); a.Status != 405 || a.Header.Get("Allow") != "POST" {
			t.Errorf("%s: answered %d", method, a.Status)
		}
	}
	if a := r.do("GET", "/sse", "", "Authorization", "Bearer alice"); a.Status != 404 {
		t.Errorf("SSE: answered %d", a.Status)
	}
	look(t, r.peer("alice").As("x").CallTool(t, "look", map[string]any{}))
}

func TestPagesOfAllowedOrigins(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.Origins = []string{"https://app.example"} })
	a := r.do("OPTIONS", "/mcp", "", "Origin", "https://app.example", "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "mcp-param-region, x-evil")
	if h := a.Header; a.Status != 204 || h.Get("Access-Control-Allow-Origin") != "https://app.example" ||
		!strings.HasSuffix(h.Get("Access-Control-Allow-Headers"), ", mcp-param-region") || h.Get("Access-Control-Allow-Methods") != "GET, POST, DELETE" {
		t.Errorf("%d %v", a.Status, a.Header)
	}
	a = r.do("POST", "/mcp", callBody("look"), append([]string{"Origin", "https://app.example"}, currentHeader...)...)
	if a.Status != 200 || a.Header.Get("Access-Control-Allow-Origin") != "https://app.example" || a.Header.Get("X-Accel-Buffering") != "no" || !strings.HasPrefix(a.Header.Get("Cache-Control"), "no-store") {
		t.Errorf("%d %v", a.Status, a.Header)
	}
	if a := r.do("OPTIONS", "/mcp", "", "Origin", "https://evil.example", "Access-Control-Request-Method", "POST"); a.Status != 403 {
		t.Errorf("answered %d", a.Status)
	}
}

// Edges 2, 5 and 41: each principal has its share, and a flood of one leaves the others alone.
func TestLimitsOfOnePrincipal(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.Limits.CallsPer, c.Limits.SessionsPer, c.Limits.StreamsPer = 2, 2, 1 })
	p := r.peer("mallory").As("x")
	for range 2 {
		p.Abandon(t, "tools/call", map[string]any{"name": "park", "arguments": map[string]any{}})
		<-r.parked
	}
	if a := p.CallTool(t, "look", map[string]any{}); a.Status != http.StatusTooManyRequests || code(a) != mcpsec.CodeThrottled || a.Header.Get("Retry-After") == "" {
		t.Errorf("the third call: %d %s", a.Status, a.Body)
	}
	look(t, r.peer("alice").As("x").CallTool(t, "look", map[string]any{}))
	close(r.free)
	until(t, "the end of the calls", func() bool { return r.server.streams.Count(stream.Call) == 0 })
	look(t, p.CallTool(t, "look", map[string]any{}))

	id := r.initialized("bob")
	until(t, "the end of its calls", func() bool { return r.server.streams.Count(stream.Call) == 0 })
	r.initialized("bob")
	until(t, "the end of its calls", func() bool { return r.server.streams.Count(stream.Call) == 0 })
	a := r.do("POST", "/mcp", `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"x","version":"1"}}}`, "Authorization", "Bearer bob")
	if a.Status != http.StatusTooManyRequests {
		t.Errorf("the third session: %d %s", a.Status, a.Body)
	}
	r.open("GET", "/mcp", "", "Authorization", "Bearer bob", "Mcp-Session-Id", id)
	if a := r.do("GET", "/sse", "", "Authorization", "Bearer bob"); a.Status != http.StatusTooManyRequests {
		t.Errorf("the second stream: %d %s", a.Status, a.Body)
	}
}

func TestLargeResultBecomesAnError(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.Limits.Result = 10_000 })
	for _, p := range []*httpx.Peer{r.peer("alice").As("x"), r.peer("alice").Open(t)} {
		a := p.CallTool(t, "look", map[string]any{"size": 20_000})
		if len(a.Body) > 1000 || code(a) != -32603 {
			t.Errorf("answered %d %.300s", a.Status, a.Body)
		}
		look(t, p.CallTool(t, "look", map[string]any{"size": 5_000}))
	}
}

// Edges 15 and 16: a batch is as many messages as it holds.
func TestBatches(t *testing.T) {
	t.Parallel()
	open := func(r *rig, version string) *httpx.Peer {
		a := r.do("POST", "/mcp", `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"`+version+`","capabilities":{},"clientInfo":{"name":"x","version":"1"}}}`, "Authorization", "Bearer alice")
		p := r.peer("alice").With("Mcp-Session-Id", a.Header.Get("Mcp-Session-Id"))
		p.Post(r.T, `{"jsonrpc":"2.0","method":"notifications/initialized"}`)
		return p
	}
	one := `{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"look","arguments":{"text":"%d"}}}`
	batch := "[" + fmt.Sprintf(one, 1, 1) + `, {"jsonrpc":"2.0","method":"notifications/roots/list_changed"},` + fmt.Sprintf(one, 2, 2) + "]"
	t.Run("refused by default", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, nil)
		if a := open(r, "2025-03-26").Post(t, batch); a.Status != 400 || len(r.record.Calls("tools/call")) > 0 {
			t.Errorf("answered %d %s", a.Status, a.Body)
		}
	})
	t.Run("each message counts", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, func(c *Config) { c.Batches = true; c.Limits.Batch = 3 })
		p := open(r, "2025-03-26")
		a := p.Post(t, batch)
		if body := string(a.Body); a.Status != 200 || !strings.HasPrefix(body, `[{"jsonrpc":"2.0","id":1,`) || !strings.HasSuffix(body, `|2"}]}}]`) {
			t.Errorf("answered %d %s", a.Status, a.Body)
		}
		if n := len(r.record.Await(t, "tools/call", 2)); n != 2 {
			t.Errorf("%d calls are recorded", n)
		}
		if a := p.Post(t, `[{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}]`); a.Status != 202 || len(a.Body) > 0 {
			t.Errorf("answered %d %s", a.Status, a.Body)
		}
		for name, bad := range map[string]string{
			"too many":      "[" + strings.Repeat(fmt.Sprintf(one, 1, 1)+",", 3) + fmt.Sprintf(one, 9, 9) + "]",
			"same id twice": "[" + fmt.Sprintf(one, 1, 1) + "," + fmt.Sprintf(one, 1, 1) + "]",
			"empty":         "[]",
			"nested":        "[[" + fmt.Sprintf(one, 1, 1) + "]]",
			"no message":    "[1]",
			"initialize":    `[{"jsonrpc":"2.0","id":1,"method":"initialize"}]`,
			"unfinished":    "[" + fmt.Sprintf(one, 1, 1),
			"data after it": batch + "x",
		} {
			if a := p.Post(t, bad); a.Status != 400 {
				t.Errorf("%s: answered %d %s", name, a.Status, a.Body)
			}
		}
		if n := len(r.record.Calls("tools/call")); n > 2+3 { // those that failed are recorded once each
			t.Errorf("%d calls are recorded", n)
		}
	})
	t.Run("not in a session of a later revision", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, func(c *Config) { c.Batches = true })
		if a := open(r, "2025-11-25").Post(t, batch); a.Status != 400 {
			t.Errorf("answered %d %s", a.Status, a.Body)
		}
	})
}

// A refusal in a batch must not let its other messages through.
func TestBatchIsJudgedWhole(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.Batches = true })
	a := r.do("POST", "/mcp", `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-03-26","capabilities":{},"clientInfo":{"name":"x","version":"1"}}}`, "Authorization", "Bearer alice")
	p := r.peer("alice").With("Mcp-Session-Id", a.Header.Get("Mcp-Session-Id"))
	r.tokens.need = "admin"
	got := p.Post(t, `[{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"look"}},{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"admin"}}]`)
	if got.Status != 403 || len(r.record.Calls("tools/call")) != 1 {
		t.Errorf("answered %d, recorded %v", got.Status, r.record.Calls("tools/call"))
	}
}

func TestConfigurationFaults(t *testing.T) {
	t.Parallel()
	guard, err := mcpsec.New()
	if err != nil {
		t.Fatal(err)
	}
	server := mcp.NewServer(implementation, nil)
	_, err = New(Config{
		Guard: guard, Server: server, Hosts: []string{"https://x", "a/b", "."}, Origins: []string{"x"}, Path: "/a b", SSEPath: "//",
		Batches: true, Peers: &judge{},
	})
	for _, want := range []string{"AllowAnonymous", "Config.Guard", "Config.Hosts", "Config.Origins", `"/a b"`, `"//"`, "Config.Batches", "Config.Peers"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no word of %s in %v", want, err)
		}
	}
	if _, err = New(Config{}); err == nil || !strings.Contains(err.Error(), "Config.Server") {
		t.Error(err)
	}
}

// Edge 3: a handler that is stuck does not make notifications pile up, and one that is not
// does not notice the bound.
func TestNotificationsDoNotPileUp(t *testing.T) {
	t.Parallel()
	const note = `{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}`
	for name, open := range map[string]func(r *rig) func() int{
		"session": func(r *rig) func() int {
			p := r.peer("alice").Open(r.T)
			return func() int { return p.Post(r.T, note).Status }
		},
		"HTTP+SSE": func(r *rig) func() int {
			_, post := r.overSSE("alice")
			return func() int { return post(note) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, nil)
			jam := make(chan struct{})
			r.jam.Store(&jam)
			send := open(r)
			var refused int
			for range maxBacklog + 3 {
				switch got := send(); got {
				case http.StatusAccepted:
				case http.StatusTooManyRequests:
					refused++
				default:
					t.Fatalf("answered %d", got)
				}
			}
			if refused == 0 || refused > 10 {
				t.Errorf("%d were refused", refused)
			}
			close(jam)
			until(t, "the end of the jam", func() bool { return send() == http.StatusAccepted })
			for range 3 * maxBacklog { // one is refused if the machine holds up the server's own question
				until(t, "a notification is taken, as nothing waits", func() bool { return send() == http.StatusAccepted })
			}
		})
	}
}

// A call that answers after its stream was told to shut down still arrives over HTTP+SSE.
func TestShutdownWaitsForCallsOverSSE(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.Limits.Drain = httpx.Patience })
	in, post := r.overSSE("alice")
	post(`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"park","arguments":{}}}`)
	<-r.parked
	r.end()
	until(t, "draining", r.server.draining.Load)
	close(r.free)
	if line, ok := awaitLine(t, in, `data: {"jsonrpc":"2.0","id":2`); !ok || !strings.Contains(line, "freed") {
		t.Errorf("answered %q", line)
	}
	if line, ok := awaitLine(t, in, ": this stream ends: shutdown"); !ok {
		t.Errorf("the stream ended with %q", line)
	}
}
