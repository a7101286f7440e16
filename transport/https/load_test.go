package https_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/internal/test/clients/site"
	"github.com/mcpsec/mcpsec-go/internal/test/httpx"
	"github.com/mcpsec/mcpsec-go/transport/https"
)

// idling makes the test binary a client that holds streams and nothing else, so that the
// memory of this process is the server's alone.
var idling = flag.String("idling", "", "internal: be the client of TestIdleStreams, as this file says")

// An errand is what the client process is told.
type errand struct {
	URL   string `json:"url"`
	Token string `json:"token"`
	Kind  string `json:"kind"` // "sse" or "session"
	// The client's files.
	CA   string `json:"ca"`
	Cert string `json:"cert"`
	Key  string `json:"key"`
	// Streams, and how many share a connection; several mean HTTP/2.
	Streams  int `json:"streams"`
	Together int `json:"together"`
}

// Each idle stream costs the server at most 64 KiB of memory, heap and stacks together,
// also with a connection of its own; and the server goes on to answer others.
func TestIdleStreams(t *testing.T) {
	if *idling != "" {
		idle(t)
		return
	}
	streams := 500
	if *whole {
		streams = 10_000
	}
	for _, e := range []errand{
		{Kind: "sse", Together: 1}, {Kind: "session", Together: 1}, {Kind: "session", Together: 25},
	} {
		t.Run(fmt.Sprintf("%s, %d on a connection", e.Kind, e.Together), func(t *testing.T) {
			s := site.New(t, site.Plan{Change: func(c *https.Config) {
				c.Limits = https.Limits{ConnsPer: -1, StreamsPer: -1, SessionsPer: -1}
			}})
			e.URL, e.Token, e.Streams = s.URL, s.Token(t, "idler", nil), streams
			e.CA, e.Cert, e.Key = s.ClientFiles(t, "idler")
			before := inUse()
			run(t, e)
			each := (inUse() - before) / int64(streams)
			t.Logf("%d idle streams: %d bytes each", streams, each)
			if each > 64<<10 {
				t.Errorf("an idle stream costs %d bytes", each)
			}
			if a := s.Peer(t, "other").As("other").CallTool(t, "echo", map[string]any{"text": "x"}); a.Status != http.StatusOK {
				t.Errorf("another client: %d %s", a.Status, a.Body)
			}
		})
	}
}

// inUse is the memory of this process's heap and stacks.
func inUse() int64 {
	runtime.GC()
	runtime.GC() // what finalizers and pools held
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// run starts the client process and returns when its streams are open. It ends with the test.
func run(t *testing.T, e errand) {
	t.Helper()
	file := t.TempDir() + "/errand"
	data, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run", "^TestIdleStreams$", "-idling", file)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		stop := time.AfterFunc(httpx.Patience, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		stop.Stop()
	})
	stop := time.AfterFunc(3*time.Minute, func() { _ = cmd.Process.Kill() })
	defer stop.Stop()
	answer, err := bufio.NewReader(out).ReadString('\n')
	if answer != "open\n" {
		t.Fatalf("the client process says %q: %v", answer, err)
	}
}

// idle opens the streams, says so, and holds them until standard input ends.
func idle(t *testing.T) {
	t.Helper()
	var e errand
	data, err := os.ReadFile(*idling)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &e); err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(e.Cert, e.Key)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(e.CA)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	config := &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: roots, Certificates: []tls.Certificate{pair}, ClientSessionCache: tls.NewLRUClientSessionCache(8)}

	var all sync.WaitGroup
	slots := make(chan struct{}, 8)
	for range (e.Streams + e.Together - 1) / e.Together {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			c := &http.Client{Transport: &http.Transport{TLSClientConfig: config.Clone(), ForceAttemptHTTP2: e.Together > 1}}
			for range e.Together {
				if err := e.open(c); err != nil {
					fmt.Fprintln(os.Stderr, "idling:", err)
					os.Exit(1)
				}
			}
		})
	}
	all.Wait()
	fmt.Println("open")
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0) // the streams were never meant to end well
}

// open opens one stream on which nothing will come.
func (e *errand) open(c *http.Client) error {
	if e.Kind == "sse" {
		_, err := e.do(c, http.MethodGet, "/sse", "", "")
		return err
	}
	res, err := e.do(c, http.MethodPost, "/mcp", "", `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"idler","version":"1"}}}`)
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	id := res.Header.Get("Mcp-Session-Id")
	res, err = e.do(c, http.MethodPost, "/mcp", id, `{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	if err != nil {
		return err
	}
	_ = res.Body.Close()
	_, err = e.do(c, http.MethodGet, "/mcp", id, "")
	return err
}

func (e *errand) do(c *http.Client, method, path, session, body string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(context.Background(), method, e.URL+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+e.Token)
	r.Header.Set("Accept", "text/event-stream")
	if body != "" {
		r.Header.Set("Accept", "application/json, text/event-stream")
		r.Header.Set("Content-Type", "application/json")
	}
	if session != "" {
		r.Header.Set("Mcp-Session-Id", session)
		r.Header.Set("Mcp-Protocol-Version", httpx.Sessions)
	}
	res, err := c.Do(r)
	if err != nil {
		return nil, err
	}
	if res.StatusCode >= 300 {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 1024))
		_ = res.Body.Close()
		return nil, fmt.Errorf("%s %s: %d %s", method, path, res.StatusCode, text)
	}
	return res, nil
}
