package https

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"
)

const (
	maxToken     = 16 << 10
	maxErrorBody = 64 << 10
)

// A tripper sends a client's requests to one origin, and bounds what comes back.
type tripper struct {
	client *Client
	origin string
}

// RoundTrip implements [http.RoundTripper].
func (t *tripper) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.send(req)
	if resp == nil && req.Body != nil {
		_ = req.Body.Close() // as a RoundTripper must; it was read, or is of no use
	}
	return resp, err
}

func (t *tripper) send(req *http.Request) (*http.Response, error) {
	if originOf(req.URL) != t.origin || req.Host != "" && req.Host != req.URL.Host {
		return nil, fmt.Errorf("https: a request to another origin than %s is refused", t.origin)
	}
	ctx, cancel := context.WithCancelCause(req.Context())
	req = req.Clone(ctx)
	req.Header.Del("Authorization")
	if t.client.conf.Token != nil {
		token, err := t.client.conf.Token(ctx)
		if err != nil {
			cancel(nil)
			return nil, fmt.Errorf("https: ClientConfig.Token: %w", err)
		}
		if !isBearer(token) {
			cancel(nil)
			return nil, errors.New("https: ClientConfig.Token returned what is no token (RFC 6750)")
		}
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := t.client.inner.Load().RoundTrip(req)
	if err != nil {
		cancel(nil)
		return nil, err
	}
	resp.Body = &bounded{resp.Body, t.client.conf.Idle, cancel, func() error { return context.Cause(ctx) }}
	if err := t.judge(req, resp); err != nil {
		return nil, errors.Join(err, resp.Body.Close())
	}
	return resp, nil
}

// isBearer reports whether a text is a token as RFC 6750 writes them, so that it is no other
// header besides.
func isBearer(s string) bool {
	const others = "-._~+/="
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && strings.IndexByte(others, c) < 0 {
			return false
		}
	}
	return s != "" && len(s) <= maxToken
}

// judge lets those bodies pass that MCP has. The SDK takes any body for events when it
// resumes a stream, and looks for an error in every answer without success.
func (t *tripper) judge(req *http.Request, resp *http.Response) error {
	if e := resp.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return fmt.Errorf("https: the server encodes its answer as %.40q, which was not asked for", e)
	}
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil {
		kind = ""
	}
	success := resp.StatusCode >= 200 && resp.StatusCode <= 299
	switch {
	case !success:
		return whole(resp, maxErrorBody, kind == "application/json")
	case kind == "text/event-stream":
		return nil // the SDK bounds each event
	case kind == "application/json" && req.Method == http.MethodPost:
		return whole(resp, t.client.conf.Message, true)
	default:
		resp.Header.Set("Content-Type", "application/octet-stream")
		return whole(resp, 0, false)
	}
}

// whole reads a body up to a number of bytes, or drops it.
func whole(resp *http.Response, most int64, keep bool) error {
	var data []byte
	if keep {
		if most < 0 {
			most = 1<<62 - 1
		}
		var err error
		if data, err = io.ReadAll(io.LimitReader(resp.Body, most+1)); err != nil {
			return err
		}
		if int64(len(data)) > most {
			return fmt.Errorf("https: the server answers with more than %d bytes", most)
		}
	}
	err := resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(data))
	resp.ContentLength = int64(len(data))
	resp.Header.Del("Content-Length")
	return err
}

var errSilent = errors.New("https: the server has been silent for too long")

// A bounded body ends its request when the server is silent for too long.
type bounded struct {
	io.ReadCloser

	idle   time.Duration // not positive: no bound
	cancel context.CancelCauseFunc
	cause  func() error // why the request was ended
}

// Read implements [io.Reader]. Time in which nobody reads does not count.
func (b *bounded) Read(p []byte) (int, error) {
	if b.idle > 0 {
		timer := time.AfterFunc(b.idle, func() { b.cancel(errSilent) })
		defer timer.Stop()
	}
	n, err := b.ReadCloser.Read(p)
	if err != nil && errors.Is(b.cause(), errSilent) { // also an EOF, which a server may make of it
		err = errSilent
	}
	return n, err
}

// Close implements [io.Closer].
func (b *bounded) Close() error {
	err := b.ReadCloser.Close()
	b.cancel(nil)
	return err
}
