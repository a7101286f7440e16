package bearer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// inquire returns what an opaque token grants.
func (v *Verifier) inquire(ctx context.Context, id tokenID, token string, now time.Time) (*grant, error) {
	if v.opaque == nil {
		return nil, errors.New("not a signed token")
	}
	n := v.opaque.ask
	g := v.tokens.get(id)
	if g != nil && !g.over(now) { // asked about as often as any that is known
		g.verified.Store(now.UnixNano())
		return g.confirm(ctx)
	}
	if err := n.admit(id, now); err != nil {
		return nil, err
	}
	data, err := n.ask(ctx, id, token, n.unknown)
	if errors.Is(err, errInactive) {
		n.bury(id, now)
	}
	if err != nil {
		return nil, err
	}
	c, err := v.opaque.readAnswer(data, now)
	if err != nil {
		return nil, err
	}
	if err := c.inTime(now, v.config.Skew); err != nil {
		return nil, err
	}
	fresh, err := v.newGrant(v.opaque, nil, c, token)
	if err != nil {
		return nil, err
	}
	fresh.id = id
	g = v.tokens.put(fresh, now)
	g.verified.Store(now.UnixNano())
	raise(&g.confirmed, now.UnixNano())
	return g.confirm(ctx)
}

// readAnswer reads what an active opaque token grants, and holds it to what a signed one
// would be held to.
func (i *authority) readAnswer(data []byte, now time.Time) (*claims, error) {
	c, err := readClaims(data)
	if err != nil {
		return nil, err
	}
	// A refresh token can be active, too.
	kind, err := c.text("token_type")
	if err != nil || !strings.EqualFold(kind, schemeBearer) && !strings.EqualFold(kind, schemeDPoP) {
		return nil, errors.New("introspection: no access token by its token_type")
	}
	if strings.EqualFold(kind, schemeDPoP) && (c.Binding == nil || c.Binding.Key == "") {
		return nil, errors.New("introspection: a DPoP token, and not which key it is bound to")
	}
	if c.Issuer == "" {
		c.Issuer = i.URL
	}
	if c.Issuer != i.URL {
		return nil, errors.New("introspection: the token is of another issuer")
	}
	if err := i.judge(c); err != nil {
		return nil, err
	}
	timed := *c
	if timed.Issued == 0 {
		timed.Issued = instant(now.Unix())
	}
	return c, timed.lifetime(i.MaxLifetime)
}

// admit holds unknown tokens to the rate, and refuses those that were not active just now.
func (n *introspector) admit(id tokenID, now time.Time) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if until, ok := n.dead[id]; ok && now.Before(until) {
		return errInactive
	}
	if _, ok := n.flights[id]; ok {
		return nil
	}
	if n.next.Before(now) {
		n.next = now
	}
	if n.next.Sub(now) >= time.Second {
		return fmt.Errorf("%w: introspection: more than %d unknown tokens in a second", errUnavailable, n.Rate)
	}
	n.next = n.next.Add(time.Second / time.Duration(n.Rate))
	return nil
}

func (n *introspector) bury(id tokenID, now time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.dead) >= maxDead {
		clear(n.dead)
	}
	n.dead[id] = now.Add(n.Fresh)
}
