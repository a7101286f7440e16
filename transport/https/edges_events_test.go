package https_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/mcpsec/mcpsec-go/internal/test/clients/site"
	"github.com/mcpsec/mcpsec-go/internal/test/httpx"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// eventIDs returns the ids of the events of an answer.
func eventIDs(a *httpx.Answer) (ids []string) {
	for line := range strings.Lines(string(a.Body)) {
		if id, ok := strings.CutPrefix(line, "id:"); ok {
			ids = append(ids, strings.TrimSpace(id))
		}
	}
	return ids
}

// pushedOut reports whether what one session has stored is lost when another is busy.
func pushedOut(t *testing.T) bool {
	t.Helper()
	s := mcp.NewServer(&mcp.Implementation{Name: "s", Version: "1"}, nil)
	mcp.AddTool(s, &mcp.Tool{Name: "echo"}, site.Echo)
	store := mcp.NewMemoryEventStore(nil)
	store.SetMaxBytes(8 << 10)
	p := httpx.Serve(t, s, mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return s }, &mcp.StreamableHTTPOptions{EventStore: store}))
	one, other := p.Open(t), p.Open(t)
	ids := eventIDs(one.CallTool(t, "echo", map[string]any{"text": "mine"}))
	if len(ids) == 0 {
		t.Fatal("events have no ids")
	}
	replayed := func() bool {
		stream := request(t, one, http.MethodGet, one.URL, "Last-Event-ID", ids[0])
		defer stream.Close()
		_, data, err := stream.Next()
		return stream.Status == http.StatusOK && err == nil && strings.Contains(data, "mine")
	}
	if !replayed() {
		t.Fatal("nothing is replayed even while nobody else is busy")
	}
	for range 4 {
		ok(t, other.CallTool(t, "echo", map[string]any{"text": strings.Repeat("x", 4<<10)}))
	}
	return !replayed()
}

// stored reports whether events have ids, or one of them brings anything back.
func stored(v visit) bool {
	t, o := v.T, v.office
	p := o.Peer(t, "alice").Open(t)
	a := p.CallTool(t, "echo", map[string]any{"text": "mine"})
	ok(t, a)
	if ids := eventIDs(a); len(ids) > 0 || !strings.Contains(string(a.Body), "data:") {
		t.Logf("ids %q in %s", ids, a.Body)
		return true
	}
	stream := request(t, p, http.MethodGet, p.URL, "Last-Event-ID", "AAAA_0")
	if stream.Status != http.StatusOK {
		t.Fatalf("GET: %d", stream.Status)
	}
	return !strings.HasPrefix(stream.Line(), ":") // a comment: nothing came before it
}
