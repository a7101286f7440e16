package https_test

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/internal/test/clients/site"
	"github.com/mcpsec/mcpsec-go/internal/test/httpx"
	"github.com/mcpsec/mcpsec-go/internal/test/issuer"
	"github.com/mcpsec/mcpsec-go/mcpsec"
	"github.com/mcpsec/mcpsec-go/transport/https/bearer"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// whole runs the long forms of tests: "make test-clients" sets it.
var whole = flag.Bool("whole", false, "run the whole of what takes minutes")

// A speaker is a tool that says a token every few milliseconds until it is told to stop, and
// then how many it said.
type speaker struct {
	stop  chan struct{}
	every time.Duration
}

type said struct {
	Count int `json:"count"`
}

func (s *speaker) speak(ctx context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, said, error) {
	tick := time.NewTicker(s.every)
	defer tick.Stop()
	for n := 1; ; n++ {
		err := req.Session.NotifyProgress(ctx, &mcp.ProgressNotificationParams{ProgressToken: req.Params.GetProgressToken(), Progress: float64(n)})
		if err != nil {
			return nil, said{}, err
		}
		select {
		case <-s.stop:
			return nil, said{n}, nil
		case <-ctx.Done():
			return nil, said{}, ctx.Err()
		case <-tick.C:
		}
	}
}

// speaking calls the speaker in the revision and transport of the kind.
func speaking(t *testing.T, s *site.Site, kind int, p *httpx.Peer) (*site.Stream, *httpx.Peer, error) {
	t.Helper()
	const params = `"name":"speak","arguments":{}`
	legacy := `{"jsonrpc":"2.0","id":"speak","method":"tools/call","params":{` + params + `,"_meta":{"progressToken":"p"}}}`
	switch kind {
	case 0: // HTTP+SSE
		sse, err := site.OpenSSE(t, p, s.URL)
		if err != nil {
			return nil, nil, err
		}
		if a := sse.Messages.Post(t, legacy); a.Status != 202 {
			return nil, nil, fmt.Errorf("%d %s", a.Status, a.Body)
		}
		return sse.Stream, sse.Messages, nil
	case 1: // a session
		q := p.Open(t)
		stream, err := site.Open(t, q, "POST", q.URL, legacy)
		return stream, q, err
	}
	q := p.With("Mcp-Protocol-Version", httpx.Sessionless, "Mcp-Method", "tools/call", "Mcp-Name", "speak")
	stream, err := site.Open(t, q, "POST", q.URL, `{"jsonrpc":"2.0","id":"speak","method":"tools/call","params":{`+params+
		`,"_meta":{"progressToken":"p","io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"x","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}}}`)
	return stream, p.As("renewing"), err
}

// listen reads what the speaker says, and returns an error if a token is lost or the stream
// ends before the speaker does.
func listen(stream *site.Stream, heard *atomic.Int64) error {
	for want := 1; ; {
		_, data, err := stream.Next()
		if err != nil {
			return fmt.Errorf("the stream ended after %d tokens: %w", want-1, err)
		}
		var m struct {
			Method string `json:"method"`
			Params struct {
				Progress int `json:"progress"`
			} `json:"params"`
			ID     any `json:"id"`
			Error  any `json:"error"`
			Result struct {
				Said said `json:"structuredContent"`
			} `json:"result"`
		}
		if err := json.Unmarshal([]byte(data), &m); err != nil {
			return err
		}
		switch {
		case m.Method == "notifications/progress":
			if m.Params.Progress != want {
				return fmt.Errorf("token %d came after %d", m.Params.Progress, want-1)
			}
			want++
			heard.Add(1)
		case m.Error != nil:
			return fmt.Errorf("%v", m.Error)
		case m.ID == "speak":
			if m.Result.Said.Count != want-1 {
				return fmt.Errorf("%d tokens were said, %d heard", m.Result.Said.Count, want-1)
			}
			return nil
		}
	}
}

