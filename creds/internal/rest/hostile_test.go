package rest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/creds"
)

// A maintenance page in place of the service is not the service's consent, also where the
// answer has no content that counts (failure case 22): a lease would be taken as revoked.
func TestPageIsNoConsent(t *testing.T) {
	t.Parallel()
	for name, h := range map[string]http.HandlerFunc{
		"HTML":    reply("text/html", "<html>down for maintenance</html>"),
		"garbage": reply("application/json", "{\"a\":"),
	} {
		c := serve(t, h)
		if err := c.Do(t.Context(), Request{Method: http.MethodPost, Path: "/v1/sys/leases/revoke"}, nil); err == nil {
			t.Errorf("%s: taken for a success", name)
		}
	}
	for name, h := range map[string]http.HandlerFunc{
		"204":       func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"JSON":      reply("application/json", `{"request_id":"1"}`),
		"empty 200": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) },
	} {
		c := serve(t, h)
		if err := c.Do(t.Context(), Request{Method: http.MethodPost, Path: "/v1/sys/leases/revoke"}, nil); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What a service says of one caller holds up that caller alone, whatever the status.
func TestRefusalOfOneCallerHoldsUpNobody(t *testing.T) {
	t.Parallel()
	for _, status := range []int{400, 401, 403, 429, 500, 501} {
		c := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Caller") == "mallory" {
				w.Header().Set("Retry-After", "60")
				w.WriteHeader(status)
			}
		})
		_ = c.Do(t.Context(), Request{Method: http.MethodGet, PerCaller: true, Header: http.Header{"Caller": {"mallory"}}}, nil)
		if err := c.Do(t.Context(), Request{Method: http.MethodGet, PerCaller: true, Header: http.Header{"Caller": {"alice"}}}, nil); err != nil {
			t.Errorf("%d: alice waits for mallory: %v", status, err)
		}
	}
	// A service that says it is down says so of itself.
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "60")
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	for range 2 {
		err := c.Do(t.Context(), Request{Method: http.MethodGet, PerCaller: true}, nil)
		if e, ok := errors.AsType[*Error](err); !ok || !errors.Is(err, creds.ErrOutage) || e.Wait == 0 {
			t.Errorf("no outage: %v", err)
		}
	}
}

// A certificate that nobody trusts may hold any names: they are no part of the error.
func TestNamesInACertificateAreNotRepeated(t *testing.T) {
	t.Parallel()
	now := time.Now()
	start := func(change func(*x509.Certificate)) (url string, roots []byte) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		cert := &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: canary}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
			DNSNames: []string{canary, "localhost"}, IsCA: true, BasicConstraintsValid: true,
		}
		change(cert)
		der, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		ts := httptest.NewUnstartedServer(reply("application/json", "{}"))
		ts.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
		ts.Config.ErrorLog = log.New(io.Discard, "", 0)
		ts.StartTLS()
		t.Cleanup(ts.Close)
		return strings.Replace(ts.URL, "127.0.0.1", "localhost", 1), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	}
	_, others := start(func(*x509.Certificate) {}) // the same name, another key
	for want, tc := range map[string]struct {
		change func(*x509.Certificate)
		roots  []byte
	}{
		"":                  {change: func(*x509.Certificate) {}},
		"not for localhost": {change: func(c *x509.Certificate) { c.DNSNames = []string{canary} }},
		"unknown authority": {func(*x509.Certificate) {}, others},
		"has expired":       {change: func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Minute) }},
		"is not valid":      {change: func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning} }},
	} {
		url, roots := start(tc.change)
		if tc.roots != nil {
			roots = tc.roots
		}
		err := newClient(t, Config{URL: url, Roots: roots}).Do(t.Context(), Request{Method: http.MethodGet}, nil)
		if want == "" {
			if err != nil {
				t.Error(err)
			}
			continue
		}
		wantError(t, want, err, want)
	}
}

// The certificate is asked for on a goroutine of net/http, where a panic ends the process.
func TestCertificateSourceThatFails(t *testing.T) {
	t.Parallel()
	ts := httptest.NewUnstartedServer(reply("application/json", "{}"))
	ts.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	ts.StartTLS()
	t.Cleanup(ts.Close)
	roots := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ts.Certificate().Raw})
	for name, source := range map[string]func() (*tls.Certificate, error){
		"nothing": func() (*tls.Certificate, error) { return nil, nil },
		"empty":   func() (*tls.Certificate, error) { return &tls.Certificate{}, nil },
		"panic":   func() (*tls.Certificate, error) { panic(canary) },
		"nil key": func() (*tls.Certificate, error) {
			return &tls.Certificate{Certificate: [][]byte{{0}}, PrivateKey: (*ecdsa.PrivateKey)(nil)}, nil
		},
		"no key": func() (*tls.Certificate, error) { return &tls.Certificate{Certificate: [][]byte{{0}}}, nil },
	} {
		c := newClient(t, Config{URL: ts.URL, Roots: roots, Certificate: source})
		err := c.Do(t.Context(), Request{Method: http.MethodGet}, nil)
		wantError(t, name, err, "client certificate")
	}
}
