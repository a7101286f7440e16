package vault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/creds/internal/rest"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// A Lease names a path at which reading makes a secret with a lease, such as
// "database/creds/readonly" or "aws/creds/reader".
type Lease struct {
	Path  string
	Field string // the member that is the secret; empty means all, as one JSON document
	// PerPrincipal gives every principal an account of its own, so that the database's
	// log tells them apart. Otherwise all calls of the grant share one.
	PerPrincipal bool
}

// Lease returns a provider of dynamic secrets. They are renewed and revoked by whoever
// keeps them. The plan is the path, and the principal if PerPrincipal is set.
//
// A lease lives no longer than the token it was made with, so it is not renewed when
// that token has been replaced: a new one is made in time.
func (s *Server) Lease(l Lease) creds.Provider {
	plan := "lease " + rest.Fingerprint(s.conf.Namespace, l.Path, l.Field)
	return &lease{s: s, Lease: l, plan: plan, leave: s.join(), held: make(map[string]held)}
}

type lease struct {
	Lease
	s     *Server
	plan  string // but for the principal
	leave func() error

	mu   sync.Mutex
	held map[string]held // by lease id
}

// held is what must be remembered of a lease.
type held struct {
	token     *token
	renewable bool
	duration  time.Duration // that Vault gave it at first
	useful    time.Duration // of which its token allowed so much
	expires   time.Time
}

// maxHeld bounds how many leases of one provider are remembered.
const maxHeld = 8192

var (
	_ creds.Checker   = (*lease)(nil)
	_ creds.Planner   = (*lease)(nil)
	_ creds.Renewer   = (*lease)(nil)
	_ creds.Revoker   = (*lease)(nil)
	_ creds.Describer = (*lease)(nil)
	_ creds.Prober    = (*lease)(nil)
)

func (l *lease) Check(spec creds.Spec) error {
	faults := []error{l.s.check(spec), checkPath("Lease.Path", l.Path)}
	if len(l.Field) > 256 {
		faults = append(faults, errors.New("Lease.Field is longer than 256 bytes"))
	}
	return errors.Join(faults...)
}

func (l *lease) Plan(_ creds.Spec, r creds.Request) (string, error) {
	if l.PerPrincipal {
		return l.plan + " " + rest.Fingerprint(r.Principal.Key()), nil
	}
	return l.plan, nil
}

type leaseAnswer struct {
	ID        string          `json:"lease_id"`
	Duration  *int64          `json:"lease_duration"`
	Renewable bool            `json:"renewable"`
	Data      json.RawMessage `json:"data"`
}

func (l *lease) Issue(ctx context.Context, _ creds.Spec, _ creds.Request) (creds.Material, error) {
	asked := l.s.now()
	var answer leaseAnswer
	t, err := l.s.ask(ctx, rest.Request{Method: http.MethodGet, Path: "/v1/" + l.Path}, &answer)
	defer clear(answer.Data)
	if err != nil {
		return creds.Material{}, explain("making a secret at "+l.Path, err)
	}
	err = l.checkID(answer.ID)
	if err == nil {
		var m creds.Material
		if m, err = l.accept(asked, t, answer); err == nil {
			return m, nil
		}
		// Nobody will use it, so nobody else will revoke it.
		if fault := l.revoke(context.WithoutCancel(ctx), answer.ID); fault != nil {
			err = fmt.Errorf("%w; and its lease was not revoked: %w", err, fault)
		}
	}
	return creds.Material{}, fmt.Errorf("vault: making a secret at %s: %w", l.Path, err)
}

// accept checks a new lease and remembers it.
func (l *lease) accept(asked time.Time, t *token, answer leaseAnswer) (creds.Material, error) {
	expires, err := l.expiry(asked, t, answer.Duration)
	if err != nil {
		return creds.Material{}, err
	}
	m, err := material(answer.Data, l.Field)
	if err != nil {
		return creds.Material{}, err
	}
	m.Expires = expires
	m.Record = mcpsec.Credential{Provider: "vault", Role: l.Path, KeyID: answer.ID}
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, h := range l.held {
		if !l.s.now().Before(h.expires) {
			delete(l.held, id)
		}
	}
	if len(l.held) >= maxHeld {
		wipe(m)
		return creds.Material{}, fmt.Errorf("%d leases are in use: who keeps them does not revoke them", maxHeld)
	}
	l.held[answer.ID] = held{t, answer.Renewable, time.Duration(*answer.Duration) * time.Second, expires.Sub(asked), expires}
	return m, nil
}

// checkID refuses an answer without lease, and the lease of another path.
func (l *lease) checkID(id string) error {
	if id == "" {
		return errors.New("the answer has no lease: read a static secret with KV")
	}
	if checkPath("the lease", id) != nil || !strings.HasPrefix(id, l.Path+"/") {
		return errors.New("the answer has a lease of another path")
	}
	return nil
}

