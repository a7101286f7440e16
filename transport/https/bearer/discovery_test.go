package bearer

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/mcpsec/mcpsec-go/internal/test/issuer"
)

func TestDiscovery(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(testing.TB, *issuer.Issuer)
		cause  string // empty if it is good
	}{
		{"metadata of RFC 8414", func(testing.TB, *issuer.Issuer) {}, ""},
		{"OpenID only", func(_ testing.TB, i *issuer.Issuer) {
			i.Fail(issuer.Metadata, issuer.Status(http.StatusNotFound))
		}, ""},
		{"of another issuer (mix-up)", func(_ testing.TB, i *issuer.Issuer) { i.Announce("issuer", "https://other.example") }, "another issuer"},
		{"issuer with a slash more", func(_ testing.TB, i *issuer.Issuer) { i.Announce("issuer", i.URL+"/") }, "another issuer"},
		{"without jwks_uri", func(_ testing.TB, i *issuer.Issuer) { i.Announce("jwks_uri", "") }, "not an https URL"},
		{"keys over http", func(_ testing.TB, i *issuer.Issuer) {
			i.Announce("jwks_uri", strings.Replace(i.URL, "https", "http", 1)+issuer.JWKS)
		}, "not an https URL"},
		{"keys in a file", func(_ testing.TB, i *issuer.Issuer) { i.Announce("jwks_uri", "file:///etc/passwd") }, "not an https URL"},
		{"keys at a metadata service", func(_ testing.TB, i *issuer.Issuer) {
			i.Announce("jwks_uri", "https://169.254.169.254/latest")
		}, "not a public address"},
		{"keys at another port of this host", func(tb testing.TB, i *issuer.Issuer) {
			tb.Helper()
			i.Announce("jwks_uri", issuer.New(tb).URL+issuer.JWKS)
		}, "not a public address"},
		{"keys redirected to another host", func(tb testing.TB, i *issuer.Issuer) {
			tb.Helper()
			i.Fail(issuer.JWKS, issuer.Redirect(issuer.New(tb).URL+issuer.JWKS))
		}, "redirected to another host"},
		{"keys redirected to http", func(_ testing.TB, i *issuer.Issuer) {
			i.Fail(issuer.JWKS, issuer.Redirect(strings.Replace(i.URL, "https", "http", 1)))
		}, "redirected to another host"},
		{"keys redirected without end", func(_ testing.TB, i *issuer.Issuer) { i.Fail(issuer.JWKS, issuer.Redirect(issuer.JWKS)) }, "too often"},
		{"keys redirected on the same host", func(_ testing.TB, i *issuer.Issuer) {
			i.Announce("jwks_uri", i.URL+"/old")
			i.Fail("/old", issuer.Redirect(issuer.JWKS))
		}, ""},
		{"server error", func(_ testing.TB, i *issuer.Issuer) {
			i.Fail(issuer.Metadata, issuer.Status(http.StatusBadGateway))
		}, "502"},
		{"huge", func(_ testing.TB, i *issuer.Issuer) { i.Fail(issuer.Metadata, issuer.Endless) }, "larger than"},
		{"issuer twice", func(_ testing.TB, i *issuer.Issuer) {
			i.Fail(issuer.Metadata, issuer.Body(`{"issuer":"x","issuer":"`+i.URL+`"}`))
		}, "duplicate"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			test.change(t, r.issuer)
			_, err := r.try(t, r.issuer.Token(t, endpoint, nil))
			if test.cause == "" {
				if err != nil {
					t.Error(explain(err))
				}
				return
			}
			e := refusal(t, err, http.StatusServiceUnavailable, "", textUnavailable)
			if !strings.Contains(e.Cause.Error(), test.cause) {
				t.Errorf("because of %v", e.Cause)
			}
		})
	}
}

// Without Private, an issuer on the loopback is not even connected to.
func TestPrivateIssuerMustBeMeant(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.Issuers[0].Private = false })
	_, err := r.try(t, r.issuer.Token(t, endpoint, nil))
	e := refusal(t, err, http.StatusServiceUnavailable, "", textUnavailable)
	if !strings.Contains(e.Cause.Error(), "set Private") || r.issuer.Asked(issuer.Metadata) != 0 {
		t.Error(e.Cause)
	}
}

func TestIssuerWithUnknownCertificate(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.Issuers[0].Roots = nil })
	_, err := r.try(t, r.issuer.Token(t, endpoint, nil))
	e := refusal(t, err, http.StatusServiceUnavailable, "", textUnavailable)
	if !strings.Contains(e.Cause.Error(), "certificate") {
		t.Error(e.Cause)
	}
}

// A token is judged by the keys of its own issuer only.
func TestIssuersDoNotSpeakForEachOther(t *testing.T) {
	t.Parallel()
	other := issuer.New(t)
	r := newRig(t, func(c *Config) {
		c.Issuers = append(c.Issuers, Issuer{URL: other.URL, Roots: other.Roots, Private: true, Audience: []string{"https://second"}})
	})
	r.good(t, r.issuer.Token(t, endpoint, nil))
	r.good(t, other.Token(t, "https://second", nil))
	r.refused(t, other.Token(t, endpoint, nil), invalidToken, textInvalid)
	r.refused(t, other.Token(t, "https://second", claimset{"iss": r.issuer.URL}), invalidToken, textInvalid)
	forged := *other.Key()
	forged.ID = r.issuer.Key().ID
	r.refused(t, forged.Sign(t, claimset{"typ": "at+jwt"}, r.issuer.Claims(endpoint, nil)), invalidToken, textInvalid)
}

func TestMetadataPaths(t *testing.T) {
	t.Parallel()
	var asked []string
	ts := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Path) // one request at a time
		http.NotFound(w, r)
	}))
	defer ts.Close()
	r := newRig(t, func(c *Config) {
		c.Issuers[0].URL = ts.URL + "/tenant/"
		c.Issuers[0].Roots.AddCert(ts.Certificate())
	})
	_, err := r.try(t, r.issuer.Token(t, endpoint, claimset{"iss": ts.URL + "/tenant/"}))
	refusal(t, err, http.StatusServiceUnavailable, "", textUnavailable)
	want := "/.well-known/oauth-authorization-server/tenant /.well-known/openid-configuration/tenant /tenant/.well-known/openid-configuration"
	if got := strings.Join(asked, " "); got != want {
		t.Errorf("asked %s", got)
	}
}
