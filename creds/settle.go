package creds

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"time"
)

// settle ends a flight with what the provider returned. Only the first time counts:
// what comes later is overwritten unseen, and revoked.
func (c *cache) settle(e *entry, f *flight, req Request, a answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, src := c.clock(), e.key.source
	l, err := e.judge(now, a, c.random)
	if err == nil && (f.settled || e.gone || c.closed) {
		err = errLanded
	}
	switch {
	case err == nil:
	case a.err != nil, a.renewed != nil, a.m.Secret.Empty():
		a.m.wipe() // what was renewed is revoked where it was
	default:
		c.discard(src, a.m)
	}
	if f.settled {
		return
	}
	f.settled, f.err, e.flight = true, err, nil
	defer close(f.done)
	if !e.private {
		src.service.flying--
	}
	switch {
	case e.private:
	case f.asked.Load():
		src.service.answered(now, err)
	default: // it waited for a seat in vain, which a caller with many plans can bring about
		src.service.probing = false
	}
	if err != nil {
		e.failures++
		e.fault, e.retryAt = err, now.mono+backoff(e.failures, c.random())
		if e.current == nil {
			c.demote(e)
		}
		return
	}
	e.failures, e.retryAt, e.fault = 0, 0, nil
	c.replace(e, f, req, a, l)
}

// judge reports whether an answer can be used, and for how long.
func (e *entry) judge(now instant, a answer, random func() float64) (life, error) {
	switch {
	case a.err != nil:
		return life{}, a.err
	case a.m.Secret.Empty():
		return life{}, errNothing
	case a.m.size() > MaxMaterial:
		return life{}, errLarge
	case a.m.told() > MaxTold:
		return life{}, errTold
	case e.private:
		return wholeLife(now, a.m.Expires)
	}
	return lifeOf(now, a.m.Expires, random())
}

// MaxMaterial bounds a secret together with its parts, in bytes.
const MaxMaterial = 1 << 20

// MaxTold bounds what a credential says of itself, in bytes: Version, Record and Public
// together.
const MaxTold = 16 << 10

var (
	errLarge = fmt.Errorf("the provider issued more than %d bytes", MaxMaterial)
	errTold  = fmt.Errorf("the provider said more than %d bytes of the credential", MaxTold)
)

// told is the size of what is no secret.
func (m Material) told() int {
	n := len(m.Version) + len(m.Record.Provider) + len(m.Record.Role) + len(m.Record.KeyID) + len(m.Record.Policy)
	for key, value := range m.Public {
		n += len(key) + len(value) + 64
	}
	return n
}

// size counts something for every part, so that they are bounded in number as well.
func (m Material) size() int {
	n := m.Secret.size()
	for _, p := range m.Parts {
		n += p.size() + 64
	}
	return n
}

// replace puts what was issued or renewed in the place of what the entry had.
func (c *cache) replace(e *entry, f *flight, req Request, a answer, l life) {
	if was := a.renewed; was != nil {
		if was == e.current { // else refused by the service in the meantime
			was.extend(a.m, l)
		}
		a.m.wipe()
		return
	}
	c.retire(e)
	e.current = newIssued(e.key.source, a.m, l)
	e.current.caller, e.current.lent = req.CallID, !f.background
	c.hold(e.current)
}

// same reports whether the secret is.
func (m Material) same(other Material) bool {
	mine, theirs := m.Secret.Reveal(), other.Secret.Reveal()
	defer clear(mine)
	defer clear(theirs)
	return bytes.Equal(mine, theirs)
}

// extend gives the credential a longer life, under the calls that use it.
func (is *issued) extend(m Material, l life) {
	longer := newIssued(is.src, m, l)
	longer.m.Secret, longer.m.Parts = is.m.Secret, is.m.Parts
	is.m, is.note, is.life = longer.m, longer.note, l
}

// discard gets rid of what was issued and nobody may have.
func (c *cache) discard(src *source, m Material) {
	is := newIssued(src, m, life{})
	is.retired = true
	c.hold(is)
	c.release(is, 0)
}

const (
	// maxRecalls bounds how many credentials wait for their revocation.
	maxRecalls = 2 * maxEntries
	// maxRecallers bounds how many are revoked at the same time.
	maxRecallers = 8
)

// recall revokes a credential, and overwrites it afterwards. The cache is locked.
func (c *cache) recall(is *issued) {
	if len(c.recalls) >= maxRecalls { // and there are recallers, who tell
		c.lost++
		c.finish(is)
		return
	}
	c.recalls = append(c.recalls, is)
	c.hire()
}

func (c *cache) hire() {
	if len(c.recalls) > 0 && c.recaller < maxRecallers {
		c.recaller++
		c.active++
		go c.revokeAll(c.revoking)
	}
}

// revokeAll works until nothing waits to be revoked, or a provider ends the goroutine:
// then another goes on.
func (c *cache) revokeAll(ctx context.Context) {
	defer c.rest()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.recaller--
		c.hire()
	}()
	for {
		c.mu.Lock()
		lost := c.lost
		c.lost = 0
		if len(c.recalls) == 0 {
			c.mu.Unlock()
			return
		}
		is := c.recalls[0]
		c.recalls = c.recalls[1:]
		m := is.m.clone()
		c.mu.Unlock()
		if lost > 0 {
			slog.Warn("creds: too many credentials wait to be revoked: some are left to expire", "number", lost)
		}
		if err := c.revoke(ctx, is, m); err != nil {
			slog.Warn(err.Error())
		}
	}
}

// revokeTimeout bounds how long a provider may take to revoke a credential.
const revokeTimeout = 5 * time.Second

// revoke returns what is to be logged, which must not happen under the lock: a handler
// of slog may look for what is held.
func (c *cache) revoke(ctx context.Context, is *issued, m Material) (err error) {
	err = errNoAnswer // if the provider ends the goroutine
	defer func() {
		m.wipe()
		c.mu.Lock()
		defer c.mu.Unlock()
		if err != nil {
			err = c.fault(fmt.Errorf("creds: credential %q: id %q was not revoked: %w", is.src.spec.name, is.m.Record.KeyID, err))
		}
		c.finish(is)
	}()
	ctx, cancel := context.WithTimeout(ctx, revokeTimeout)
	defer cancel()
	return is.src.revoke(ctx, m)
}

func (s *source) revoke(ctx context.Context, m Material) (err error) {
	defer contain(&err, "the provider")
	return s.revoker.Revoke(ctx, s.spec, m)
}

// fault tells whoever closes the injector of a credential that lives on although it
// should not, or returns it for the operator. The cache is locked.
func (c *cache) fault(err error) error {
	if c.closed && c.revoking.Err() == nil && len(c.faults) < 64 {
		c.faults = append(c.faults, err)
		return nil
	}
	return err
}
