package https_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/internal/test/clients/site"
	"github.com/mcpsec/mcpsec-go/internal/test/httpx"
	"github.com/mcpsec/mcpsec-go/mcpsec"
	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

func name(n int, text string) string { return fmt.Sprintf("%02d %s", n, text) }

// people are tokens of a table: alice, mallory, and two of one user id.
func people(h http.Handler) http.Handler {
	return httpx.Bearer(h, map[string]*auth.TokenInfo{
		"alice": httpx.Token("one", "alice"), "mallory": httpx.Token("one", "mallory"),
		"other": httpx.Token("two", "alice"), "nameless": {Expiration: time.Now().Add(time.Hour)},
	})
}

// tenants is a bare SDK behind the SDK's own check of tokens.
func tenants(t *testing.T, tools func(*mcpsec.Guard, *mcp.Server)) *site.Bare {
	t.Helper()
	return site.NewBare(t, site.Plan{Tools: tools}, people)
}

func bearing(p *httpx.Peer, token string) *httpx.Peer {
	return p.With("Authorization", "Bearer "+token)
}

// borrowed reports whether a session that one made can be used by another.
func borrowed(t *testing.T, owner, other *httpx.Peer) bool {
	t.Helper()
	id := owner.Open(t).Header.Get("Mcp-Session-Id")
	return other.With("Mcp-Session-Id", id, "Mcp-Protocol-Version", httpx.Sessions).CallTool(t, "echo", nil).Status == http.StatusOK
}

// whoami tells what the SDK knows of the caller.
func whoami(t *testing.T) func(*mcpsec.Guard, *mcp.Server) {
	t.Helper()
	return func(g *mcpsec.Guard, s *mcp.Server) {
		site.AddTool(t, g, s, &mcp.Tool{Name: "whoami"}, func(_ context.Context, r *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, site.Say, error) {
			if r.Extra == nil || r.Extra.TokenInfo == nil || r.Extra.TokenInfo.UserID == "" {
				return nil, site.Say{Text: "nobody"}, nil
			}
			return nil, site.Say{Text: "somebody"}, nil
		})
	}
}

// anonymous reports whether a tool called over HTTP+SSE does not know by whom.
func anonymous(t *testing.T, p *httpx.Peer, origin, tool string) bool {
	t.Helper()
	sse, err := site.OpenSSE(t, p, origin)
	if err != nil {
		t.Fatal(err)
	}
	sse.Messages.Post(t, `{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{"name":"`+tool+`","arguments":{}}}`)
	_, data, err := sse.Next()
	if err != nil || !strings.Contains(data, "structuredContent") {
		t.Fatalf("%v %s", err, data)
	}
	return strings.Contains(data, "nobody") || strings.Contains(data, `"user":""`)
}

// hijacked reports whether one may post into another's session of HTTP+SSE.
func hijacked(t *testing.T, owner, other *httpx.Peer, origin string) bool {
	t.Helper()
	sse, err := site.OpenSSE(t, owner, origin)
	if err != nil {
		t.Fatal(err)
	}
	thief := other.With()
	thief.URL = sse.Messages.URL
	return thief.Post(t, echoed).Status == http.StatusAccepted
}

func batched(t *testing.T, p *httpx.Peer) bool {
	t.Helper()
	q := p.Open(t)
	q.Header.Del("Mcp-Protocol-Version")
	return q.Post(t, "["+echoed+","+strings.Replace(echoed, `"id":7`, `"id":8`, 1)+"]").Status == http.StatusOK
}

