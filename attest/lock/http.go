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
		body, err := readBody(req.Body)
		if err != nil {
			return nil, err
		}
		if msg, err = jsonrpc.DecodeMessage(body); err != nil {
			return nil, fmt.Errorf("a request that is no message: %w", err)
		}
		if err := t.gate.outgoing(msg); err != nil {
			return nil, err
		}
		req = req.Clone(req.Context())
		req.Body = io.NopCloser(bytes.NewReader(body))
		req.ContentLength = int64(len(body))
	}
	resp, err := t.inner.RoundTrip(req)
	if err != nil || resp.StatusCode < 200 || resp.StatusCode > 299 {
		if msg != nil {
			t.gate.forget(msg) // of an answer without success the SDK takes the error only
		}
		return resp, err
	}
	rewritten, err := t.rewrite(req.Context(), resp)
	if err != nil {
		if msg != nil {
			t.gate.forget(msg)
		}
		return nil, errors.Join(err, resp.Body.Close())
	}
	return rewritten, nil
}

// rewrite puts the judged messages in the place of a response's body.
func (t *tripper) rewrite(ctx context.Context, resp *http.Response) (*http.Response, error) {
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil {
		kind = ""
	}
	resp.Header.Del("Content-Length")
	resp.ContentLength = -1
	switch kind {
	case "text/event-stream":
		resp.Header.Set("Content-Type", kind)
		resp.Body = newEvents(resp.Body, func(data []byte) ([]byte, error) { return t.pass(ctx, data) })
	case "application/json":
		body, err := readBody(resp.Body)
		if err != nil {
			return nil, err
		}
		if len(bytes.TrimSpace(body)) > 0 {
			if body, err = t.pass(ctx, body); err != nil {
				return nil, err
			}
		}
		resp.Header.Set("Content-Type", kind)
		resp.Header.Set("Content-Length", strconv.Itoa(len(body)))
		resp.ContentLength = int64(len(body))
		resp.Body = io.NopCloser(bytes.NewReader(body))
	default:
		// The SDK reads no messages from other types. It must not find one here either.
		resp.Header.Set("Content-Type", "application/octet-stream")
	}
	return resp, nil
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

// readBody reads all of a body and closes it.
func readBody(body io.ReadCloser) ([]byte, error) {
	if body == nil {
		return nil, nil
	}
	data, err := io.ReadAll(io.LimitReader(body, maxMessage+1))
	if err = errors.Join(err, body.Close()); err != nil {
		return nil, err
	}
	if len(data) > maxMessage {
		return nil, fmt.Errorf("a message of more than %d bytes", maxMessage)
	}
	return data, nil
}
