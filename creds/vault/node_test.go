package vault

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/creds/internal/rest"
)

// A node that accepts and never answers is not asked first for ever.
func TestNodeThatHangsIsNotAskedForEver(t *testing.T) {
	t.Parallel()
	free := make(chan struct{})
	hung := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-free:
		}
	}))
	t.Cleanup(func() { close(free); hung.Close() })
	f := newFake()
	s := New(Config{Addresses: []string{hung.URL, f.serve(t)}, Auth: f.appRole(), InsecureLoopback: true})
	s.now = f.now
	p := s.KV(KV{Mount: "secret", Path: "apps/db", Field: "key"})
	closing(t, p)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := p.Issue(ctx, creds.Spec{}, creds.Request{}); err == nil {
		t.Error("the node that hangs has answered")
	}
	if _, _, err := issue(t, p); err != nil {
		t.Errorf("the other node is well and not asked: %v", err)
	}
}

// Nor is one whose certificate nobody trusts.
func TestNodeWithABadCertificateIsNotAskedForEver(t *testing.T) {
	t.Parallel()
	untrusted := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(untrusted.Close)
	f := newFake()
	s := New(Config{Addresses: []string{untrusted.URL, f.serve(t)}, Auth: f.appRole(), InsecureLoopback: true})
	s.now = f.now
	p := s.KV(KV{Mount: "secret", Path: "apps/db", Field: "key"})
	closing(t, p)
	_, _, _ = issue(t, p)
	if _, _, err := issue(t, p); err != nil {
		t.Errorf("the other node is well and not asked: %v", err)
	}
}

// Callers that give up cannot send the requests of others to a node that is worse.
func TestCallerThatGoesAwayMovesNoNode(t *testing.T) {
	t.Parallel()
	f := newFake()
	s := newServer(t, f.appRole(), f, newFake())
	p := s.KV(KV{Mount: "secret", Path: "apps/db", Field: "key"})
	closing(t, p)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.exchange(ctx, nil, rest.Request{Method: http.MethodGet, Path: "/v1/sys/health"}, nil); err == nil {
		t.Error("sent")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.active != 0 {
		t.Errorf("node %d is asked first", s.active)
	}
}
