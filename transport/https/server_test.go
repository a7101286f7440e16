package https

import (
	"testing"

	"github.com/mcpsec/mcpsec-go/internal/test/httpx"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

func look(t *testing.T, a *httpx.Answer) string {
	t.Helper()
	var res struct {
		Content []struct{ Text string }
		IsError bool
	}
	if err := a.Result(&res); err != nil {
		t.Fatalf("%d %v %s", a.Status, err, a.Body)
	}
	if res.IsError || len(res.Content) != 1 {
		t.Fatalf("%s", a.Body)
	}
	return res.Content[0].Text
}

func TestServesBothRevisions(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	p := r.peer("alice")
	if got := look(t, p.As("agent").CallTool(t, "look", map[string]any{"text": "a"})); got != "Mcp-Name sub:alice|a" {
		t.Errorf("saw %q", got)
	}
	if got := look(t, p.Open(t).CallTool(t, "look", map[string]any{"text": "b"})); got != "Mcp-Session-Id sub:alice|b" {
		t.Errorf("saw %q", got)
	}
	cs := p.Connect(t, nil)
	res, err := cs.CallTool(t.Context(), &mcp.CallToolParams{Name: "look", Arguments: map[string]any{"text": "c"}})
	if err != nil || res.IsError {
		t.Fatal(res, err)
	}
	for _, c := range r.record.Await(t, "tools/call", 3) {
		if c.Principal.Subject != "alice" {
			t.Errorf("principal %v", c.Principal)
		}
	}
}

func TestServesSSE(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	p := r.peer("alice")
	p.URL = "https://" + r.addr + "/sse"
	stream := r.open("GET", "/sse", "", "Authorization", "Bearer alice")
	in := lines(t, stream.Body)
	line, ok := awaitLine(t, in, "data: /sse?sessionid=")
	if !ok {
		t.Fatal("no endpoint")
	}
	path := line[len("data: "):]
	post := func(token, body string) int {
		return r.do("POST", path, body, "Authorization", "Bearer "+token).Status
	}
	if got := post("alice", `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2024-11-05","capabilities":{},"clientInfo":{"name":"x","version":"1"}}}`); got != 202 {
		t.Fatal(got)
	}
	if line, ok = awaitLine(t, in, `data: {"jsonrpc":"2.0","id":1`); !ok {
		t.Fatal("no answer")
	}
	t.Log(line)
	post("alice", `{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	if got := post("mallory", `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"look","arguments":{"text":"stolen"}}}`); got != 404 {
		t.Errorf("somebody else's message was answered with %d", got)
	}
	post("alice/fresh", `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"look","arguments":{"text":"z"}}}`)
	if line, ok = awaitLine(t, in, `data: {"jsonrpc":"2.0","id":2`); !ok {
		t.Fatal("no answer")
	}
	t.Log(line)
	if c := r.record.Await(t, "tools/call", 1)[0]; c.Principal.Subject != "alice" {
		t.Errorf("%v", c.Principal)
	}
	_ = stream.Body.Close()
	until(t, "the session's end", r.open0)
}