var earlyEdges = []edge{
	{number: 1, name: "a panic ends the process", both: "mcpsec.TestEdgePanicEndsTheProcess"},
	{number: 2, name: "concurrency without bound", both: "mcpsec.TestEdgeHTTPCallsAtOnce"},
	{number: 3, name: "notifications pile up", bare: func(v visit) bool {
		t := v.T
		stuck := make(chan struct{})
		defer close(stuck)
		p := site.NewBare(t, site.Plan{Options: &mcp.ServerOptions{
			ProgressNotificationHandler: func(context.Context, *mcp.ProgressNotificationServerRequest) { <-stuck },
		}}).Peer(t).Open(t)
		for range 200 {
			if a := p.Post(t, `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}`); a.Status != http.StatusAccepted {
				return false
			}
		}
		return true
	}, absent: "transport/https.TestNotificationsDoNotPileUp"},
	{number: 4, name: "HTTP+SSE knows no caller", bare: func(v visit) bool {
		t := v.T
		b := tenants(t, whoami(t))
		return anonymous(t, bearing(b.Peer(t), "alice"), b.URL, "whoami")
	}, here: func(v visit) bool { return anonymous(v.T, v.Peer(v.T, "alice"), v.URL, "seen") }},
	{number: 5, name: "HTTP+SSE sessions are anybody's", bare: func(v visit) bool {
		t := v.T
		b := tenants(t, nil)
		return hijacked(t, bearing(b.Peer(t), "alice"), bearing(b.Peer(t), "mallory"), b.URL)
	}, here: func(v visit) bool {
		t, o := v.T, v.office
		return hijacked(t, o.Peer(t, "alice"), o.Peer(t, "mallory"), o.URL)
	}},
	{number: 6, name: "a session of nobody is anybody's", bare: func(v visit) bool {
		t := v.T
		b := tenants(t, nil)
		return borrowed(t, bearing(b.Peer(t), "nameless"), bearing(b.Peer(t), "mallory"))
	}, here: func(v visit) bool { return borrowed(v.T, v.Peer(v.T, "alice"), v.Peer(v.T, "mallory")) }},
	{number: 7, name: "one user id is one user, whoever says so", bare: func(v visit) bool {
		t := v.T
		b := tenants(t, nil)
		return borrowed(t, bearing(b.Peer(t), "alice"), bearing(b.Peer(t), "other"))
	}, here: func(v visit) bool {
		t, o := v.T, v.office
		for _, claims := range []map[string]any{{"client_id": "other"}, {"tid": "other"}} {
			if borrowed(t, o.Peer(t, "alice"), o.PeerWith(t, o.TLS(t, "alice"), o.Token(t, "alice", claims))) {
				return true
			}
		}
		return borrowed(t, o.Peer(t, "alice"), o.PeerWith(t, o.TLS(t, "mallory"), o.Token(t, "alice", nil)))
	}},
	{number: 8, name: "the context's token is of the first request", both: "mcpsec.TestEdgeHTTPStaleToken"},
	{number: 9, name: "handlers see the caller's credentials", both: "mcpsec.TestEdgeHTTPCredentialsInHeader"},
	{number: 10, name: "streams outlive their token", bare: func(v visit) bool {
		t := v.T
		past := time.Now().Add(6 * time.Second) // the machine may be busy
		b := site.NewBare(t, site.Plan{}, func(h http.Handler) http.Handler {
			return httpx.Bearer(h, map[string]*auth.TokenInfo{"brief": {UserID: "brief", Expiration: past}, "alice": httpx.Token("one", "alice")})
		})
		sse, err := site.OpenSSE(t, bearing(b.Peer(t), "brief"), b.URL)
		if err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Until(past) + 100*time.Millisecond)
		sse.Messages.Set("Authorization", "Bearer alice") // another's, to make the stream speak
		sse.Messages.Post(t, echoed)
		_, data, err := sse.Next()
		return err == nil && strings.Contains(data, `"id":7`)
	}, absent: "transport/https.TestExpiredTokenEndsStreams"},
	{number: 11, name: "the verifier's error is sent", bare: func(v visit) bool {
		t := v.T
		b := site.NewBare(t, site.Plan{}, func(h http.Handler) http.Handler {
			return auth.RequireBearerToken(func(context.Context, string, *http.Request) (*auth.TokenInfo, error) {
				return nil, fmt.Errorf("%w: asking 10.1.2.3", auth.ErrInvalidToken)
			}, nil)(h)
		})
		return strings.Contains(string(bearing(b.Peer(t), "x").Post(t, echoed).Body), "10.1.2.3")
	}, absent: "transport/https.TestChallenges"},
	{number: 12, name: "the challenge says nothing", bare: func(v visit) bool {
		t := v.T
		return bearing(tenants(t, nil).Peer(t), "x").Post(t, echoed).Header.Get("WWW-Authenticate") == ""
	}, here: func(v visit) bool {
		t, o := v.T, v.office
		return !strings.Contains(o.PeerWith(t, o.TLS(t, "a"), "x").As("a").Send(t, "tools/list", nil).Header.Get("WWW-Authenticate"), `error="invalid_token"`)
	}},
	{number: 13, name: "Host counts on loopback listeners only", bare: func(v visit) bool {
		t := v.T
		s := mcp.NewServer(&mcp.Implementation{Name: "s", Version: "1"}, nil)
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://rebound.example/mcp", http.NoBody)
		w := httptest.NewRecorder() // a request without a local address, as on a public one
		mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return s }, nil).ServeHTTP(w, r)
		return w.Code != http.StatusForbidden
	}, here: func(v visit) bool { return hostStatus(v.T, v.Site, "rebound.example") < 400 }},
	{number: 14, name: "Origin counts nowhere", bare: func(v visit) bool {
		t := v.T
		b := site.NewBare(t, site.Plan{})
		return request(t, b.Peer(t), http.MethodGet, b.URL+"/sse", "Origin", "https://evil.example").Status == http.StatusOK
	}, here: func(v visit) bool {
		t, o := v.T, v.office
		return request(t, o.Peer(t, "alice"), http.MethodGet, o.URL+"/sse", "Origin", "https://evil.example").Status == http.StatusOK
	}},
	{number: 15, name: "no version header lets batches in", bare: func(v visit) bool {
		t := v.T
		return batched(t, site.NewBare(t, site.Plan{}).Peer(t))
	}, here: func(v visit) bool {
		t := v.T
		return batched(t, only(t, nil).Peer(t, "alice"))
	}},
	{number: 16, name: "batches skip the headers", bare: func(v visit) bool {
		t := v.T
		return batched(t, site.NewBare(t, site.Plan{}).Peer(t).With("Mcp-Method", "ping", "Mcp-Name", "lie"))
	}, absent: "transport/https.TestBatchIsJudgedWhole"},
	{number: 17, name: "lying headers", both: "mcpsec.TestEdgeHTTPLyingHeaders"},
	{number: 18, name: "names in base64 are refused", bare: func(v visit) bool {
		t := v.T
		return encodedName(t, site.NewBare(t, site.Plan{}).Peer(t)) != http.StatusOK
	}, here: func(v visit) bool { return encodedName(v.T, v.alice) != http.StatusOK }},
	{number: 19, name: "nobody has to initialize", both: "mcpsec.TestEdgeHTTPFabricatedInitialization"},
	{number: 20, name: "clients name themselves", both: "mcpsec.TestEdgeHTTPClientNamesItself"},
	{number: 21, name: "versions of the future get further than they should", bare: func(v visit) bool {
		t := v.T
		return future(t, site.NewBare(t, site.Plan{}).Peer(t))
	}, here: func(v visit) bool { return future(v.T, v.Peer(v.T, "alice")) }},
	{number: 22, name: "JSON is read leniently", bare: func(v visit) bool { return lenient(v.T, site.NewBare(v.T, site.Plan{}).Peer(v.T)) == len(sloppy) },
		here: func(v visit) bool { return lenient(v.T, v.Peer(v.T, "alice")) > 0 }},
	{number: 23, name: "errors repeat the parameters", bare: func(v visit) bool { return echoes(v.T, site.NewBare(v.T, site.Plan{}).Peer(v.T).Open(v.T)) },
		here: func(v visit) bool { return echoes(v.T, v.Peer(v.T, "alice").Open(v.T)) }},
	{number: 24, name: "what does not exist meets no middleware", both: "mcpsec.TestEdgeHTTPRejectedBeforeMiddleware"},
	{number: 25, name: "cancellation meets no middleware", both: "mcpsec.TestEdgeCancelledActsBeforeMiddleware"},
	{number: 26, name: "answers of clients meet no middleware", both: "mcpsec.TestEdgeClientAnswersBypassMiddleware"},
	{number: 27, name: "round trips run handlers twice", both: "mcpsec.TestEdgeCountingRoundTrips"},
}

