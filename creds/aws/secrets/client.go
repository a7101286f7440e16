package secrets

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

const (
	// maxAnswer bounds what is read of an answer: 64 KiB of secret, of which JSON makes
	// at most six bytes each, and what is around it.
	maxAnswer = 512 << 10
	// requestID is the header by which CloudTrail knows a request.
	requestID = "X-Amzn-Requestid"
)

// A client takes only answers that are complete and of this API: the SDK counts an
// empty or a half JSON body as an answer without a secret. It sends nothing in clear
// but to the same machine, and follows no redirect.
type client struct {
	next *http.Client
	own  bool
}

func newClient(configured *http.Client) *client {
	c := &client{own: configured == nil}
	if c.own {
		c.next = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
			DialContext:         (&net.Dialer{Timeout: 3 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
			TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout: 3 * time.Second, ResponseHeaderTimeout: 5 * time.Second,
			MaxIdleConnsPerHost: 4, IdleConnTimeout: 90 * time.Second, MaxResponseHeaderBytes: 64 << 10,
			ForceAttemptHTTP2: true, DisableCompression: true,
		}}
	} else {
		same := *configured
		c.next = &same
	}
	c.next.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return c
}

// close gives up idle connections of a client of our own.
func (c *client) close() {
	if c.own {
		c.next.CloseIdleConnections()
	}
}

// Do implements the HTTP client of the SDK.
func (c *client) Do(req *http.Request) (*http.Response, error) {
	if !secure(req.URL) {
		return nil, &finalError{"the endpoint is not https: the secret would cross the network in clear"}
	}
	resp, err := c.next.Do(req) //nolint:gosec // the endpoint is the SDK's, or the operator's
	if err != nil {
		return nil, err
	}
	body, err := readAll(resp.Body)
	_ = resp.Body.Close() // it has been read
	good := resp.StatusCode == http.StatusOK
	switch {
	case req.Context().Err() != nil:
		err = req.Context().Err()
	case errors.Is(err, errLong):
		err = unreadable("it is longer than %d bytes", maxAnswer)
	case err != nil:
		err = unreadable("it broke off")
	case good && (len(body) == 0 || body[0] != '{' || mcpsec.CheckJSON(body) != nil):
		err = unreadable("it is no JSON object (HTTP %d)", resp.StatusCode)
	case good && resp.Header.Get(requestID) == "":
		err = unreadable("it has no request id (HTTP %d)", resp.StatusCode)
	}
	if err != nil {
		clear(body)
		return nil, err
	}
	resp.Body = &wiped{bytes.NewReader(body), body}
	return resp, nil
}

var errLong = errors.New("too long")

// readAll reads into one buffer: one that grows would leave copies behind.
func readAll(r io.Reader) ([]byte, error) {
	buf := make([]byte, maxAnswer+1)
	for n := 0; n < len(buf); {
		k, err := r.Read(buf[n:])
		n += k
		switch {
		case errors.Is(err, io.EOF): // and not io.ErrUnexpectedEOF
			return buf[:n], nil
		case err != nil:
			return buf[:n], err
		}
	}
	clear(buf)
	return nil, errLong
}

// A wiped body is overwritten when it is closed.
type wiped struct {
	*bytes.Reader
	data []byte
}

func (w *wiped) Close() error {
	clear(w.data)
	return nil
}

func secure(u *url.URL) bool {
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "https" || u.Scheme == "http" && (ip.IsLoopback() || u.Hostname() == "localhost")
}

// retryer tries twice, at most a second apart: who waits has a deadline, and what
// asks for credentials backs off by itself.
func (c *config) retryer() *retry.Standard {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts, o.MaxBackoff, o.Backoff = 2, time.Second, c.backoff
	})
}

// A finalError is one of our own, which the SDK must not meet with another try.
type finalError struct{ text string }

func (e *finalError) Error() string { return e.text }

// RetryableError answers the SDK's retryer.
func (*finalError) RetryableError() bool { return false }

func unreadable(format string, args ...any) error {
	return &finalError{"the answer is not one of this API: " + fmt.Sprintf(format, args...) +
		"; look for a proxy or another program at the endpoint"}
}

// A keysError marks an error of the base credentials, which says no secret.
type keysError struct{ cause error }

func (e *keysError) Error() string { return e.cause.Error() }
func (e *keysError) Unwrap() error { return e.cause }

// RetryableError answers the SDK's retryer: who has the credentials has tried.
func (*keysError) RetryableError() bool { return false }
