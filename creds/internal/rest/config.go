package rest

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// A Config says which service a [Client] talks to, and whom it trusts.
type Config struct {
	URL string // https://host[:port][/path]
	// Roots are PEM certificates of authorities trusted in place of the system's.
	Roots []byte
	// Certificate shows a client certificate; it is asked for every handshake.
	Certificate func() (*tls.Certificate, error)
	// InsecureLoopback accepts http:// to a loopback address, written as a number.
	InsecureLoopback bool
	Timeout          time.Duration // of one exchange; zero means [DefaultTimeout]
	Now              func() time.Time
}

// New returns a client. It connects to nothing yet.
func New(conf Config) (*Client, error) {
	base, err := parse(conf.URL, conf.InsecureLoopback)
	if err != nil {
		return nil, err
	}
	trust := &tls.Config{MinVersion: tls.VersionTLS12} // 1.3 is taken wherever the service has it
	if conf.Roots != nil {
		trust.RootCAs = x509.NewCertPool()
		if !trust.RootCAs.AppendCertsFromPEM(conf.Roots) {
			return nil, fmt.Errorf("%s: the roots hold no PEM certificate", base.Host)
		}
	}
	if conf.Certificate != nil {
		trust.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return Certificate(conf.Certificate) }
	}
	c := &Client{base: base, timeout: conf.Timeout, now: conf.Now}
	if c.timeout <= 0 {
		c.timeout = DefaultTimeout
	}
	if c.now == nil {
		c.now = time.Now
	}
	dialer := &net.Dialer{Timeout: 3 * time.Second}
	c.http = &http.Client{
		Transport: &http.Transport{
			Proxy: nil, // never one from the environment: it would see every token
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				return dialer.DialContext(ctx, network, address)
			},
			TLSClientConfig: trust, TLSHandshakeTimeout: 3 * time.Second, ResponseHeaderTimeout: c.timeout,
			MaxResponseHeaderBytes: 64 << 10, DisableCompression: true, ForceAttemptHTTP2: true,
			MaxConnsPerHost: 16, MaxIdleConnsPerHost: 2, IdleConnTimeout: 30 * time.Second,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c, nil
}

func parse(text string, loopback bool) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "":
		return nil, errors.New("the URL of the service is not one: give https://host[:port][/path]") // it may hold a password
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.RawPath != "":
		return nil, fmt.Errorf("%s: the URL of the service has more than scheme, host, port and plain path", u.Host)
	case u.Scheme == "https":
	case u.Scheme == "http" && loopback:
		if a, err := netip.ParseAddr(u.Hostname()); err != nil || !a.IsLoopback() {
			return nil, fmt.Errorf("%s: http is for a loopback address such as 127.0.0.1: use https", u.Host)
		}
	default:
		return nil, fmt.Errorf("%s: the URL of the service must begin with https://", u.Host)
	}
	u.Path = strings.TrimSuffix(u.Path, "/")
	return u, nil
}

// certificateError is an error of whoever holds the client certificate.
type certificateError struct{ error }

func (e certificateError) Unwrap() error { return e.error }

// Certificate asks a source for the client certificate. It is called on a goroutine of
// net/http, where a panic or a nil certificate would end the process.
func Certificate(source func() (*tls.Certificate, error)) (cert *tls.Certificate, err error) {
	defer func() {
		if p := recover(); p != nil {
			cert, err = nil, certificateError{fmt.Errorf("the client certificate: its source panicked with a %T", p)}
		}
	}()
	cert, err = source()
	switch {
	case err != nil:
		return nil, certificateError{fmt.Errorf("the client certificate: %w", err)}
	case cert == nil || len(cert.Certificate) == 0:
		return nil, certificateError{errors.New("the client certificate: its source gave none")}
	}
	if key, ok := cert.PrivateKey.(crypto.Signer); !ok || key.Public() == nil { // a nil key panics here, not in the handshake
		return nil, certificateError{errors.New("the client certificate: its source gave one without a key that signs")}
	}
	return cert, nil
}
