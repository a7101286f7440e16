package bearer

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// maxRevocations bounds those that are remembered at a time.
const maxRevocations = 1 << 16

// A Revocation says which tokens are no longer good: one by its ID, or those issued until
// now for a subject, a client, or both. Issuer empty means any.
type Revocation struct {
	Issuer  string
	ID      string // jti
	Subject string
	Client  string
}

// revocations are kept until the tokens that they are about have ended anyway.
type revocations struct {
	generation atomic.Int64 // counts changes

	mu   sync.RWMutex
	made map[Revocation]time.Time
}

func newRevocations() *revocations { return &revocations{made: make(map[Revocation]time.Time)} }

// Revoke ends tokens in this process, and with them their streams. It does not tell the
// issuer: revoke them there too, or the client gets others. New tokens of the same subject
// or client are good again if they were issued after now, as far as clocks agree
// (Config.Skew).
func (v *Verifier) Revoke(r Revocation) error {
	switch {
	case r.ID == "" && r.Subject == "" && r.Client == "":
		return errors.New("bearer: Revoke: name a token by its jti, a subject or a client")
	case r.ID != "" && (r.Subject != "" || r.Client != ""):
		return errors.New("bearer: Revoke: a token by its jti, or those of a subject or client, not both")
	case r.Issuer != "" && v.issuers[r.Issuer] == nil:
		return fmt.Errorf("bearer: Revoke: %q is none of the issuers", r.Issuer)
	}
	now := v.now()
	if err := v.revoked.add(r, now, now.Add(-v.longest())); err != nil {
		return err
	}
	v.news.tell()
	return nil
}

// longest is how long a token can matter after it was issued.
func (v *Verifier) longest() time.Duration {
	var most time.Duration
	for n := range v.config.Issuers {
		most = max(most, v.config.Issuers[n].MaxLifetime)
	}
	return most + 3*v.config.Skew
}

func (r *revocations) add(rev Revocation, now, over time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.made) >= maxRevocations {
		for have, at := range r.made {
			if at.Before(over) {
				delete(r.made, have)
			}
		}
	}
	if _, again := r.made[rev]; !again && len(r.made) >= maxRevocations {
		return fmt.Errorf("bearer: Revoke: %d revocations are remembered already: revoke subjects instead of single tokens", maxRevocations)
	}
	r.made[rev] = now
	r.generation.Add(1)
	return nil
}

// has reports whether a grant's token was revoked.
func (r *revocations) has(g *grant) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if len(r.made) == 0 {
		return false
	}
	c, skew := g.claims, g.v.config.Skew
	for _, issuer := range []string{"", g.issuer.URL} {
		if c.ID != "" {
			if _, ok := r.made[Revocation{Issuer: issuer, ID: c.ID}]; ok {
				return true
			}
		}
		for _, rev := range []Revocation{
			{Issuer: issuer, Subject: c.Subject},
			{Issuer: issuer, Client: c.Client},
			{Issuer: issuer, Subject: c.Subject, Client: c.Client},
		} {
			// A token that does not say when it was issued may be an old one.
			if at, ok := r.made[rev]; ok && !c.Issued.time().After(at.Add(skew)) {
				return true
			}
		}
	}
	return false
}
