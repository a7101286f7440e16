package lock

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// A stern judge lets no list pass.
type stern struct{ lenient }

func (*stern) page(context.Context, Kind, page) *mcpsec.Denial { return codeUnapproved.Deny("no") }

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Whatever status, type, encoding or method an answer has, nothing in it that was not
// judged reaches the client of the SDK.
func TestNeg49NothingUnjudgedOverHTTP(t *testing.T) {
	t.Parallel()
	const (
		list = `"result":{"tools":[{"name":"evil","inputSchema":{"type":"object"}}]}`
		one  = `{"jsonrpc":"2.0","id":1,` + list + `}`
	)
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, err := z.Write([]byte("data: " + one + "\n\n"))
	if err != nil || z.Close() != nil {
		t.Fatal("gzip")
	}
	bodies := map[string]string{
		"a message": one, "an event": "data: " + one + "\n\n", "an event without its end": "data: " + one,
		"events after another": "data: {}\n\ndata: " + one + "\n\n", "old ends of lines": "data: " + one + "\r\r",
		"a byte order mark": "\ufeffdata: " + one + "\n\n", "zipped": zipped.String(), "a batch": "[" + one + "]",
		"two messages": one + "\n" + one, "an error beside": `{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"m"},` + list + `}`,
		"another id": strings.Replace(one, `"id":1`, `"id":2`, 1), "an id as text": strings.Replace(one, `"id":1`, `"id":"1"`, 1),
		"an event behind an error": `{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"m\n\n"}}` + "\n\ndata: " + one + "\n\n",
		"members twice":            `{"jsonrpc":"2.0","id":7,"id":1,"Result":{},` + list + `}`,
	}
	statuses := []int{101, 200, 202, 204, 206, 299, 301, 303, 304, 307, 400, 401, 404, 405, 429, 500, 503, 700}
	types := [][]string{
		nil, {""}, {"text/event-stream"}, {"TEXT/Event-Stream; charset=utf-8"}, {"text/event-stream;"}, {"text/event-stream; ="}, {"application/json"},
		{"Application/JSON ; charset=x"}, {"application/json, text/event-stream"}, {"text/plain", "text/event-stream"},
		{"application/json", "text/event-stream"}, {"text/event-stream", "text/plain"}, {"application/octet-stream"}, {"application/json-seq"}, {"\x00"},
	}
	tried := 0
	for what, body := range bodies {
		for _, status := range statuses {
			for _, kind := range types {
				for _, method := range []string{http.MethodPost, http.MethodGet, http.MethodDelete} {
					tried++
					name := fmt.Sprintf("%s, %d %q to %s", what, status, kind, method)
					g := newGate(&stern{})
					g.identified = true
					trip := &tripper{gate: g, inner: roundTrip(func(*http.Request) (*http.Response, error) {
						return &http.Response{
							StatusCode: status, Header: http.Header{"Content-Type": kind, "Content-Encoding": {"gzip"}},
							ContentLength: -1, Body: io.NopCloser(strings.NewReader(body)),
						}, nil
					})}
					if err := g.outgoing(t.Context(), request(t, 1, "tools/list", `{}`)); err != nil { // it may be resumed
						t.Fatal(err)
					}
					ask := ""
					if method == http.MethodPost {
						ask = `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}`
					}
					req, err := http.NewRequestWithContext(t.Context(), method, "https://example.com/", strings.NewReader(ask))
					if err != nil {
						t.Fatal(err)
					}
					req.Header.Set("Last-Event-ID", "7")
					resp, err := trip.RoundTrip(req)
					if err != nil {
						continue // nothing came
					}
					got, err := io.ReadAll(resp.Body)
					_ = resp.Body.Close()
					if err != nil {
						t.Errorf("%s: %v", name, err)
					}
					if bytes.Contains(got, []byte("evil")) || bytes.HasPrefix(got, []byte{0x1f, 0x8b}) {
						t.Errorf("%s: %q reached the client", name, got)
					}
					if len(resp.Header.Values("Content-Type")) != 1 {
						t.Errorf("%s: the client may read another type", name)
					}
				}
			}
		}
	}
	t.Logf("%d answers", tried)
}

// What is an error stays one, so that the client learns why.
func TestErrorsOfAnswersWithoutSuccessPass(t *testing.T) {
	t.Parallel()
	g := newGate(&stern{})
	trip := &tripper{gate: g, inner: roundTrip(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusBadRequest, Body: io.NopCloser(strings.NewReader(`{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"no such thing"}}`))}, nil
	})}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://example.com/", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := trip.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	body, err := readBody(resp.Body, maxError)
	if err != nil {
		t.Fatal(err)
	}
	msg, err := jsonrpc.DecodeMessage(body)
	if got, ok := msg.(*jsonrpc.Response); err != nil || !ok || got.Error == nil || !strings.Contains(got.Error.Error(), "no such thing") {
		t.Errorf("%s, %v", body, err)
	}
}

// A stream that ends without an answer and cannot be resumed leaves no note behind, else
// 4096 of them would be the end of the connection.
func TestStreamsThatEndAreForgotten(t *testing.T) {
	t.Parallel()
	for body, left := range map[string]int{"": 0, "data:\n\n": 0, "id: 7\ndata:\n\n": 1, "id:  \ndata:\n\n": 0} {
		g := newGate(&stern{})
		g.identified = true
		trip := &tripper{gate: g, inner: roundTrip(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"text/event-stream"}}, Body: io.NopCloser(strings.NewReader(body))}, nil
		})}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://example.com/", strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}`))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := trip.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if len(g.asked) != left {
			t.Errorf("%q: %d requests wait", body, len(g.asked))
		}
	}
}
