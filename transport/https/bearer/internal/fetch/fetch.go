// Package fetch asks authorization servers over HTTPS, so that neither a redirect nor a
// name in a document nor DNS can turn the question against the network this program is in
// (server-side request forgery), and no answer can hold it up or fill its memory.
package fetch

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/mcpsec/mcpsec-go/internal/netaddr"
)

// Bounds of one question.
const (
	timeout      = 5 * time.Second
	maxBody      = 1 << 20
	maxRedirects = 3
)

// A Client asks. It is safe for concurrent use.
type Client struct {
	http *http.Client
}

// New returns a client that trusts the roots, or the system's if nil. It connects to public
// addresses only, and to the hosts "name:port" of private at any.
func New(roots *x509.CertPool, private []string) *Client {
	public := &net.Dialer{Timeout: timeout, Control: publicOnly}
	anywhere := &net.Dialer{Timeout: timeout}
	return &Client{&http.Client{
		CheckRedirect: sameHost,
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				if slices.Contains(private, addr) {
					return anywhere.DialContext(ctx, network, addr)
				}
				return public.DialContext(ctx, network, addr)
			},
			TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    timeout,
			MaxResponseHeaderBytes: 64 << 10,
			MaxIdleConnsPerHost:    16,
			IdleConnTimeout:        30 * time.Second,
			DisableCompression:     true,
		},
	}}
}

// Close closes idle connections; the client can be used afterwards.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// A StatusError is an answer other than 200.
type StatusError struct{ Code int }

func (e *StatusError) Error() string { return fmt.Sprintf("answered with status %d", e.Code) }

// Get returns what a URL answers.
func (c *Client) Get(ctx context.Context, address string) ([]byte, error) {
	return c.do(ctx, http.MethodGet, address, "", nil)
}

// Post posts a form, with credentials of the client by HTTP Basic, and returns the answer.
func (c *Client) Post(ctx context.Context, address string, form url.Values, client, secret string) ([]byte, error) {
	return c.do(ctx, http.MethodPost, address, form.Encode(), func(r *http.Request) {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		// RFC 6749, section 2.3.1: the parts are form-encoded first.
		r.SetBasicAuth(url.QueryEscape(client), url.QueryEscape(secret))
	})
}

func (c *Client) do(ctx context.Context, method, address, body string, prepare func(*http.Request)) ([]byte, error) {
	if err := CheckURL(address); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "application/json")
	if prepare != nil {
		prepare(r)
	}
	res, err := c.http.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }() // whatever is left of it is not wanted
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %w", address, &StatusError{res.StatusCode})
	}
	data, err := io.ReadAll(io.LimitReader(res.Body, maxBody+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", address, err)
	case len(data) > maxBody:
		return nil, fmt.Errorf("%s: the answer is larger than %d bytes", address, maxBody)
	}
	return data, nil
}

// CheckURL reports why a URL is not asked: only https, without user, query and fragment.
func CheckURL(address string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return errors.New("not a URL")
	case u.Scheme != "https" || u.Hostname() == "" || u.Opaque != "":
		return fmt.Errorf("%q: not an https URL", address)
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return errors.New("the URL has a user, a query or a fragment")
	}
	return nil
}

// Host returns the host of a URL as the client dials it, "name:port".
func Host(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	port := u.Port()
	if port == "" {
		port = "443"
	}
	return net.JoinHostPort(u.Hostname(), port)
}

func sameHost(r *http.Request, via []*http.Request) error {
	first := via[0]
	switch {
	case first.Method != http.MethodGet:
		return errors.New("redirected, and what was sent is for one place only")
	case r.URL.Scheme != "https" || r.URL.Host != first.URL.Host:
		return errors.New("redirected to another host")
	case len(via) > maxRedirects:
		return errors.New("redirected too often")
	}
	return nil
}

// publicOnly judges the address that a connection is about to be made to: after DNS.
func publicOnly(_, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil || netaddr.Classify(to.Addr()) != netaddr.Public {
		return fmt.Errorf("%s is not a public address: if the issuer is meant to be there, set Private", address)
	}
	return nil
}
