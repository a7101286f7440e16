package aws

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/internal/test/fakeaws"
)

// A detour sends what is for the STS of a region to the fake one.
type detour struct {
	to    *url.URL
	next  *http.Transport
	asked []string
	spoil func(*http.Response)
}

func (d *detour) RoundTrip(req *http.Request) (*http.Response, error) {
	d.asked = append(d.asked, req.URL.Scheme+"://"+req.URL.Host)
	again := req.Clone(req.Context())
	again.Host = req.URL.Host
	again.URL.Scheme, again.URL.Host = d.to.Scheme, d.to.Host
	resp, err := d.next.RoundTrip(again)
	if err == nil && d.spoil != nil {
		d.spoil(resp)
	}
	return resp, err
}

// Without Endpoint the region's own STS is asked, and nobody else; and it must say for
// whom keys are, and what time it is.
func TestRegional(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change func(*fakeaws.Issued)
		spoil  func(*http.Response)
		want   string
	}{
		"as it should be":    {nil, nil, ""},
		"no name":            {func(i *fakeaws.Issued) { i.ARN = "" }, nil, "instead of"},
		"no source identity": {func(i *fakeaws.Issued) { i.SourceIdentity = "" }, nil, "source identity"},
		"no time":            {nil, func(r *http.Response) { r.Header.Del("Date") }, "not one of this API"},
		"time of a joker":    {nil, func(r *http.Response) { r.Header.Set("Date", "canary") }, "not one of this API"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCloud(t)
			c.sts.Change = tc.change
			to, err := url.Parse(c.URL)
			if err != nil {
				t.Fatal(err)
			}
			d := &detour{to: to, next: transport(), spoil: tc.spoil}
			t.Cleanup(d.next.CloseIdleConnections)
			r := newRole(readerARN, nil, []Option{Using(chained()), Region(fakeaws.Region), Transport(d), SessionPolicy(readLogs), SourceIdentity("host")})
			if err := r.Check(creds.Spec{}); err != nil {
				t.Fatal(err)
			}
			_, err = issue(t, r)
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
			for _, host := range d.asked {
				if host != "https://sts."+fakeaws.Region+".amazonaws.com" {
					t.Errorf("%s was asked", host)
				}
			}
		})
	}
}

// case 25: no proxy of the environment, which Go would not use for the loopback, on
// which tests are, so that only this tells.
func TestCase25Proxy(t *testing.T) {
	t.Parallel()
	if transport().Proxy != nil || outgoing().GetTransport().Proxy != nil {
		t.Error("the environment is asked for a proxy")
	}
}

// case 12: tools that share one grant, and even the readable part of their sessions'
// names, share no session; nor do those whose plans are remembered in one place.
func TestCase12OneGrant(t *testing.T) {
	t.Parallel()
	r := offline(t, SessionPolicy(readLogs))
	long := strings.Repeat("t", 60)
	seen := map[string]string{}
	tools := []string{"list files", "list+files", "list/files", long + "1", long + "2"}
	for i := range 4 * planSlots {
		tools = append(tools, strings.Repeat("x", i+1))
	}
	for _, tool := range append(tools, tools...) {
		q := request(`{}`)
		q.Tool = tool
		plan := planOf(t, r, q)
		if of, ok := seen[plan]; ok && of != tool {
			t.Errorf("%q and %q share a session", of, tool)
		}
		seen[plan] = tool
	}
}

// case 22: a redirect is not followed, of whatever kind: the token of the base's own
// session is in a header that Go passes on to other hosts.
func TestCase22Redirect(t *testing.T) {
	t.Parallel()
	var shown atomic.Int64
	thief := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { shown.Add(1) }))
	t.Cleanup(func() { thief.CloseClientConnections(); thief.Close() })
	for _, status := range []int{301, 302, 303, 307, 308} {
		c := newCloud(t)
		away := func(*fakeaws.Server, http.Handler) http.Handler { return http.RedirectHandler(thief.URL, status) }
		c.Inject("AssumeRole", away)
		c.Inject("AssumeRole", away) // also for another attempt
		if _, err := issue(t, c.role(t, SessionPolicy(readLogs))); err == nil || !strings.Contains(err.Error(), "redirects") || shown.Load() != 0 {
			t.Errorf("%d: %v, shown %d times", status, err, shown.Load())
		}
	}
}
