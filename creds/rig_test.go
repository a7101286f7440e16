package creds

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// A script is a provider that does what a test says, and remembers what it was asked.
type script struct {
	life  time.Duration                                     // of what is issued; 0: does not expire
	issue func(ctx context.Context, r Request, n int) error // before it is
	plan  func(r Request) (string, error)                   // nil: the principal's key

	mu       sync.Mutex
	issues   int
	requests []Request
	revoked  []string
	values   []Value // all that were issued
}

func (s *script) Plan(_ Spec, r Request) (string, error) {
	if s.plan != nil {
		return s.plan(r)
	}
	return r.Principal.Key(), nil
}

func (s *script) Issue(ctx context.Context, _ Spec, r Request) (Material, error) {
	s.mu.Lock()
	s.issues++
	n := s.issues
	s.requests = append(s.requests, r)
	s.mu.Unlock()
	if s.issue != nil {
		if err := s.issue(ctx, r, n); err != nil {
			return Material{}, err
		}
	}
	return s.material(n), nil
}

// material is the nth credential: secret "kN", id "idN", with a part "partN".
func (s *script) material(n int) Material {
	m := Material{
		Secret: NewValue(fmt.Appendf(nil, "k%d", n)), Parts: []Value{NewValue(fmt.Appendf(nil, "part%d", n))}, Version: fmt.Sprint(n),
		Record: mcpsec.Credential{Provider: "script", Role: "role", KeyID: fmt.Sprintf("id%d", n)},
	}
	if s.life != 0 {
		m.Expires = time.Now().Add(s.life)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.values = append(append(s.values, m.Secret), m.Parts...)
	return m
}

func (s *script) asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.issues
}

// A leased script revokes.
type leased struct{ *script }

func (l leased) Revoke(ctx context.Context, _ Spec, m Material) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if m.Secret.Empty() {
		return errors.New("the secret is gone already")
	}
	l.revoked = append(l.revoked, m.Record.KeyID)
	return ctx.Err()
}

func (s *script) revocations() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.revoked...)
}

// pass lets a bubble's time pass.
func pass(d time.Duration) { <-time.After(d) }

// A rig runs handlers as tool "t" with one credential "n".
type rig struct {
	t  *testing.T
	in *Injector
}

func newRig(t *testing.T, p Provider) *rig {
	t.Helper()
	in := New(ForTool("t", Named("n", p)))
	in.cache.random = func() float64 { return 0.5 }
	if err := in.Check(); err != nil {
		t.Fatal(err)
	}
	return &rig{t, in}
}

func by(subject string) mcpsec.Principal {
	return mcpsec.Principal{Rung: mcpsec.Process, Subject: subject}
}

// as runs a handler for a principal.
func (r *rig) as(ctx context.Context, who string, handler func(context.Context) error) error {
	h := r.in.Wrap(func(ctx context.Context, _ *mcpsec.Call) (mcp.Result, error) { return nil, handler(ctx) })
	_, err := h(ctx, &mcpsec.Call{ID: "call of " + who, Method: methodCallTool, Principal: by(who), Tool: &mcpsec.Tool{Name: "t"}, Arguments: []byte(`{"of":"` + who + `"}`)})
	return err
}

// get returns what a call of alice's is given.
func (r *rig) get() (string, error) { return r.getAs("alice") }

func (r *rig) getAs(who string) (secret string, err error) {
	err = r.as(r.t.Context(), who, func(ctx context.Context) error {
		v, err := Secret(ctx, "n")
		secret = string(v.Reveal())
		return err
	})
	return secret, err
}

// want asserts what a call is given.
func (r *rig) want(secret string) {
	r.t.Helper()
	if got, err := r.get(); err != nil || got != secret {
		r.t.Errorf("got %q, %v; want %s", got, err, secret)
	}
}

func (r *rig) close() {
	r.t.Helper()
	if err := r.in.Close(); err != nil {
		r.t.Errorf("Close: %v", err)
	}
}

// wiped asserts that nothing that was ever issued is still in memory.
func (s *script) wiped(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range s.values {
		if !v.Empty() {
			t.Errorf("%q is still in memory", v.Reveal())
		}
	}
}
