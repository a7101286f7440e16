package lock

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// maxMessage bounds a message over HTTP, in bytes, like the SDK's own limit on a line.
const maxMessage = mcp.DefaultMaxLineLength

// maxError bounds the body of an answer without success, in bytes.
const maxError = 1 << 20

// gated returns a copy of the transport whose HTTP client has the gate.
func gated(t *mcp.StreamableClientTransport, g *gate) *mcp.StreamableClientTransport {
	client := http.Client{}
	if t.HTTPClient != nil {
		client = *t.HTTPClient
	}
	if client.Transport == nil {
		client.Transport = http.DefaultTransport
	}
	client.Transport = &tripper{inner: client.Transport, gate: g}
	c := *t
	c.HTTPClient = &client
	return &c
}

// A tripper passes the messages in requests and responses through a gate. What it lets
// pass it writes anew, so that nobody reads in the answer what the gate did not.
type tripper struct {
	inner http.RoundTripper
	gate  *gate
}

// RoundTrip implements [http.RoundTripper].
func (t *tripper) RoundTrip(req *http.Request) (*http.Response, error) {
	var msg jsonrpc.Message
	if req.Method == http.MethodPost {
		body, err := readBody(req.Body, maxMessage)
		if err != nil {
			return nil, err
		}
		if msg, err = jsonrpc.DecodeMessage(body); err != nil {
			return nil, fmt.Errorf("a request that is no message: %w", err)
		}
		if err := t.gate.outgoing(req.Context(), msg); err != nil {
			return nil, err
		}
		req = req.Clone(req.Context())
		req.Body = io.NopCloser(bytes.NewReader(body))
		req.ContentLength = int64(len(body))
	}
	resp, err := t.inner.RoundTrip(req)
	if err != nil || resp == nil {
		t.gate.forget(msg)
		return resp, err
	}
	if resp.Body == nil { // http.Client takes such an answer, too
		resp.Body = http.NoBody
	}
	if resp.Header == nil {
		resp.Header = make(http.Header)
	}
	if err := t.rewrite(req, msg, resp); err != nil {
		t.gate.forget(msg)
		return nil, errors.Join(err, resp.Body.Close())
	}
	return resp, nil
}

// rewrite puts judged messages in the place of a response's body, and nothing in that of
// any other. The status and the type alone do not keep the SDK from reading a body: it
// looks for an error in every answer without success, and takes any answer for events
// when it resumes a stream.
func (t *tripper) rewrite(req *http.Request, msg jsonrpc.Message, resp *http.Response) error {
	ctx := req.Context()
	success := resp.StatusCode >= 200 && resp.StatusCode <= 299
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil {
		kind = ""
	}
	switch {
	case !success:
		t.gate.forget(msg)
		body, err := readBody(resp.Body, maxError)
		if err != nil {
			body = nil // the status alone says enough
		}
		replace(resp, kind, onlyError(body))
	case kind == "text/event-stream":
		resp.Header.Set("Content-Type", kind)
		resp.Header.Del("Content-Length")
		resp.ContentLength = -1
		resp.Body = newEvents(resp.Body,
			func(data []byte) ([]byte, error) { return t.pass(ctx, data) },
			func() { t.gate.forget(msg) })
	case kind == "application/json" && req.Method == http.MethodPost:
		body, err := readBody(resp.Body, maxMessage)
		if err != nil {
			return err
		}
		if body = bytes.TrimSpace(body); len(body) > 0 {
			if body, err = t.pass(ctx, body); err != nil {
				return err
			}
		}
		replace(resp, kind, body)
	default:
		t.gate.forget(msg)
		if err := resp.Body.Close(); err != nil {
			return err
		}
		replace(resp, "application/octet-stream", nil)
	}
	return nil
}

// replace gives a response another body.
func replace(resp *http.Response, kind string, body []byte) {
	resp.Header.Set("Content-Type", kind)
	resp.Header.Set("Content-Length", strconv.Itoa(len(body)))
	resp.ContentLength = int64(len(body))
	resp.Body = io.NopCloser(bytes.NewReader(body))
}

// onlyError returns the JSON-RPC error in the body of an answer without success, written
// anew; nothing if there is none.
func onlyError(body []byte) []byte {
	msg, err := jsonrpc.DecodeMessage(body)
	if err != nil {
		return nil
	}
	resp, ok := msg.(*jsonrpc.Response)
	if !ok || resp.Error == nil {
		return nil
	}
	out, err := jsonrpc.EncodeMessage(&jsonrpc.Response{ID: resp.ID, Error: resp.Error})
	if err != nil {
		return nil
	}
	return out
}

// pass judges one message from the server and writes what the client gets.
func (t *tripper) pass(ctx context.Context, data []byte) ([]byte, error) {
	msg, err := jsonrpc.DecodeMessage(data)
	if err != nil {
		return nil, err
	}
	msg = t.gate.incoming(ctx, msg)
	if resp, ok := msg.(*jsonrpc.Response); ok && resp.Error != nil {
		if refused, ok := errors.AsType[*refusal](resp.Error); ok {
			msg = &jsonrpc.Response{ID: resp.ID, Error: refused.wire}
		}
	}
	return jsonrpc.EncodeMessage(msg)
}

// readBody reads all of a body, up to a number of bytes, and closes it.
func readBody(body io.ReadCloser, most int64) ([]byte, error) {
	if body == nil {
		return nil, nil
	}
	data, err := io.ReadAll(io.LimitReader(body, most+1))
	if err = errors.Join(err, body.Close()); err != nil {
		return nil, err
	}
	if int64(len(data)) > most {
		return nil, fmt.Errorf("a message of more than %d bytes", most)
	}
	return data, nil
}