func encodedName(t *testing.T, p *httpx.Peer) int {
	t.Helper()
	encoded := "=?base64?" + base64.StdEncoding.EncodeToString([]byte("echo")) + "?="
	return p.With("Mcp-Protocol-Version", httpx.Sessionless, "Mcp-Method", "tools/call", "Mcp-Name", encoded).Post(t, modernCall).Status
}

// future reports whether a version of the future is refused for another reason than that.
func future(t *testing.T, p *httpx.Peer) bool {
	t.Helper()
	a := p.With("Mcp-Protocol-Version", "2099-01-01").Post(t, echoed)
	return !strings.Contains(string(a.Body), "-32022")
}

// sloppy are calls that are none, and are understood all the same.
var sloppy = []string{
	modernCall + ` {"jsonrpc":"2.0"}`,
	modernCall + ` garbage`,
	strings.Replace(modernCall, `"name":"echo"`, `"name":"secret","name":"echo"`, 1),
	strings.Replace(modernCall, `"id":1`, `"id":1.7`, 1),
	strings.Replace(modernCall, `{"text":"x"}`, `{"text":"`+"\xff"+`"}`, 1),
}

func lenient(t *testing.T, p *httpx.Peer) (taken int) {
	t.Helper()
	p = p.With("Mcp-Protocol-Version", httpx.Sessionless, "Mcp-Method", "tools/call", "Mcp-Name", "echo")
	for _, body := range sloppy {
		if p.Post(t, body).Status == http.StatusOK {
			taken++
		}
	}
	return taken
}

func echoes(t *testing.T, p *httpx.Peer) bool {
	t.Helper()
	a := p.Post(t, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":{"hush":"s3cr3t-value"}}}`)
	return strings.Contains(string(a.Body), "s3cr3t-value")
}
