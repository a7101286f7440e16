package site

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/mcpsec/mcpsec-go/internal/test/httpx"
)

// A Stream is an open answer of events.
type Stream struct {
	Status   int
	Header   http.Header
	Comments int // seen so far

	body  io.ReadCloser
	lines *bufio.Reader
	stop  context.CancelFunc
}

// Open sends a request with the peer's headers, and returns its answer, whose body is still
// to come. It ends with the test.
func Open(tb testing.TB, p *httpx.Peer, method, url, body string) (*Stream, error) {
	tb.Helper()
	ctx, stop := context.WithCancel(context.Background())
	tb.Cleanup(stop)
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		stop()
		return nil, err
	}
	r.Header = p.Header.Clone()
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Accept", "application/json, text/event-stream")
	} else {
		r.Header.Set("Accept", "text/event-stream")
	}
	res, err := p.HTTP.Do(r)
	if err != nil {
		stop()
		return nil, err
	}
	tb.Cleanup(func() { _ = res.Body.Close() })
	return &Stream{Status: res.StatusCode, Header: res.Header, body: res.Body, lines: bufio.NewReaderSize(res.Body, 1024), stop: stop}, nil
}

// Close ends the stream.
func (s *Stream) Close() { s.stop(); _ = s.body.Close() }

// Next returns the next event: its name and data.
func (s *Stream) Next() (event, data string, err error) {
	for {
		line, err := s.lines.ReadString('\n')
		if err != nil {
			return "", "", err
		}
		line = strings.TrimRight(line, "\r\n")
		switch {
		case strings.HasPrefix(line, ":"):
			s.Comments++
		case strings.HasPrefix(line, "event:"):
			event = strings.TrimSpace(line[len("event:"):])
		case strings.HasPrefix(line, "data:"):
			data += strings.TrimSpace(line[len("data:"):])
		case line == "" && data != "":
			return event, data, nil
		}
	}
}

// Line returns the next line that is not empty, a comment or not; empty at the end.
func (s *Stream) Line() string {
	for {
		line, err := s.lines.ReadString('\n')
		if line = strings.TrimRight(line, "\r\n"); line != "" || err != nil {
			return line
		}
	}
}

// An SSE is a session of HTTP+SSE.
type SSE struct {
	*Stream

	Messages *httpx.Peer // posts messages
}

// OpenSSE opens a session of HTTP+SSE and initializes it.
func OpenSSE(tb testing.TB, p *httpx.Peer, origin string) (*SSE, error) {
	tb.Helper()
	s, err := Open(tb, p, http.MethodGet, origin+"/sse", "")
	if err != nil {
		return nil, err
	}
	if s.Status != http.StatusOK {
		return nil, fmt.Errorf("GET /sse: %d", s.Status)
	}
	event, data, err := s.Next()
	if err != nil || event != "endpoint" {
		return nil, fmt.Errorf("the first event is %q %q: %w", event, data, err)
	}
	q := p.With()
	q.URL = origin + data
	for _, m := range []string{
		`{"jsonrpc":"2.0","id":"init","method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"site","version":"1"}}}`,
		`{"jsonrpc":"2.0","method":"notifications/initialized"}`,
	} {
		if a := q.Post(tb, m); a.Status != http.StatusAccepted {
			return nil, fmt.Errorf("%s: %d %s", m, a.Status, a.Body)
		}
		if strings.Contains(m, `"id"`) {
			if _, _, err := s.Next(); err != nil {
				return nil, err
			}
		}
	}
	return &SSE{s, q}, nil
}
