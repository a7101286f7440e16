package spiffe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/internal/test/testpki"
	"github.com/mcpsec/mcpsec-go/transport/https"
	"github.com/mcpsec/mcpsec-go/transport/https/pki"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// domain makes the authority of a trust domain.
func domain(t *testing.T, name string) *testpki.Authority {
	t.Helper()
	return (&testpki.Authority{}).Authority(t, name, func(c *x509.Certificate) {
		c.URIs = testpki.Leaf(t, "spiffe://"+name).URIs
	})
}

func open(t *testing.T, a *agent, c Config) *Source {
	t.Helper()
	c.Socket = a.socket
	s, err := New(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// events passes on what a watch tells.
type events struct{ changes, faults chan string }

func watch(t *testing.T, s *Source) events {
	t.Helper()
	e := events{make(chan string, 100), make(chan string, 100)}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- s.Watch(ctx, func() { e.changes <- s.ID() }, func(err error) { e.faults <- err.Error() })
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("the watch ended with %v", err)
		}
		select {
		case f := <-e.faults:
			t.Errorf("a fault that was not expected: %s", f)
		default:
		}
	})
	return e
}

func await(t *testing.T, c <-chan string, want string) {
	t.Helper()
	select {
	case got := <-c:
		if !strings.Contains(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	case <-time.After(30 * time.Second):
		t.Fatalf("%q did not come", want)
	}
}

func clientAuth(s *Source, c *tls.Certificate) error {
	between := x509.NewCertPool()
	for _, der := range c.Certificate[1:] {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return err
		}
		between.AddCert(cert)
	}
	_, err := c.Leaf.Verify(x509.VerifyOptions{Roots: s.Pool(), Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	return err
}

func TestRotation(t *testing.T) {
	t.Parallel()
	old, next := domain(t, "example.org"), domain(t, "example.org")
	first, second := old.Issue(t, "spiffe://example.org/server"), next.Issue(t, "spiffe://example.org/server")
	a := newAgent(t, answerOf(t, []*testpki.Authority{old}, first))
	s := open(t, a, Config{})
	e := watch(t, s)
	pool := s.Pool()
	if c, err := s.Certificate(nil); err != nil || !c.Leaf.Equal(first.Leaf) {
		t.Fatalf("%v", err)
	}
	// The authorities of both, then the next certificate, then the next authority alone.
	a.push(answerOf(t, []*testpki.Authority{old, next}, first), nil)
	await(t, e.changes, "/server")
	if err := errors.Join(clientAuth(s, first), clientAuth(s, second)); err != nil {
		t.Error(err)
	}
	both := s.Pool()
	a.push(answerOf(t, []*testpki.Authority{old, next}, second), nil)
	await(t, e.changes, "/server")
	if c, err := s.Certificate(nil); err != nil || !c.Leaf.Equal(second.Leaf) {
		t.Errorf("the first certificate is still shown: %v", err)
	}
	if s.Pool() != both || both == pool {
		t.Error("the pool is another exactly if authorities have changed")
	}
	a.push(answerOf(t, []*testpki.Authority{next}, second), nil)
	await(t, e.changes, "/server")
	if clientAuth(s, first) == nil || clientAuth(s, second) != nil {
		t.Error("the old authority is still trusted, or the next one is not")
	}
	// What is not in order changes nothing, and is told.
	expired := testpki.Leaf(t, "spiffe://example.org/server")
	expired.NotAfter = time.Now().Add(-time.Minute)
	a.push(answerOf(t, []*testpki.Authority{next}, next.Sign(t, expired, testpki.Key(t))), nil)
	await(t, e.faults, "not valid now")
	a.push(nil, status.Error(codes.PermissionDenied, "no identity issued"))
	await(t, e.faults, "no identity issued")
	if c, err := s.Certificate(nil); err != nil || !c.Leaf.Equal(second.Leaf) {
		t.Errorf("%v", err)
	}
	// And when the API is back, so is the source.
	third := next.Issue(t, "spiffe://example.org/third")
	a.push(answerOf(t, []*testpki.Authority{next}, third), nil)
	await(t, e.changes, "/third")
	// A certificate that is not renewed in time is not shown.
	s.now = func() time.Time { return third.Leaf.NotAfter.Add(time.Second) }
	if _, err := s.Certificate(nil); err == nil || !strings.Contains(err.Error(), "has expired") {
		t.Errorf("got %v", err)
	}
}

// An authority speaks for its own trust domain, however it is trusted.
func TestFederatedAuthorityCertifiesForeigners(t *testing.T) {
	t.Parallel()
	own, friend, stranger := domain(t, "example.org"), domain(t, "friend.example"), domain(t, "stranger.example")
	answer := answerOf(t, []*testpki.Authority{own}, own.Issue(t, "spiffe://example.org/server"))
	answer.FederatedBundles["spiffe://friend.example"] = ders(friend)
	answer.FederatedBundles["spiffe://stranger.example"] = ders(stranger)
	a := newAgent(t, answer)
	alone, federated := open(t, a, Config{}), open(t, a, Config{Federated: []string{"friend.example"}})
	for name, test := range map[string]struct {
		cert             *tls.Certificate
		alone, federated bool
	}{
		"own":                         {own.Issue(t, "spiffe://example.org/agent"), true, true},
		"friend":                      {friend.Issue(t, "spiffe://friend.example/agent"), false, true},
		"stranger":                    {stranger.Issue(t, "spiffe://stranger.example/agent"), false, false},
		"friend as one of us":         {friend.Issue(t, "spiffe://example.org/admin"), false, false},
		"we as a friend":              {own.Issue(t, "spiffe://friend.example/agent"), false, false},
		"friend below as one of us":   {friend.Authority(t, "below", nil).Issue(t, "spiffe://example.org/admin"), false, false},
		"own without SPIFFE ID":       {own.Issue(t, "agent.example.org"), false, false},
		"own with two URIs":           {own.Issue(t, "spiffe://example.org/a", "spiffe://example.org/b"), false, false},
		"own below, of one more step": {own.Authority(t, "below", nil).Issue(t, "spiffe://example.org/agent"), true, true},
	} {
		if err := clientAuth(alone, test.cert); (err == nil) != test.alone {
			t.Errorf("%s, alone: %v", name, err)
		}
		if err := clientAuth(federated, test.cert); (err == nil) != test.federated {
			t.Errorf("%s, federated: %v", name, err)
		}
	}
}

func TestWhatIsShown(t *testing.T) {
	t.Parallel()
	own := domain(t, "example.org")
	a := newAgent(t, answerOf(t, []*testpki.Authority{own}, own.Issue(t, "spiffe://example.org/one"), own.Issue(t, "spiffe://example.org/two")))
	if s := open(t, a, Config{}); s.ID() != "spiffe://example.org/one" {
		t.Error(s.ID())
	}
	if s := open(t, a, Config{ID: "spiffe://example.org/two"}); s.ID() != "spiffe://example.org/two" {
		t.Error(s.ID())
	}
	for _, c := range []Config{
		{Socket: a.socket, ID: "spiffe://example.org/three"}, {Socket: a.socket, ID: "two"}, {Socket: a.socket, Federated: []string{"*"}},
		{Socket: "http://localhost"}, {Socket: "unix://relative"},
	} {
		if s, err := New(t.Context(), c); err == nil {
			_ = s.Close()
			t.Errorf("%+v is taken", c)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := New(ctx, Config{Socket: "unix://" + filepath.Join(t.TempDir(), "none")}); err == nil {
		t.Error("a source of nothing")
	}
}

// A server and a client of one trust domain, with the listener and client of this module.
func TestMutualTLS(t *testing.T) {
	t.Parallel()
	own, other := domain(t, "example.org"), domain(t, "other.example")
	at := func(d *testpki.Authority, id string) *Source {
		return open(t, newAgent(t, answerOf(t, []*testpki.Authority{own}, d.Issue(t, id))), Config{})
	}
	server := at(own, "spiffe://example.org/server")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{ReadHeaderTimeout: time.Minute, TLSConfig: &tls.Config{
		GetCertificate: server.Certificate, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: server.Pool(), MinVersion: tls.VersionTLS13,
	}, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Id", r.TLS.PeerCertificates[0].URIs[0].String())
		w.WriteHeader(http.StatusNoContent)
	})}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.ServeTLS(l, "", "") }()
	t.Cleanup(func() { _ = srv.Close(); <-done })
	allowed, err := pki.Names("spiffe://example.org/server")
	if err != nil {
		t.Fatal(err)
	}
	call := func(s *Source, peers pki.Peers) (string, error) {
		c, err := https.NewClient(https.ClientConfig{CAs: s, Certificate: s, Server: peers, SPIFFE: true})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		url := "https://" + l.Addr().String() + "/mcp"
		h, err := c.HTTP(url)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := h.Get(url)
		if err != nil {
			return "", err
		}
		return resp.Header.Get("X-Id"), resp.Body.Close()
	}
	agentSource := at(own, "spiffe://example.org/agent")
	if id, err := call(agentSource, allowed); err != nil || id != "spiffe://example.org/agent" {
		t.Errorf("%q, %v", id, err)
	}
	another, err := pki.Names("spiffe://example.org/another")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := call(agentSource, another); err == nil {
		t.Error("a server of another name")
	}
	if _, err := call(at(other, "spiffe://example.org/agent"), allowed); err == nil {
		t.Error("a client of another authority")
	}
}