// expiry returns when a lease ends: never after its token.
func (l *lease) expiry(asked time.Time, t *token, seconds *int64) (time.Time, error) {
	expires, err := rest.Expiry(asked, seconds, rest.MaxLife)
	if err != nil {
		return time.Time{}, fmt.Errorf("%w: lower the time to live of the role", err)
	}
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	if end := t.ends(); !end.IsZero() && end.Before(expires) {
		expires = end
	}
	return expires, nil
}

// Renew makes a lease live longer. Where it would not gain much it is an error: the
// lease is near its longest life, and a new one is due.
func (l *lease) Renew(ctx context.Context, _ creds.Spec, m creds.Material) (creds.Material, error) {
	id := m.Record.KeyID
	l.mu.Lock()
	h, ok := l.held[id]
	l.mu.Unlock()
	fail := func(err error) (creds.Material, error) {
		return creds.Material{}, explain("renewing a lease of "+l.Path, err)
	}
	switch {
	case !ok:
		return fail(errors.New("it is not one of ours"))
	case !h.renewable:
		return fail(errors.New("it is not renewable"))
	}
	asked := l.s.now()
	var answer leaseAnswer
	body := map[string]any{"lease_id": id, "increment": int64(h.duration / time.Second)}
	switch t, _, err := l.s.current(ctx); { // which may renew or replace the token
	case err != nil:
		return creds.Material{}, err
	case t != h.token:
		return fail(errors.New("it ends with the token of an earlier login"))
	}
	err := l.s.exchange(ctx, h.token, rest.Request{Method: http.MethodPost, Path: "/v1/sys/leases/renew", JSON: body}, &answer)
	if err != nil {
		return fail(err)
	}
	expires, err := l.expiry(asked, h.token, answer.Duration)
	switch {
	case err != nil:
		return fail(err)
	case answer.ID != id:
		return fail(errors.New("the answer is about another lease"))
	case expires.Sub(asked) < h.useful/2:
		return fail(errors.New("it is near its longest life"))
	}
	l.mu.Lock()
	h.renewable, h.expires = answer.Renewable, expires
	l.held[id] = h
	l.mu.Unlock()
	return again(m, expires), nil
}

// again returns a material with the same secrets in bytes of its own.
func again(m creds.Material, expires time.Time) creds.Material {
	clone := func(v creds.Value) creds.Value {
		secret := v.Reveal()
		defer clear(secret)
		return creds.NewValue(secret)
	}
	m.Secret, m.Expires = clone(m.Secret), expires
	parts := m.Parts
	m.Parts = make([]creds.Value, len(parts))
	for i, part := range parts {
		m.Parts[i] = clone(part)
	}
	return m
}

// Revoke ends a lease. One that has ended is no error.
func (l *lease) Revoke(ctx context.Context, _ creds.Spec, m creds.Material) error {
	if err := l.revoke(ctx, m.Record.KeyID); err != nil {
		return explain("revoking a lease of "+l.Path, err)
	}
	return nil
}

const revokePath = "sys/leases/revoke"

func (l *lease) revoke(ctx context.Context, id string) error {
	if err := l.checkID(id); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, rest.DefaultTimeout)
	defer cancel()
	_, err := l.s.ask(ctx, rest.Request{Method: http.MethodPost, Path: "/v1/" + revokePath, JSON: map[string]string{"lease_id": id}}, nil)
	if code := rest.Code(err); err != nil && code != "lease_not_found" && code != "lease_expired" {
		return err
	}
	l.mu.Lock()
	delete(l.held, id)
	l.mu.Unlock()
	return nil
}

func (l *lease) Describe(creds.Spec, creds.Request) (creds.Access, error) {
	return l.s.access(l.Path, 0), nil
}

// Probe asks what the login may do with the path, and whether it may revoke leases,
// which Vault's policy "default" does not allow: a lease that nobody can end is an
// error. It makes no secret.
func (l *lease) Probe(ctx context.Context, _ creds.Spec) (creds.Access, error) {
	a, err := l.s.probe(ctx, l.Path, 0)
	if err != nil {
		return creds.Access{}, err
	}
	may, _, err := l.s.capabilities(ctx, revokePath)
	if err != nil {
		return creds.Access{}, err
	}
	if !slices.Contains(may, "update") && !slices.Contains(may, "root") {
		return creds.Access{}, explain("asking what may be done with "+revokePath, errors.New("the login may not revoke leases: allow \"update\" of it in a policy"))
	}
	return a, nil
}

func (l *lease) Close() error { return l.leave() }
