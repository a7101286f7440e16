package mcpsec_test

import (
	"bufio"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// Trap 6: the message endpoint of HTTP+SSE reads whatever it is sent. Since v1.8.0
// the SDK has a bound of its own, which an option lifts; the guard's frame does not
// depend on it.
func TestTrapSSEBodyCap(t *testing.T) {
	t.Parallel()
	const size = 8 << 20
	post := func(t *testing.T, frame func(http.Handler) http.Handler, server *mcp.Server) int {
		t.Helper()
		h := mcp.NewSSEHandler(func(*http.Request) *mcp.Server { return server }, &mcp.SSEOptions{MaxRequestBodyBytes: -1})
		web := httptest.NewServer(frame(h))
		defer web.Close()
		get, err := http.NewRequestWithContext(t.Context(), http.MethodGet, web.URL, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		get.Header.Set("Accept", "text/event-stream")
		stream, err := web.Client().Do(get)
		if err != nil {
			t.Fatal(err)
		}
		defer stream.Body.Close()
		var endpoint string
		for lines := bufio.NewScanner(stream.Body); endpoint == "" && lines.Scan(); {
			if path, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				endpoint = web.URL + path
			}
		}
		body := `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":{"pad":"` + strings.Repeat("x", size) + `"}}}`
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, endpoint, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		res, err := web.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		return res.StatusCode
	}
	t.Run("bare", func(t *testing.T) {
		t.Parallel()
		same := func(h http.Handler) http.Handler { return h }
		if code := post(t, same, mcp.NewServer(implementation, nil)); code != http.StatusAccepted {
			t.Fatalf("%d bytes were answered with %d: the SDK no longer reads them", size, code)
		}
	})
	t.Run("guarded", func(t *testing.T) {
		t.Parallel()
		var rec recorder
		r := guarded(t, nil, rec.at(mcpsec.StageAudit))
		r.install()
		if code := post(t, r.guard.Handler, r.server); code != http.StatusRequestEntityTooLarge {
			t.Fatalf("answered %d", code)
		}
		if codes := rec.denials(""); !slices.Equal(codes, []string{"guard.malformed"}) {
			t.Errorf("recorded %v", codes)
		}
	})
	t.Run("guarded: a message that fits is answered on the stream", func(t *testing.T) {
		t.Parallel()
		r := guarded(t, nil)
		addTool(r, &mcp.Tool{Name: "read"}, readTool)
		r.install()
		web := httptest.NewServer(r.guard.Handler(mcp.NewSSEHandler(func(*http.Request) *mcp.Server { return r.server }, nil)))
		defer web.Close()
		cs, err := mcp.NewClient(implementation, nil).Connect(t.Context(), &mcp.SSEClientTransport{Endpoint: web.URL}, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.client = cs
		r.mustCall("read", noteArgs{"x"})
		_ = cs.Close()
	})
}
