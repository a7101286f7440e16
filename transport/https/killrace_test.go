package https

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/transport/https/internal/stream"
)

// A body that is still under way when the kill switch is thrown brings no call.
func TestKillSwitchStopsBodiesUnderWay(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"frozen", "revoked"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, nil)
			body, send := io.Pipe()
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+r.addr+"/mcp", body)
			if err != nil {
				t.Fatal(err)
			}
			for i := 0; i < len(currentHeader); i += 2 {
				req.Header.Set(currentHeader[i], currentHeader[i+1])
			}
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("Accept", "application/json, text/event-stream")
			status := make(chan string, 1)
			go func() {
				res, err := r.client.Do(req)
				if err != nil {
					status <- err.Error()
					return
				}
				defer res.Body.Close()
				raw, err := io.ReadAll(res.Body)
				status <- fmt.Sprint(res.StatusCode, " ", string(raw), err)
			}()
			text := callBody("look")
			if _, err := io.WriteString(send, text[:10]); err != nil {
				t.Fatal(err)
			}
			until(t, "a body that is read", func() bool { return r.server.streams.Count(stream.Reading) == 1 })
			if how == "frozen" {
				r.server.Freeze(of("alice"), "stolen laptop")
			} else {
				r.tokens.revoke("alice")
			}
			_, _ = io.WriteString(send, text[10:]) // the server may have answered already
			_ = send.Close()
			if got := <-status; !strings.HasPrefix(got, map[string]string{"frozen": "403 ", "revoked": "401 "}[how]) {
				t.Errorf("after the principal was %s its call ran: %s", how, got)
			}
		})
	}
}

// The kill switch falls between the two entries of a session over HTTP+SSE.
func TestFreezeWhileAnEventSessionOpens(t *testing.T) {
	t.Parallel()
	s, err := New(newRig(t, nil).server.config)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	frozen := false
	s.now = func() time.Time {
		if !frozen && s.streams.Count(stream.Session)+s.streams.Count(stream.Stream) == 1 {
			frozen = true
			s.Freeze(of("alice"), "a stolen token")
		}
		return time.Now()
	}
	r := request(t.Context(), "")
	r.Method, r.RequestURI, r.URL.Path = http.MethodGet, "/sse", "/sse"
	r.Header = http.Header{"Authorization": {"Bearer alice"}, "Accept": {"text/event-stream"}}
	w := &memory{head: make(http.Header)}
	s.serveHTTP(w, r)
	if !frozen || w.code == http.StatusOK {
		t.Errorf("frozen %v: %d %s", frozen, w.code, w.body.Bytes())
	}
	until(t, "the end of both", func() bool { return s.streams.Count(stream.Session)+s.streams.Count(stream.Stream) == 0 })
}
