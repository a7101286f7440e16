package https

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/mcpsec/mcpsec-go/transport/https/internal/stream"
)

// heavyCall is a call of a tool whose argument is that large.
func heavyCall(id int, tool string, bytes int) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":%q,"arguments":{"text":%q}}}`,
		id, tool, strings.Repeat("x", bytes))
}

// Whoever may send 64 messages of 4 MiB at the same time could have the server hold all of
// them: what each principal has sent and is not answered is weighed, over every transport.
func TestHeavyMessagesOfOnePrincipal(t *testing.T) {
	t.Parallel()
	ways := map[string]func(r *rig, token string) (post func(body string) int){
		"current": func(r *rig, token string) func(string) int {
			return func(body string) int {
				body = strings.Replace(body, `}}}`, `},`+meta+`}}`, 1)
				tool := "look"
				if strings.Contains(body, `"park"`) {
					tool = "park"
				}
				return r.do("POST", "/mcp", body, "Authorization", "Bearer "+token, "Mcp-Protocol-Version", "2026-07-28", "Mcp-Method", "tools/call", "Mcp-Name", tool).Status
			}
		},
		"session": func(r *rig, token string) func(string) int {
			id := r.initialized(token)
			return func(body string) int {
				return r.do("POST", "/mcp", body, "Authorization", "Bearer "+token, "Mcp-Session-Id", id, "Mcp-Protocol-Version", "2025-11-25").Status
			}
		},
		"HTTP+SSE": func(r *rig, token string) func(string) int {
			_, post := r.overSSE(token)
			return post
		},
	}
	for name, open := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, func(c *Config) { c.Limits.BodiesPer, c.Limits.Bodies = 1<<20, 3<<19 })
			weight := func() int { return r.server.streams.Count(stream.Weight) }
			mallory, alice := open(r, "mallory"), open(r, "alice")

			parked := make(chan int, 1)
			go func() { parked <- mallory(heavyCall(10, "park", 900_000)) }()
			select {
			case <-r.parked:
			case got := <-parked:
				if got != http.StatusAccepted {
					t.Fatalf("the first heavy call is answered with %d", got)
				}
				parked <- got
				<-r.parked
			}
			if n := weight(); n < 900_000-light || n > 900_000 {
				t.Errorf("%d bytes are weighed", n)
			}
			if got := mallory(heavyCall(11, "look", 900_000)); got != http.StatusTooManyRequests {
				t.Errorf("the second heavy call is answered with %d", got)
			}
			refused := func() bool { return weight() < 900_000 } // what is refused weighs until that is said
			until(t, "the release of what was refused", refused)
			if got := mallory(heavyCall(12, "look", light-1000)); got >= 300 {
				t.Errorf("a light call is answered with %d", got)
			}
			if got := alice(heavyCall(13, "look", 900_000)); got != http.StatusServiceUnavailable {
				t.Errorf("beyond what the server holds of all, a call is answered with %d", got)
			}
			until(t, "the release of what was refused", refused)
			if got := alice(heavyCall(14, "look", 500_000)); got >= 300 {
				t.Errorf("a call of somebody else is answered with %d", got)
			}
			close(r.free)
			if got := <-parked; got >= 300 {
				t.Errorf("the heavy call is answered with %d", got)
			}
			until(t, "the release", func() bool { return weight() == 0 })
			if got := mallory(heavyCall(15, "look", 900_000)); got >= 300 {
				t.Errorf("after the release a call is answered with %d", got)
			}
			until(t, "the end", func() bool { return weight() == 0 })
		})
	}
}

// What is announced and does not come weighs nothing; what was sent of a body that is never
// whole is released with it.
func TestHeavyMessagesThatDoNotCome(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	weight := func() int { return r.server.streams.Count(stream.Weight) }
	body, send := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+r.addr+"/mcp", body)
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = 4 << 20
	for name, value := range map[string]string{
		"Authorization": "Bearer mallory", "Content-Type": "application/json", "Accept": "application/json, text/event-stream",
		"Mcp-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "look",
	} {
		req.Header.Set(name, value)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if res, err := r.client.Do(req); err == nil {
			_ = res.Body.Close()
		}
	}()
	write := func(n int) {
		if _, err := io.WriteString(send, strings.Repeat(" ", n)); err != nil {
			t.Error(err)
		}
	}
	write(1000)
	until(t, "the request", func() bool { return r.server.streams.Count(stream.Reading) == 1 })
	if n := weight(); n != 0 {
		t.Errorf("%d bytes are weighed, of what has not come", n)
	}
	write(light + 9000)
	until(t, "the weight of what has come", func() bool { return weight() == 10_000 })
	_ = send.CloseWithError(io.ErrUnexpectedEOF)
	<-done
	until(t, "the release", func() bool { return weight() == 0 })
}
