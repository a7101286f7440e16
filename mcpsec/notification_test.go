package mcpsec

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// witnessed is a guard in force and what it records, each as method and code.
func witnessed(t *testing.T) (*Guard, *[]string) {
	t.Helper()
	var seen []string
	g, err := New(At(StageAudit, "record", ControlFunc(func(next Handler) Handler {
		return func(ctx context.Context, call *Call) (mcp.Result, error) {
			res, err := next(ctx, call)
			line := call.Method
			if d := AsDenial(err); d != nil {
				line += " " + d.Code
			}
			seen = append(seen, line)
			return res, err
		}
	})))
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Install(mcp.NewServer(&mcp.Implementation{Name: "s", Version: "1"}, nil)); err != nil {
		t.Fatal(err)
	}
	seen = nil // of the probes
	return g, &seen
}

// notify posts a notification of progress, of which params are the parameters.
func notify(ctx context.Context, h http.Handler, params string, header ...string) int {
	body := `{"jsonrpc":"2.0","method":"notifications/progress","params":` + params + `}`
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/mcp", strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code
}

const someProgress = `{"progressToken":1,"progress":1}`

// What the SDK accepts and the middleware does not get is not accepted here, and comes too
// late from then on.
func TestNotificationNobodyTakes(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]bool{"the message is lost": false, "the client leaves": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g, seen := witnessed(t)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				var token string
				began := time.Now()
				code := notify(ctx, g.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					token = r.Header.Get(frameHeader)
					if leave {
						cancel()
					}
					w.WriteHeader(http.StatusAccepted)
				})), someProgress)
				if took := time.Since(began); code != http.StatusServiceUnavailable || leave != (took == 0) || took > takeTTL {
					t.Errorf("answered with %d after %v", code, took)
				}
				if len(*seen) != 1 || (*seen)[0] != "notifications/progress guard.rejected" {
					t.Errorf("recorded %v", *seen)
				}
				if _, known := g.frames.of(&mcp.RequestExtra{Header: http.Header{frameHeader: {token}}}); known || token == "" {
					t.Error("the middleware would still take what was refused")
				}
				if held := g.frames.held.Load(); held != 0 {
					t.Errorf("%d frames are held", held)
				}
			})
		})
	}
}

// The POST waits for the middleware alone: not where a session outlasts it, nor for what the
// SDK refuses by itself.
func TestNotificationsThatDoNotWait(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		header []string
		answer int
	}{
		"in a session":         {[]string{"Mcp-Session-Id", "s", "Mcp-Protocol-Version", "2025-11-25"}, http.StatusAccepted},
		"refused by the SDK":   {[]string{"Mcp-Protocol-Version", statelessVersion}, http.StatusBadRequest},
		"taken while it waits": {[]string{"Mcp-Protocol-Version", statelessVersion}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g, _ := witnessed(t)
				began := time.Now()
				code := notify(t.Context(), g.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if c.answer != 0 {
						w.WriteHeader(c.answer)
						return
					}
					var done atomic.Bool
					go func() { // as the SDK does, if it has not ended the session
						<-time.After(time.Second)
						done.Store(true)
						f, known := g.frames.of(&mcp.RequestExtra{Header: r.Header})
						if !known {
							t.Error("the frame is gone")
							return
						}
						f.seen.Store(true)
					}()
					w.WriteHeader(http.StatusAccepted)
					if !done.Load() {
						t.Error("accepted before it was taken")
					}
					synctest.Wait()
				})), someProgress, c.header...)
				want, within := c.answer, time.Duration(0)
				if want == 0 {
					want, within = http.StatusAccepted, time.Second
				}
				if took := time.Since(began); code != want || took != within {
					t.Errorf("answered with %d after %v", code, took)
				}
				if name == "in a session" {
					<-time.After(frameTTL) // it waits for the middleware until then
				}
				synctest.Wait()
				if held := g.frames.held.Load(); held != 0 {
					t.Errorf("%d frames are held", held)
				}
			})
		})
	}
}

// The attack: notifications that the SDK accepts and cannot decode. Nobody would record them,
// and each would hold a frame for a minute, of which there are only so many.
func TestNotificationsNobodyCanDecode(t *testing.T) {
	t.Parallel()
	g, seen := witnessed(t)
	server := mcp.NewServer(&mcp.Implementation{Name: "s", Version: "1"}, nil)
	h := g.Handler(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &mcp.StreamableHTTPOptions{Stateless: true}))
	for _, params := range []string{
		`{"progressToken":1,"progress":"half"}`, `{"progressToken":1,"progress":1,"message":1}`, `{"progressToken":1,"progress":1,"_meta":1}`, `{"total":[]}`,
	} {
		*seen = nil
		code := notify(t.Context(), h, params, "Accept", "application/json, text/event-stream", "Content-Type", "application/json",
			"Mcp-Protocol-Version", statelessVersion, "Mcp-Method", "notifications/progress")
		if code != http.StatusBadRequest || len(*seen) != 1 || (*seen)[0] != "notifications/progress guard.malformed" {
			t.Errorf("%s: answered with %d, recorded %v", params, code, *seen)
		}
	}
	if held := g.frames.held.Load(); held != 0 {
		t.Errorf("%d frames are held", held)
	}
}

// The attack: one principal opens many sessions and lets notifications pile up in all of them,
// until nobody else's messages are taken.
func TestOnePrincipalFillsTheFrames(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g, _ := witnessed(t)
		h := g.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) }))
		post := func(subject string, n int) int {
			ctx := WithPrincipal(t.Context(), Principal{Rung: Token, Issuer: "i", Subject: subject})
			return notify(ctx, h, someProgress, "Mcp-Session-Id", strconv.Itoa(n/64), "Mcp-Protocol-Version", "2025-11-25")
		}
		for n := range maxFramesPer {
			if code := post("greedy", n); code != http.StatusAccepted {
				t.Fatalf("message %d of its share was answered with %d", n+1, code)
			}
		}
		if code := post("greedy", maxFramesPer); code != http.StatusTooManyRequests {
			t.Errorf("one more than its share was answered with %d", code)
		}
		if code := post("other", 0); code != http.StatusAccepted {
			t.Errorf("another principal was answered with %d", code)
		}
		<-time.After(frameTTL)
		synctest.Wait()
		if code := post("greedy", 0); code != http.StatusAccepted {
			t.Errorf("after they have expired it was answered with %d", code)
		}
		<-time.After(frameTTL)
		synctest.Wait()
		if len(g.frames.per) != 0 || g.frames.held.Load() != 0 {
			t.Errorf("%d frames of %d principals are remembered", g.frames.held.Load(), len(g.frames.per))
		}
	})
}

// Over the SDK's HTTP+SSE nobody comes for a frame, so that none is kept.
func TestFramesOverSSEAreNotKept(t *testing.T) {
	t.Parallel()
	g, _ := witnessed(t)
	h := g.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) }))
	for range maxFramesPer + 1 {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/sse?sessionid=S", strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"ping"}`))
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, r); w.Code != http.StatusAccepted {
			t.Fatalf("answered with %d", w.Code)
		}
	}
	if held := g.frames.held.Load(); held != 0 {
		t.Errorf("%d frames are held", held)
	}
}
