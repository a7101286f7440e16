package https_test

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/internal/test/clients/site"
	"github.com/mcpsec/mcpsec-go/mcpsec"
	"github.com/mcpsec/mcpsec-go/transport/https"
	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

var featureDuties = []duty{
	{number: 50, name: "a human in the loop", why: "asking a human is the client's; control allowlist can demand an approval"},
	{number: 51, name: "annotations are not trusted", why: "the listener never reads them"},
	{number: 52, name: "tool inputs are validated", hold: func(v visit) {
		t, o := v.T, v.office
		a := o.alice.CallTool(t, "echo", map[string]any{"text": 7})
		if strings.Contains(string(a.Body), "structuredContent") || !strings.Contains(string(a.Body), "rror") {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	}},
	{number: 53, name: "access is controlled", hold: func(v visit) {
		t, o := v.T, v.office
		able := o.PeerWith(t, o.TLS(t, "mallory"), o.Token(t, "mallory", map[string]any{"scope": "secrets"})).As("mallory")
		refused, unknown := able.CallTool(t, "secret", nil), able.CallTool(t, "no_such", nil)
		if refused.Status != unknown.Status || !strings.Contains(string(refused.Body), "-32602") {
			t.Errorf("%d %s, and %d %s for what does not exist", refused.Status, refused.Body, unknown.Status, unknown.Body)
		}
		for _, c := range o.Record.Await(t, "tools/call", 1) {
			if c.Name == "secret" && c.Principal.Subject == "mallory" && c.Code == "" {
				t.Error("mallory was served")
			}
		}
	}},
	{number: 54, name: "calls are limited in rate", hold: func(v visit) {
		t, o := v.T, v.office
		for range 2 {
			ok(t, o.alice.CallTool(t, "scarce", nil))
		}
		if wire, ok := errors.AsType[*jsonrpc.Error](o.alice.CallTool(t, "scarce", nil).Result(nil)); !ok || wire.Code != -32029 {
			t.Errorf("the third call: %v", wire)
		}
		ok(t, o.mallory.CallTool(t, "scarce", nil))
	}},
	{number: 55, name: "tool outputs can be sanitized", hold: func(v visit) {
		t, o := v.T, v.office
		if a := o.alice.CallTool(t, "dirty", map[string]any{"text": "dirt"}); !strings.Contains(string(a.Body), `"clean"`) {
			t.Errorf("%s", a.Body)
		}
	}},
	{number: 56, name: "outputs fit their schema", hold: func(v visit) {
		t, o := v.T, v.office
		if a := o.alice.CallTool(t, "lies", nil); strings.Contains(string(a.Body), `"structuredContent":{"number":1}`) {
			t.Errorf("%s", a.Body)
		}
	}},
	{number: 57, name: "names of tools", test: "mcpsec.TestEdgeToolNames"},
	{number: 58, name: "lists do not depend on the connection", hold: func(v visit) {
		t, o := v.T, v.office
		first := o.Peer(t, "alice").As("a").Send(t, "tools/list", nil)
		ok(t, o.alice.CallTool(t, "echo", nil))
		second := o.Peer(t, "alice").As("b").Send(t, "tools/list", nil)
		if a, b := listed(t, first.Body), listed(t, second.Body); a != b || a == "" {
			t.Errorf("%s\n%s", a, b)
		}
	}},
	{number: 59, name: "lists are cached for their caller alone", test: "mcpsec.TestEdgeFilteredListsLeak"},
	{number: 60, name: "URIs of resources are looked up, not opened", hold: func(v visit) {
		t, o := v.T, v.office
		for _, uri := range []string{"file:///etc/passwd", "x://doc/../secret", "x://doc?y", "../x"} {
			a := o.alice.With("Mcp-Name", uri).Send(t, "resources/read", map[string]any{"uri": uri})
			if a.Result(nil) == nil {
				t.Errorf("%s: %s", uri, a.Body)
			}
		}
	}},
	{number: 61, name: "access to resources is controlled", hold: func(v visit) {
		t, o := v.T, v.office
		ok(t, o.alice.With("Mcp-Name", "x://secret").Send(t, "resources/read", map[string]any{"uri": "x://secret"}))
		if a := o.mallory.With("Mcp-Name", "x://secret").Send(t, "resources/read", map[string]any{"uri": "x://secret"}); a.Result(nil) == nil {
			t.Errorf("%s", a.Body)
		}
	}},
	{number: 62, name: "prompts pass the controls", hold: func(v visit) {
		t, o := v.T, v.office
		ok(t, o.alice.Send(t, "prompts/get", map[string]any{"name": "prompt"}))
		if a := o.mallory.Send(t, "prompts/get", map[string]any{"name": "prompt"}); a.Result(nil) == nil {
			t.Errorf("%s", a.Body)
		}
	}},
	{number: 63, name: "completion passes the controls", hold: func(v visit) {
		t, o := v.T, v.office
		params := map[string]any{"ref": map[string]any{"type": "ref/prompt", "name": "prompt"}, "argument": map[string]any{"name": "a", "value": ""}}
		ok(t, o.alice.Send(t, "completion/complete", params))
		if a := o.mallory.Send(t, "completion/complete", params); a.Result(nil) == nil {
			t.Errorf("%s", a.Body)
		}
	}},
	{number: 64, name: "what is in log notifications", why: "their content is the author's; they go to the principal whose call they belong to"},
	{number: 65, name: "no log notification that was not asked for", hold: func(v visit) {
		t, o := v.T, v.office
		a := o.alice.CallTool(t, "logs", nil)
		ok(t, a)
		if strings.Contains(string(a.Body), "notifications/message") || strings.Contains(string(a.Body), "unasked") {
			t.Errorf("%s", a.Body)
		}
	}},
	{number: 66, name: "progress keeps its order", test: "transport/https.TestRotation"},
	{number: 67, name: "calls end in time", hold: func(v visit) {
		t := v.T
		o := &office{parked: make(map[string]*parking)}
		o.Site = site.New(t, site.Plan{
			Tools:  func(g *mcpsec.Guard, s *mcp.Server) { site.AddTool(t, g, s, &mcp.Tool{Name: "park"}, o.park) },
			Change: func(c *https.Config) { c.Limits.Call = 200 * time.Millisecond },
		})
		p := o.Peer(t, "alice").As("alice")
		for n := 0; ; n++ {
			name := "late-" + strconv.Itoa(n)
			a := p.CallTool(t, "park", map[string]any{"text": name})
			if strings.Contains(string(a.Body), `"text":"late`) {
				t.Errorf("%s", a.Body)
			}
			select {
			case <-o.parking(name).begun:
				await(t, o.parking(name).cancelled, "the end of the call")
				return
			case <-t.Context().Done():
				return
			default: // on a busy machine its time was over before it began
			}
		}
	}},
	{number: 68, name: "request states are sealed", test: "mcpsec.TestEdgeForgedApproval"},
	{number: 69, name: "and belong to one principal and call", test: "mcpsec.TestSealer"},
	{number: 70, name: "no question that was not declared", test: "mcpsec.TestAttackStateWithoutAQuestion"},
	{number: 71, name: "answers to questions are judged", test: "mcpsec.TestEdgeClientAnswersBypassMiddleware"},
	{number: 72, name: "what forms ask for", why: "the questions are the author's; sending passes the controls: mcpsec.TestEdgeClientAnswersBypassMiddleware"},
	{number: 73, name: "sampling passes the controls", test: "mcpsec.TestEdgeClientAnswersBypassMiddleware"},
	{number: 74, name: "schemas fetch nothing", hold: func(v visit) {
		t := v.T
		guard, err := mcpsec.New()
		if err != nil {
			t.Fatal(err)
		}
		err = func() (err error) {
			defer func() {
				if p := recover(); p != nil {
					err = context.Canceled // the SDK refuses a schema by panicking
				}
			}()
			return mcpsec.AddTool(guard, mcp.NewServer(&mcp.Implementation{Name: "s", Version: "1"}, nil),
				&mcp.Tool{Name: "remote", InputSchema: map[string]any{"type": "object", "$ref": "https://schemas.example/x"}}, site.Echo)
		}()
		if err == nil {
			t.Errorf("a schema elsewhere was taken: %v", err)
		}
	}},
	{number: 75, name: "nobody is whom he calls himself", test: "mcpsec.TestEdgeHTTPClientNamesItself"},
	{number: 76, name: "2026 wants its _meta", hold: func(v visit) {
		t, o := v.T, v.office
		p := o.alice.With("Mcp-Method", "tools/call", "Mcp-Name", "echo")
		if a := p.Post(t, echoed); a.Status != http.StatusBadRequest {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	}},
	{number: 77, name: "2026 needs no earlier request", hold: func(v visit) {
		t, o := v.T, v.office
		ok(t, o.Peer(t, "alice").As("fresh").CallTool(t, "echo", nil))
	}},
	{number: 78, name: "ids are strings or integers", hold: func(v visit) {
		t, o := v.T, v.office
		p := o.alice.With("Mcp-Method", "tools/call", "Mcp-Name", "echo")
		for _, id := range []string{"null", "1.5", "true", "[1]", "{}"} {
			if a := p.Post(t, strings.Replace(modernCall, `"id":1,`, `"id":`+id+`,`, 1)); a.Status != http.StatusBadRequest {
				t.Errorf("id %s: %d %s", id, a.Status, a.Body)
			}
		}
	}},
	{number: 79, name: "trace context", why: "the listener reads none"},
	{number: 80, name: "icons", why: "the client fetches them"},
	{number: 81, name: "tasks of 2025 belong to their principal", hold: func(v visit) {
		t, o := v.T, v.office
		if a := o.Peer(t, "alice").Open(t).Send(t, "tasks/get", map[string]any{"taskId": "1"}); a.Result(nil) == nil {
			t.Errorf("there are tasks: %s", a.Body)
		}
	}},
	{number: 82, name: "no list of tasks in 2026", hold: func(v visit) {
		t, o := v.T, v.office
		status(t, o.alice.Send(t, "tasks/list", nil), http.StatusNotFound, -32601)
	}},
	{number: 83, name: "HTTP+SSE only where it is enabled", hold: func(v visit) {
		t := v.T
		s := only(t, func(c *https.Config) { c.SSE = false })
		if a := request(t, s.Peer(t, "alice"), http.MethodGet, s.URL+"/sse"); a.Status != http.StatusNotFound {
			t.Errorf("%d", a.Status)
		}
	}},
	{number: 84, name: "sampling, roots and logging are deprecated", why: "nothing here builds on them"},
	{number: 85, name: "local servers are confined", why: "that is transport/stdio"},
}

// listed is the list in an answer, without what differs from message to message.
func listed(t *testing.T, body []byte) string {
	t.Helper()
	_, list, _ := strings.Cut(string(body), `"tools":`)
	list, _, _ = strings.Cut(list, `"ttlMs"`)
	return list
}
