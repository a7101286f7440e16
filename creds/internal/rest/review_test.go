package rest

import (
	"crypto/tls"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"testing"
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
	for _, status := range []int{400, 401, 403, 429} {
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
		"panic":   func() (*tls.Certificate, error) { panic("canary") },
	} {
		c := newClient(t, Config{URL: ts.URL, Roots: roots, Certificate: source})
		err := c.Do(t.Context(), Request{Method: http.MethodGet}, nil)
		wantError(t, name, err, "client certificate")
	}
}
