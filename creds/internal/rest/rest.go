// Package rest is the one HTTP client of the credential providers: JSON over TLS with
// bounded bodies, no redirects, no proxies from the environment, and errors that name
// the place and never a secret.
package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync"
	"time"
)

const (
	// DefaultTimeout bounds one exchange, from dialling to the last byte.
	DefaultTimeout = 5 * time.Second
	// MaxBody bounds an answer, in bytes.
	MaxBody = 1 << 20
	// MaxWait bounds how long a service can make the client wait by Retry-After.
	MaxWait = time.Minute
)

// A Client talks to one service. Make one with [New]; it is safe for concurrent use.
// It never retries, beyond what net/http does for a connection that died idle: whoever
// keeps the credentials decides when to ask again. What a service asks for by
// Retry-After is kept by refusing to send anything before.
type Client struct {
	base    *url.URL
	http    *http.Client
	timeout time.Duration
	now     func() time.Time

	mu        sync.Mutex
	notBefore time.Time // the service asked for patience until then
	refusal   *Error    // with this answer
}

// A Request is one exchange. At most one of Form and JSON is set.
type Request struct {
	Method string
	Path   string // below the service's URL, unescaped, with a leading slash; empty for the URL itself
	Query  url.Values
	Header http.Header
	Form   url.Values
	JSON   any
	// Code finds the service's own code in the body of a refusal. It returns one of a
	// fixed set of words and nothing it has read: a service may echo what it was sent.
	Code func(body []byte) string
	// PerCaller says that the request holds something of a caller. Then a refusal may be
	// about that caller alone, and does not hold up the requests of others: all but 502
	// to 504, by which a service says that it is down.
	PerCaller bool
}

// Do sends the request and decodes the answer into a pointer to a struct. If into is nil,
// the answer must be empty or JSON all the same: the page of a proxy is no success. An
// answer that is no success is an [*Error].
func (c *Client) Do(ctx context.Context, r Request, into any) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	req, err := c.request(ctx, r)
	if err != nil {
		return err
	}
	place := req.URL.Host + req.URL.Path
	if err := c.patience(); err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("%s: %w", place, describe(ctx, err))
	}
	defer func() { _ = resp.Body.Close() }() // nothing was written
	body, err := readBody(resp.Body)
	defer clear(body)
	switch {
	case err != nil:
		return fmt.Errorf("%s: HTTP %d: %w", place, resp.StatusCode, describe(ctx, err))
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		return c.refused(place, resp, body, r)
	case into == nil && len(bytes.TrimSpace(body)) == 0:
		return nil
	case !isJSON(resp.Header):
		return fmt.Errorf("%s: HTTP %d: the answer is not JSON: is this the right address?", place, resp.StatusCode)
	}
	if into == nil {
		into = &struct{}{}
	}
	if err := Decode(body, into); err != nil {
		return fmt.Errorf("%s: HTTP %d: the answer cannot be used: %w", place, resp.StatusCode, err)
	}
	return nil
}

// Host returns the name and port of the service, for people.
func (c *Client) Host() string { return c.base.Host }

// Origin returns scheme, name and port of the service.
func (c *Client) Origin() string { return origin(c.base) }

// Close closes connections that are not in use.
func (c *Client) Close() { c.http.CloseIdleConnections() }

func (c *Client) request(ctx context.Context, r Request) (*http.Request, error) {
	target := *c.base
	target.Path += r.Path
	if r.Path != "" && (r.Path[0] != '/' || path.Clean(r.Path) != r.Path || strings.ContainsAny(r.Path, "\\\x00\r\n")) {
		return nil, fmt.Errorf("%s: the path of the request is not a clean one", c.base.Host)
	}
	target.RawQuery = r.Query.Encode()
	var body io.Reader
	var kind string
	switch {
	case r.Form != nil:
		body, kind = strings.NewReader(r.Form.Encode()), "application/x-www-form-urlencoded"
	case r.JSON != nil:
		text, err := json.Marshal(r.JSON)
		if err != nil {
			return nil, fmt.Errorf("%s: the request cannot be encoded: a %T", c.base.Host, r.JSON)
		}
		body, kind = bytes.NewReader(text), "application/json"
	}
	req, err := http.NewRequestWithContext(ctx, r.Method, target.String(), body)
	if err != nil { // its text holds the URL
		return nil, fmt.Errorf("%s: the request cannot be made: a %T", c.base.Host, err)
	}
	for name, values := range r.Header {
		req.Header[http.CanonicalHeaderKey(name)] = values
	}
	req.Header.Set("Accept", "application/json")
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	return req, nil
}

func readBody(r io.Reader) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, MaxBody+1))
	if err == nil && len(body) > MaxBody {
		err = errTooLarge
	}
	return body, err
}

var errTooLarge = fmt.Errorf("the answer is larger than %d bytes", MaxBody)

func isJSON(h http.Header) bool {
	kind, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	return err == nil && kind == "application/json" && h.Get("Content-Encoding") == ""
}

func origin(u *url.URL) string {
	host, port := strings.ToLower(u.Hostname()), u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[u.Scheme]
	}
	return u.Scheme + "://" + net.JoinHostPort(host, port)
}

// patience refuses while the service's own Retry-After has not passed.
func (c *Client) patience() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	wait := c.notBefore.Sub(c.now())
	if c.refusal == nil || wait <= 0 || wait > MaxWait { // more than that: the clock was set back
		c.refusal = nil
		return nil
	}
	again := *c.refusal
	again.Wait = wait
	return &again
}

// refused makes the error of an answer that is no success.
func (c *Client) refused(place string, resp *http.Response, body []byte, r Request) error {
	e := &Error{Place: place, Status: resp.StatusCode}
	if r.Code != nil && isJSON(resp.Header) {
		e.Code = r.Code(body)
	}
	e.one = r.PerCaller && !e.down()
	if to, err := url.Parse(resp.Header.Get("Location")); err == nil && to.Host != "" {
		e.To = origin(to)
	}
	e.Wait = retryAfter(resp.Header.Get("Retry-After"), c.now())
	if e.Wait > 0 && !e.one {
		c.mu.Lock()
		c.notBefore, c.refusal = c.now().Add(e.Wait), e
		c.mu.Unlock()
	}
	return e
}

// NotSent reports whether an error of [Client.Do] means that nothing reached the
// service, so that the request may be sent to another.
func NotSent(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial"
}
