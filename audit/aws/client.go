package aws

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// maxAnswer bounds what is read of an answer. The largest, to 500 records, has about
// 100 KB.
const maxAnswer = 1 << 20

// requestID is the header by which every answer of AWS can be asked about.
const requestID = "X-Amzn-Requestid"

// A client sends requests and takes only answers that are complete: the SDK counts
// an empty or a half JSON body as an answer in which nothing was refused. It sends
// nothing unencrypted but to the same machine, and follows no redirect, which would
// hand what is recorded to another host.
type client struct {
	next  awssdk.HTTPClient
	close func()
}

func newClient(configured awssdk.HTTPClient) *client {
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	switch c := configured.(type) {
	case nil:
		return newClient(awshttp.NewBuildableClient()) // with the SDK's timeouts, TLS 1.2 or later
	case *awshttp.BuildableClient: // what the SDK makes of a shared configuration
		own := &http.Client{Transport: c.GetTransport(), Timeout: c.GetTimeout(), CheckRedirect: stay}
		return &client{next: own, close: own.CloseIdleConnections}
	case *http.Client:
		same := *c
		same.CheckRedirect = stay
		return &client{next: &same, close: func() {}}
	}
	return &client{next: configured, close: func() {}}
}

// Do implements the HTTP client of the SDK.
func (c *client) Do(req *http.Request) (*http.Response, error) {
	if err := secure(req.URL); err != nil {
		return nil, err
	}
	resp, err := c.next.Do(req)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	_ = resp.Body.Close() // it has been read
	good := resp.StatusCode >= 200 && resp.StatusCode < 300
	switch {
	case req.Context().Err() != nil:
		return nil, req.Context().Err()
	case err != nil:
		return nil, unreadable("it broke off")
	case len(body) > maxAnswer:
		return nil, unreadable("it is longer than %d bytes", maxAnswer)
	case good && (len(body) == 0 || body[0] != '{' || mcpsec.CheckJSON(body) != nil):
		return nil, unreadable("it is no JSON object (HTTP %d)", resp.StatusCode)
	case good && resp.Header.Get(requestID) == "":
		return nil, unreadable("it has no request id (HTTP %d)", resp.StatusCode)
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

func secure(u *url.URL) error {
	if ip := net.ParseIP(u.Hostname()); u.Scheme == "https" || u.Scheme == "http" && (ip.IsLoopback() || u.Hostname() == "localhost") {
		return nil
	}
	return &finalError{"the endpoint is not https: what is recorded would cross the network in clear; correct BaseEndpoint"}
}

// A finalError is one of our own, which the SDK must not meet with another try.
type finalError struct{ text string }

func (e *finalError) Error() string { return e.text }

// RetryableError answers the SDK's retryer.
func (*finalError) RetryableError() bool { return false }

// unreadable is the error of an answer that says nothing certain. What was sent may
// have arrived.
func unreadable(format string, args ...any) error {
	return &finalError{"the answer is not one of this API: " + fmt.Sprintf(format, args...) +
		"; look for a proxy or another program at the endpoint"}
}

var regionName = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)+$`)

// harden returns a copy of the configuration as the destinations use it, with the
// beginning of their sender, and what is wrong with it.
func harden(config awssdk.Config) (awssdk.Config, sender, []error) {
	var faults []error
	s := sender{client: newClient(config.HTTPClient), pause: backoff}
	config = config.Copy()
	if !regionName.MatchString(config.Region) || len(config.Region) > 63 {
		faults = append(faults, errors.New(`aws.Config.Region: need the name of a region, such as "eu-central-1"`))
	}
	switch {
	case config.Credentials == nil, awssdk.IsCredentialsProvider(config.Credentials, awssdk.AnonymousCredentials{}):
		faults = append(faults, errors.New("aws.Config.Credentials: need a provider: nothing is looked up in the environment"))
	default:
		s.keys = &keys{from: config.Credentials, now: time.Now}
		config.Credentials = s.keys
	}
	if config.BaseEndpoint != nil {
		u, err := url.Parse(*config.BaseEndpoint)
		if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			faults = append(faults, errors.New("aws.Config.BaseEndpoint: need a URL of scheme, host and path"))
		} else if err := secure(u); err != nil {
			faults = append(faults, fmt.Errorf("aws.Config.BaseEndpoint: %w", err))
		}
	}
	config.HTTPClient = s.client
	// The SDK's own log would repeat what is recorded, and would grow without end
	// where it is recorded itself.
	config.ClientLogMode = 0
	return config, s, faults
}
