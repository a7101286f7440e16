package https_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"github.com/mcpsec/mcpsec-go/internal/test/clients/site"
	"github.com/mcpsec/mcpsec-go/internal/test/httpx"
	"github.com/mcpsec/mcpsec-go/transport/https"
)

// request sends what it is told to, in any method.
func request(t *testing.T, p *httpx.Peer, method, url string, headers ...string) *site.Stream {
	t.Helper()
	s, err := site.Open(t, p.With(headers...), method, url, "")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// only is an office's site with another configuration.
func only(t *testing.T, change func(*https.Config)) *site.Site {
	t.Helper()
	return site.New(t, site.Plan{Change: change})
}

const echoed = `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"echo","arguments":{"text":"x"}}}`

var httpDuties = []duty{
	{number: 1, name: "Origin is validated on every request", hold: func(v visit) {
		t, o := v.T, v.office
		for _, origin := range []string{"https://evil.example", "null", "https://app.example.evil.example"} {
			if a := o.alice.With("Origin", origin).Send(t, "tools/list", nil); a.Status != http.StatusForbidden {
				t.Errorf("POST from %s: %d", origin, a.Status)
			}
			for _, path := range []string{"/mcp", "/sse"} {
				if s := request(t, o.Peer(t, "alice"), http.MethodGet, o.URL+path, "Origin", origin); s.Status != http.StatusForbidden {
					t.Errorf("GET %s from %s: %d", path, origin, s.Status)
				}
			}
		}
		ok(t, o.alice.With("Origin", "https://app.example").Send(t, "tools/list", nil))
	}},
	{number: 2, name: "a local server is for local names only", hold: func(v visit) {
		t := v.T
		s := only(t, func(c *https.Config) { c.Hosts = nil })
		ok(t, s.Peer(t, "alice").As("a").Send(t, "tools/list", nil))
		if code := hostStatus(t, s, "rebound.example"); code < 400 {
			t.Errorf("another Host is answered with %d", code)
		}
	}},
	{number: 3, name: "every connection is authenticated", hold: func(v visit) {
		t, o := v.T, v.office
		if a := o.PeerWith(t, o.TLS(t, "alice"), "").As("a").Send(t, "tools/list", nil); a.Status != http.StatusUnauthorized {
			t.Errorf("without a token: %d", a.Status)
		}
		config := o.TLS(t, "alice")
		config.Certificates = nil
		if code := statusOf(t.Context(), o.PeerWith(t, config, o.Token(t, "alice", nil))); code != 0 {
			t.Errorf("without a certificate: %d", code)
		}
	}},
	{number: 4, name: "one path for POST", hold: func(v visit) {
		t, o := v.T, v.office
		ok(t, o.alice.Send(t, "tools/list", nil))
		p := o.alice.With()
		p.URL = o.URL + "/mcp/other"
		if a := p.Send(t, "tools/list", nil); a.Status != http.StatusNotFound {
			t.Errorf("another path: %d", a.Status)
		}
	}},
	{number: 5, name: "one message for a POST", hold: func(v visit) {
		t, o := v.T, v.office
		if a := o.Peer(t, "alice").Open(t).Post(t, "["+echoed+"]"); a.Status != http.StatusBadRequest {
			t.Errorf("a batch: %d %s", a.Status, a.Body)
		}
		if a := o.alice.Post(t, modernCall+modernCall); a.Status != http.StatusBadRequest {
			t.Errorf("two messages: %d %s", a.Status, a.Body)
		}
	}},
	{number: 6, name: "a notification is answered with 202 and nothing", hold: func(v visit) {
		t, o := v.T, v.office
		a := o.Peer(t, "alice").Open(t).Post(t, `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}`)
		if a.Status != http.StatusAccepted || len(a.Body) != 0 {
			t.Errorf("%d %q", a.Status, a.Body)
		}
	}},
	{number: 7, name: "no requests of the server on 2026 streams", hold: func(v visit) {
		t, o := v.T, v.office
		if a := o.alice.CallTool(t, "asks", nil); strings.Contains(string(a.Body), `"method":`) || strings.Contains(string(a.Body), `"asked"`) {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	}},
	{number: 8, name: "in 2026 the end of the stream cancels the call", hold: func(v visit) {
		t, o := v.T, v.office
		leave := o.alice.Abandon(t, "tools/call", map[string]any{"name": "park", "arguments": map[string]any{"text": "modern"}})
		await(t, o.parking("modern").begun, "the call")
		leave()
		await(t, o.parking("modern").cancelled, "the cancellation")
	}},
	{number: 9, name: "in 2025 it does not", hold: func(v visit) {
		t, o := v.T, v.office
		p := o.Peer(t, "alice").Open(t)
		leave := p.Abandon(t, "tools/call", map[string]any{"name": "park", "arguments": map[string]any{"text": "legacy"}})
		await(t, o.parking("legacy").begun, "the call")
		leave()
		ok(t, p.CallTool(t, "echo", nil)) // the session goes on
		select {
		case <-o.parking("legacy").cancelled:
			t.Error("the call was cancelled")
		default:
		}
		close(o.parking("legacy").leave)
	}},
	{number: 10, name: "the version in the header is that of the message", hold: func(v visit) {
		t, o := v.T, v.office
		p := o.Peer(t, "alice").With("Mcp-Method", "tools/call", "Mcp-Name", "echo")
		status(t, p.With("Mcp-Protocol-Version", "2026-07-28").Post(t, strings.Replace(modernCall, "2026-07-28", "2025-11-25", 1)), http.StatusBadRequest, -32020)
	}},
	{number: 11, name: "an unsupported version is refused as such", hold: func(v visit) {
		t, o := v.T, v.office
		p := o.Peer(t, "alice").With("Mcp-Protocol-Version", "2099-01-01", "Mcp-Method", "tools/call", "Mcp-Name", "echo")
		status(t, p.Post(t, strings.Replace(modernCall, "2026-07-28", "2099-01-01", 1)), http.StatusBadRequest, -32022)
	}},
	{number: 12, name: "no header is an old client only if those are served", hold: func(v visit) {
		t := v.T
		s := only(t, func(c *https.Config) { c.Legacy, c.SSE = false, false })
		if a := s.Peer(t, "alice").Post(t, echoed); a.Status != http.StatusBadRequest {
			t.Errorf("without a version: %d %s", a.Status, a.Body)
		}
	}},
	{number: 13, name: "Mcp-Method and Mcp-Name are those of the message", hold: func(v visit) {
		t, o := v.T, v.office
		p := o.alice.With("Mcp-Method", "tools/call", "Mcp-Name", "echo")
		ok(t, p.Post(t, modernCall))
		status(t, p.With("Mcp-Method", "tools/list").Post(t, modernCall), http.StatusBadRequest, -32020)
		status(t, p.With("Mcp-Name", "secret").Post(t, modernCall), http.StatusBadRequest, -32020)
	}},
	{number: 14, name: "they are decoded first", hold: func(v visit) {
		t, o := v.T, v.office
		encoded := "=?base64?" + base64.StdEncoding.EncodeToString([]byte("echo")) + "?="
		ok(t, o.alice.With("Mcp-Method", "tools/call", "Mcp-Name", encoded).Post(t, modernCall))
	}},
	{number: 15, name: "invalid characters in Mcp-Param headers are refused", hold: func(v visit) {
		t, o := v.T, v.office
		p := o.alice.With("Mcp-Method", "tools/call", "Mcp-Name", "region")
		body := strings.Replace(strings.Replace(modernCall, `"echo"`, `"region"`, 1), `{"text":"x"}`, `{"region":"é"}`, 1)
		status(t, p.With("Mcp-Param-Region", "é").Post(t, body), http.StatusBadRequest, -32020)
	}},
	{number: 16, name: "mirrored headers mean nothing in old revisions", hold: func(v visit) {
		t, o := v.T, v.office
		p := o.Peer(t, "alice").Open(t).With("Mcp-Method", "tools/list", "Mcp-Name", "secret")
		a := p.CallTool(t, "seen", nil)
		ok(t, a)
		if strings.Contains(string(a.Body), "Mcp-Name") || strings.Contains(string(a.Body), "Mcp-Method") {
			t.Errorf("the handler sees them: %s", a.Body)
		}
	}},
	{number: 17, name: "sensitive parameters are not mirrored", why: "which parameters a tool mirrors is said by its author's schema"},
	{number: 18, name: "an unknown method is 404", hold: func(v visit) {
		t, o := v.T, v.office
		status(t, o.alice.Send(t, "no/such", nil), http.StatusNotFound, -32601)
	}},
	{number: 19, name: "X-Accel-Buffering: no on streams", hold: func(v visit) {
		t, o := v.T, v.office
		if s := request(t, o.Peer(t, "alice"), http.MethodGet, o.URL+"/sse"); s.Header.Get("X-Accel-Buffering") != "no" {
			t.Errorf("HTTP+SSE: %v", s.Header)
		}
		if a := o.alice.CallTool(t, "echo", nil); a.Header.Get("X-Accel-Buffering") != "no" {
			t.Errorf("the stream of a call: %v", a.Header)
		}
	}},
	{number: 20, name: "comments keep idle streams alive", hold: func(v visit) {
		t, o := v.T, v.office
		sse, err := site.OpenSSE(t, o.Peer(t, "alice"), o.URL)
		if err != nil {
			t.Fatal(err)
		}
		if line := sse.Line(); !strings.HasPrefix(line, ":") {
			t.Errorf("an idle stream says %q", line)
		}
	}},
	{number: 21, name: "without old revisions GET and DELETE are 405", hold: func(v visit) {
		t := v.T
		s := only(t, func(c *https.Config) { c.Legacy, c.SSE = false, false })
		for _, method := range []string{http.MethodGet, http.MethodDelete} {
			if a := request(t, s.Peer(t, "alice"), method, s.URL+"/mcp", "Mcp-Session-Id", "x", "Last-Event-ID", "1"); a.Status != http.StatusMethodNotAllowed {
				t.Errorf("%s: %d", method, a.Status)
			}
		}
		ok(t, s.Peer(t, "alice").As("a").With("Mcp-Session-Id", "x", "Last-Event-ID", "1").Send(t, "tools/list", nil))
	}},
	{number: 22, name: "session ids are unguessable visible ASCII", hold: func(v visit) {
		t, o := v.T, v.office
		seen := make(map[string]bool)
		for range 8 {
			id := o.Peer(t, "alice").Open(t).Header.Get("Mcp-Session-Id")
			if seen[id] || len(id) < 22 || strings.ContainsFunc(id, func(r rune) bool { return r < 0x21 || r > 0x7e }) {
				t.Errorf("session id %q", id)
			}
			seen[id] = true
		}
	}},
	{number: 23, name: "a session that ended is 404", hold: func(v visit) {
		t, o := v.T, v.office
		p := o.Peer(t, "alice").Open(t)
		if s := request(t, p, http.MethodDelete, p.URL); s.Status >= 300 {
			t.Fatalf("DELETE: %d", s.Status)
		}
		if a := p.CallTool(t, "echo", nil); a.Status != http.StatusNotFound {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	}},
	{number: 24, name: "a session authenticates nobody", hold: func(v visit) {
		t, o := v.T, v.office
		p := o.Peer(t, "alice").Open(t)
		p.Header.Del("Authorization")
		if a := p.CallTool(t, "echo", nil); a.Status != http.StatusUnauthorized {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	}},
	{number: 25, name: "a session is its maker's", hold: func(v visit) {
		t, o := v.T, v.office
		id := o.Peer(t, "alice").Open(t).Header.Get("Mcp-Session-Id")
		thief := o.Peer(t, "mallory").With("Mcp-Session-Id", id, "Mcp-Protocol-Version", httpx.Sessions)
		if a := thief.CallTool(t, "echo", nil); a.Status != http.StatusNotFound {
			t.Errorf("POST: %d %s", a.Status, a.Body)
		}
		for _, method := range []string{http.MethodGet, http.MethodDelete} {
			if s := request(t, thief, method, thief.URL); s.Status != http.StatusNotFound {
				t.Errorf("%s: %d", method, s.Status)
			}
		}
	}},
	{number: 26, name: "a state handle is its principal's", test: "mcpsec.TestEdgeForgedApproval"},
	{number: 27, name: "event ids replay nothing of others", hold: func(v visit) {
		t, o := v.T, v.office
		p := o.Peer(t, "mallory").Open(t)
		s := request(t, p, http.MethodGet, p.URL, "Last-Event-ID", "AAAA_0")
		if s.Status == http.StatusOK {
			if line := s.Line(); !strings.HasPrefix(line, ":") {
				t.Errorf("replayed: %q", line)
			}
		}
	}},
}

// hostStatus asks for a host by another name.
func hostStatus(t *testing.T, s *site.Site, host string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/mcp", strings.NewReader(modernCall))
	if err != nil {
		t.Fatal(err)
	}
	p := s.Peer(t, "alice").With("Mcp-Protocol-Version", httpx.Sessionless, "Mcp-Method", "tools/call", "Mcp-Name", "echo", "Content-Type", "application/json", "Accept", "application/json, text/event-stream")
	r.Header, r.Host = p.Header, host
	res, err := p.HTTP.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	return res.StatusCode
}