// Live streams of tokens go through rotations of the server's certificate, the clients'
// authorities and the issuer's keys, with the clients' own tokens renewed on the way: no
// event is lost and no stream dropped.
func TestRotation(t *testing.T) {
	streams, rotations, every := 30, 3, 20*time.Millisecond
	if *whole {
		streams, rotations, every = 200, 50, 100*time.Millisecond
	}
	talk := &speaker{stop: make(chan struct{}), every: every}
	s := site.New(t, site.Plan{
		Controls: []mcpsec.Control{mcpsec.Settings{CallTimeout: time.Hour}},
		Tools: func(g *mcpsec.Guard, server *mcp.Server) {
			if err := mcpsec.AddTool(g, server, &mcp.Tool{Name: "speak"}, talk.speak); err != nil {
				t.Fatal(err)
			}
		},
	})
	type speech struct {
		name  string
		renew *httpx.Peer
		kind  int
	}
	var heard atomic.Int64
	var all sync.WaitGroup
	var speeches []speech
	faults := make(chan error, streams)
	for n := range streams {
		name, kind := "client-"+strconv.Itoa(n), n%3
		stream, renew, err := speaking(t, s, kind, s.Peer(t, name))
		if err != nil || stream.Status != 200 {
			t.Fatalf("stream %d: %v %+v", n, err, stream)
		}
		speeches = append(speeches, speech{name, renew, kind})
		all.Go(func() {
			if err := listen(stream, &heard); err != nil {
				faults <- fmt.Errorf("%s, kind %d: %w", name, kind, err)
			}
		})
	}
	for n := range rotations {
		s.RotateAuthority(t)
		s.RotateServer(t) // by the new one
		old := s.Issuer.Key()
		s.Issuer.Rotate(t, []string{"ES256", "EdDSA", "ES384"}[n%3])
		published(t, s)
		for _, p := range speeches {
			p.renew.Set("Authorization", "Bearer "+s.Token(t, p.name, nil))
			a := p.renew.Send(t, "tools/list", nil)
			if a.Status >= 300 {
				t.Fatalf("%s, kind %d, renews its token in rotation %d: %d %s", p.name, p.kind, n, a.Status, a.Body)
			}
		}
		s.Issuer.Retire(old)
		// A handshake from now on meets the new certificate.
		if a := s.Peer(t, "new").As("new").CallTool(t, "echo", map[string]any{"text": "x"}); a.Status != 200 {
			t.Fatalf("a new client in rotation %d: %d %s", n, a.Status, a.Body)
		}
	}
	// The keys of all tokens but the last are gone, and the streams go on.
	published(t, s)
	outlive(t, &heard, int64(streams*20))
	close(talk.stop)
	all.Wait()
	close(faults)
	for err := range faults {
		t.Error(err)
	}
	t.Logf("%d streams, %d rotations, %d tokens", streams, rotations, heard.Load())
}

// published waits until the listener knows the keys of the issuer. A key is published before
// it signs, as issuers do: an unknown key is not worth a question to the issuer each time.
func published(t *testing.T, s *site.Site) {
	t.Helper()
	// The second question is asked after the answer to the first was read.
	for end, deadline := s.Issuer.Asked(issuer.JWKS)+2, time.Now().Add(httpx.Patience); s.Issuer.Asked(issuer.JWKS) < end; {
		if time.Now().After(deadline) {
			t.Fatal("the issuer is not asked for its keys")
		}
		<-time.After(20 * time.Millisecond)
	}
}

// outlive waits until as many further tokens were heard.
func outlive(t *testing.T, heard *atomic.Int64, more int64) {
	t.Helper()
	for end, deadline := heard.Load()+more, time.Now().Add(httpx.Patience); heard.Load() < end; {
		if time.Now().After(deadline) {
			t.Errorf("the streams are silent: %d of %d", heard.Load(), end)
			return
		}
		<-time.After(50 * time.Millisecond)
	}
}

