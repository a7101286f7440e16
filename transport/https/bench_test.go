package https_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/internal/test/clients/site"
	"github.com/mcpsec/mcpsec-go/internal/test/httpx"
	"github.com/mcpsec/mcpsec-go/mcpsec"
	"github.com/mcpsec/mcpsec-go/transport/https"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// callers makes a function that calls the tool echo once, as caller n.
func callers(tb testing.TB, modern bool, peers ...*httpx.Peer) func(n int) error {
	tb.Helper()
	for n, p := range peers {
		if !modern {
			peers[n] = p.Open(tb)
		}
	}
	var ids atomic.Int64
	return func(n int) error {
		p := peers[n%len(peers)]
		body := modernCall
		if !modern {
			body = fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"echo","arguments":{"text":"x"}}}`, ids.Add(1))
		}
		r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, p.URL, strings.NewReader(body))
		if err != nil {
			return err
		}
		r.Header = p.Header.Clone()
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Accept", "application/json, text/event-stream")
		if modern {
			r.Header.Set("Mcp-Protocol-Version", httpx.Sessionless)
			r.Header.Set("Mcp-Method", "tools/call")
			r.Header.Set("Mcp-Name", "echo")
		}
		res, err := p.HTTP.Do(r)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		var answer bytes.Buffer
		if _, err := answer.ReadFrom(res.Body); err != nil {
			return err
		}
		if res.StatusCode != http.StatusOK || !strings.Contains(answer.String(), `"structuredContent":{"text":"x"}`) {
			return fmt.Errorf("%d %s", res.StatusCode, answer.String())
		}
		return nil
	}
}

// subjects are the callers of a site, eight people.
func subjects(tb testing.TB, s *site.Site) []*httpx.Peer {
	tb.Helper()
	var all []*httpx.Peer
	for n := range 8 {
		all = append(all, s.Peer(tb, fmt.Sprint("caller-", n)))
	}
	return all
}

func strangers(tb testing.TB, s *site.Bare) []*httpx.Peer {
	tb.Helper()
	var all []*httpx.Peer
	for range 8 {
		all = append(all, s.Peer(tb))
	}
	return all
}

// unrecorded is a site whose guard has no controls. That of other tests remembers every call,
// which the garbage collector would read again and again.
func unrecorded(tb testing.TB) *site.Site {
	tb.Helper()
	guard, err := mcpsec.New()
	if err != nil {
		tb.Fatal(err)
	}
	server := mcp.NewServer(&mcp.Implementation{Name: "site", Version: "1"}, nil)
	site.AddTool(tb, guard, server, &mcp.Tool{Name: "echo"}, site.Echo)
	if err := guard.Install(server); err != nil {
		tb.Fatal(err)
	}
	return site.New(tb, site.Plan{Change: func(c *https.Config) { c.Guard, c.Server = guard, server }})
}

// BenchmarkCall is a call of a small tool over TLS 1.3, client and server in one process:
// the SDK alone without any authentication, and behind the listener with client certificate
// and token.
func BenchmarkCall(b *testing.B) {
	bare, s := site.NewBare(b, site.Plan{}), unrecorded(b)
	for _, revision := range []string{httpx.Sessions, httpx.Sessionless} {
		for _, n := range []int{1, 64} {
			modern := revision == httpx.Sessionless
			for name, call := range map[string]func(int) error{
				"bare":     callers(b, modern, strangers(b, bare)...),
				"listener": callers(b, modern, subjects(b, s)...),
			} {
				b.Run(fmt.Sprintf("%s/%d/%s", revision, n, name), func(b *testing.B) {
					b.ReportAllocs()
					var next atomic.Int64
					var all sync.WaitGroup
					for who := range n {
						all.Go(func() {
							for next.Add(1) <= int64(b.N) {
								if err := call(who); err != nil {
									b.Error(err)
									return
								}
							}
						})
					}
					all.Wait()
				})
			}
		}
	}
}

// BenchmarkParse is the strict reading of a message of 2 KiB, which both transports do.
func BenchmarkParse(b *testing.B) {
	message := []byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"text":"` +
		strings.Repeat("lorem ipsum ", 150) + `","list":[1,2,3,{"deep":[true,false,null]}],"more":"\u00e9\n"}}}`)
	b.SetBytes(int64(len(message)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := mcpsec.ReadMessage(message); err != nil {
			b.Fatal(err)
		}
	}
}

// The listener keeps at least nine tenths of the throughput that the SDK has alone behind
// crypto/tls, at 64 callers. It is measured in turns, since the machine is shared, and the
// best turns are compared.
func TestThroughput(t *testing.T) {
	if !*whole {
		t.Skip("reason: it needs a quiet machine: make test-clients")
	}
	bare, s := site.NewBare(t, site.Plan{}), unrecorded(t)
	for _, revision := range []string{httpx.Sessions, httpx.Sessionless} {
		t.Run(revision, func(t *testing.T) {
			modern := revision == httpx.Sessionless
			ours, theirs := callers(t, modern, subjects(t, s)...), callers(t, modern, strangers(t, bare)...)
			var mine, yours []float64
			for range 6 {
				yours = append(yours, rate(t, theirs))
				mine = append(mine, rate(t, ours))
			}
			ratio := slices.Max(mine) / slices.Max(yours)
			t.Logf("calls a second: %.0f bare, %.0f here, ratio %.2f", slices.Max(yours), slices.Max(mine), ratio)
			if ratio < 0.9 {
				t.Errorf("the throughput is %.2f of the SDK's alone", ratio)
			}
		})
	}
}

func rate(t *testing.T, call func(int) error) float64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	var count atomic.Int64
	var all sync.WaitGroup
	for who := range 64 {
		all.Go(func() {
			for ctx.Err() == nil {
				if err := call(who); err != nil {
					t.Error(err)
					return
				}
				count.Add(1)
			}
		})
	}
	all.Wait()
	return float64(count.Load())
}
