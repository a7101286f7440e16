package aws

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go/logging"
)

// maxAnswer bounds what is read of an answer of STS. One has about 2 KB, and a session
// token at most 4,096 bytes.
const maxAnswer = 256 << 10

// A wire carries requests to STS. It sends none unencrypted but on the loopback,
// follows no redirect, asks no environment for a proxy, reads answers to a limit and
// notes the server's time.
type wire struct {
	next *http.Client
	now  func() time.Time
}

func newWire(through http.RoundTripper, now func() time.Time) *wire {
	if through == nil {
		through = transport()
	}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &wire{&http.Client{Transport: through, CheckRedirect: stay, Timeout: flightTime}, now}
}

// transport returns the SDK's own, which needs TLS 1.2, without a proxy.
func transport() *http.Transport {
	return awshttp.NewBuildableClient().WithTransportOptions(transportOptions).GetTransport()
}

func transportOptions(t *http.Transport) {
	t.Proxy = nil
	t.ResponseHeaderTimeout, t.IdleConnTimeout = 30*time.Second, 30*time.Second
}

// Do implements the HTTP client of the SDK.
func (w *wire) Do(req *http.Request) (*http.Response, error) {
	if err := secure(req.URL); err != nil {
		return nil, err
	}
	resp, err := w.next.Do(req) //nolint:gosec // the endpoint is the operator's
	if err != nil {
		return nil, err
	}
	w.observe(req.Context(), resp)
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	_ = resp.Body.Close() // it has been read
	switch {
	case err != nil && req.Context().Err() != nil:
		return nil, req.Context().Err()
	case err != nil:
		return nil, &fault{text: "the answer broke off", again: true}
	case len(body) > maxAnswer:
		return nil, &fault{text: unreadable}
	case resp.StatusCode/100 == 3:
		return nil, &fault{text: "the endpoint redirects, which no STS does: correct it"}
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

func secure(u *url.URL) error {
	if ip := net.ParseIP(u.Hostname()); u.Scheme == "https" || u.Scheme == "http" && (ip.IsLoopback() || u.Hostname() == "localhost") {
		return nil
	}
	return &fault{text: "the endpoint is not https, and not on the loopback"}
}

// maxOffset is how far the local clock may be from that of STS: the end of every
// credential is judged by it.
const maxOffset = 5 * time.Minute

type clockKey struct{}

// A clock is what one exchange learnt of the server's time.
type clock struct{ server, local time.Time }

func (w *wire) observe(ctx context.Context, resp *http.Response) {
	if c, ok := ctx.Value(clockKey{}).(*clock); ok {
		if at, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
			c.server, c.local = at, w.now().Round(0)
		}
	}
}

// check refuses when the clocks are too far apart.
func (c *clock) check() error {
	if c.server.IsZero() {
		return nil
	}
	if off := c.local.Sub(c.server); off.Abs() > maxOffset {
		side := "ahead of"
		if off < 0 {
			side = "behind"
		}
		return faultf("the local clock is %v %s that of STS, so that the end of a credential cannot be told: set it (NTP)", off.Abs().Round(time.Second), side)
	}
	return nil
}

// brief returns a retryer of one more attempt, for what fails at once and in passing.
// Throttling is none of it: the cache waits, and does not add to it.
func brief() awssdk.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts, o.MaxBackoff = 2, 300*time.Millisecond
		o.Retryables = []retry.IsErrorRetryable{
			retry.NoRetryCanceledError{}, retry.RetryableError{}, retry.RetryableConnectionError{},
			retry.RetryableHTTPStatusCode{Codes: map[int]struct{}{http.StatusBadGateway: {}, http.StatusGatewayTimeout: {}}},
		}
	})
}

// A silent logger keeps the SDK from writing anything anywhere.
type silent struct{}

// Logf implements the SDK's logger.
func (silent) Logf(logging.Classification, string, ...any) {}