// Who is revoked is out within five seconds, whatever is open; and nobody else.
func TestRevocation(t *testing.T) {
	t.Parallel()
	for name, revoke := range map[string]func(*testing.T, *site.Site, *httpx.Peer){
		"a certificate": func(t *testing.T, s *site.Site, p *httpx.Peer) {
			t.Helper()
			s.Deny(t, certificate(t, p))
		},
		"a token": func(t *testing.T, s *site.Site, p *httpx.Peer) {
			t.Helper()
			revokeSubject(t, s, "mallory")
		},
		"a key of the issuer": func(t *testing.T, s *site.Site, p *httpx.Peer) {
			t.Helper()
			s.Issuer.Retire(s.Issuer.Key())
		},
		"a principal": func(t *testing.T, s *site.Site, p *httpx.Peer) {
			t.Helper()
			s.Listener.Freeze(func(who mcpsec.Principal) bool { return who.Subject == "mallory" }, "test")
		},
	} {
		for kind, transport := range []string{"HTTP+SSE", "a session", "2026-07-28"} {
			t.Run(name+" with "+transport, func(t *testing.T) {
				t.Parallel()
				talk := &speaker{stop: make(chan struct{}), every: 20 * time.Millisecond}
				s := site.New(t, site.Plan{Tools: func(g *mcpsec.Guard, server *mcp.Server) {
					if err := mcpsec.AddTool(g, server, &mcp.Tool{Name: "speak"}, talk.speak); err != nil {
						t.Fatal(err)
					}
				}})
				good := s.Peer(t, "alice") // signed by the key that stays
				s.Issuer.Rotate(t, "ES256")
				bad := s.Peer(t, "mallory")
				var goodHeard, badHeard atomic.Int64
				ends := [2]chan error{make(chan error, 1), make(chan error, 1)}
				for n, p := range []*httpx.Peer{good, bad} {
					stream, _, err := speaking(t, s, kind, p)
					if err != nil || stream.Status != 200 {
						t.Fatalf("%v %+v", err, stream)
					}
					go func() { ends[n] <- listen(stream, []*atomic.Int64{&goodHeard, &badHeard}[n]) }()
				}
				outlive(t, &badHeard, 5)
				since := httpx.NewStopwatch(t)
				revoke(t, s, bad)
				select {
				case err := <-ends[1]:
					if took := since.Lived(); err == nil || took > 5*time.Second {
						t.Errorf("the stream ended after %v with %v", took, err)
					}
				case <-time.After(httpx.Patience):
					t.Error("the stream is open still")
				}
				if code := statusOf(t.Context(), bad); code == 200 {
					t.Error("mallory is served again")
				}
				outlive(t, &goodHeard, 5)
				close(talk.stop)
				if err := <-ends[0]; err != nil {
					t.Errorf("alice: %v", err)
				}
			})
		}
	}
}

// certificate returns the one that a peer shows.
func certificate(t *testing.T, p *httpx.Peer) *x509.Certificate {
	t.Helper()
	transport, ok := p.HTTP.Transport.(*http.Transport)
	if !ok {
		t.Fatalf("the peer's transport is a %T", p.HTTP.Transport)
	}
	return transport.TLSClientConfig.Certificates[0].Leaf
}

func revokeSubject(t *testing.T, s *site.Site, subject string) {
	t.Helper()
	if err := s.Tokens.Revoke(bearer.Revocation{Subject: subject}); err != nil {
		t.Fatal(err)
	}
}

// statusOf sends a call and returns the status, or 0 if the connection was refused.
func statusOf(ctx context.Context, p *httpx.Peer) int {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, p.URL, strings.NewReader(modernCall))
	if err != nil {
		return 0
	}
	r.Header = p.Header.Clone()
	for name, value := range map[string]string{
		"Content-Type": "application/json", "Accept": "application/json, text/event-stream",
		"Mcp-Protocol-Version": httpx.Sessionless, "Mcp-Method": "tools/call", "Mcp-Name": "echo",
	} {
		r.Header.Set(name, value)
	}
	res, err := p.HTTP.Do(r)
	if err != nil {
		return 0
	}
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	return res.StatusCode
}

// modernCall calls the tool echo in revision 2026-07-28.
const modernCall = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"text":"x"},"_meta":{` +
	`"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"x","version":"1"},` +
	`"io.modelcontextprotocol/clientCapabilities":{}}}}`
