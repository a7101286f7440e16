package bearer

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/mcpsec/mcpsec-go/mcpsec"
	"github.com/mcpsec/mcpsec-go/transport/https"
	"github.com/mcpsec/mcpsec-go/transport/https/bearer/internal/keyset"
	"github.com/modelcontextprotocol/go-sdk/auth"
)

type tokenID [sha256.Size]byte

// A grant is one verified token. It outlives its place in the table where a stream still
// has its identity. All fields but the atomic ones are immutable.
type grant struct {
	v       *Verifier
	issuer  *authority
	key     *keyset.Key // nil for opaque tokens
	id      tokenID
	token   string
	claims  *claims
	binding binding
	// certificate is the SHA-256 of that which the token is bound to (RFC 8705), if it is.
	certificate [sha256.Size]byte
	principal   mcpsec.Principal // without certificate

	verified  atomic.Int64 // when it last was, Unix nanoseconds
	seen      atomic.Int64 // when a request or stream last asked
	confirmed atomic.Int64 // when introspection was last asked and said that it is active
	judged    atomic.Int64 // the generation of revocations that let it pass
	ended     atomic.Bool  // by introspection or revocation, for good
	last      atomic.Pointer[https.Identity]
}

func (v *Verifier) newGrant(i *authority, key *keyset.Key, c *claims, token string) (*grant, error) {
	scopes, err := c.scopes(i.ScopeClaim)
	if err != nil {
		return nil, err
	}
	tenant, err := c.text(i.TenantClaim)
	if err != nil {
		return nil, err
	}
	actors, err := c.actors()
	if err != nil {
		return nil, err
	}
	g := &grant{v: v, issuer: i, key: key, token: token, claims: c}
	if c.Binding != nil {
		g.binding = *c.Binding
	}
	if want := g.binding.Certificate; want != "" {
		sum, err := base64.RawURLEncoding.Strict().DecodeString(want)
		if err != nil || len(sum) != sha256.Size {
			return nil, errors.New("cnf: x5t#S256 is no SHA-256 in base64url")
		}
		g.certificate = [sha256.Size]byte(sum)
	}
	g.principal = mcpsec.Principal{
		Rung: mcpsec.Token, Issuer: i.URL, Subject: c.Subject, Client: c.Client, Tenant: tenant,
		Scopes: scopes, Actors: actors,
	}
	c.all = nil // they are as large as the token
	g.judged.Store(-1)
	return g, nil
}

// standing returns why the token is no longer good, apart from time and introspection.
func (g *grant) standing() error {
	if g.key != nil {
		if err := g.issuer.keys.Check(g.key); err != nil {
			return err
		}
	}
	if generation := g.v.revoked.generation.Load(); g.judged.Load() != generation {
		if g.v.revoked.has(g) {
			g.ended.Store(true)
		}
		g.judged.Store(generation)
	}
	if g.ended.Load() {
		return errRevoked
	}
	return nil
}

// confirm returns the grant if it is good now, and asks the issuer where that is due.
func (g *grant) confirm(ctx context.Context) (*grant, error) {
	now := g.v.now()
	g.seen.Store(now.UnixNano())
	if err := g.standing(); err != nil {
		return nil, err
	}
	ask := g.issuer.ask
	if ask == nil || now.UnixNano()-g.confirmed.Load() < int64(ask.Fresh) {
		return g, nil
	}
	err := ask.again(ctx, g)
	if err == nil || errors.Is(err, errUnavailable) && ask.excuses(now, g.confirmed.Load()) {
		return g, nil
	}
	return nil, err
}

// still implements https.Identity.Still.
func (g *grant) still() error {
	now := g.v.now()
	g.seen.Store(now.UnixNano())
	if err := g.standing(); err != nil {
		return err
	}
	if ask := g.issuer.ask; ask != nil && !ask.excuses(now, g.confirmed.Load()) {
		return fmt.Errorf("%w: the issuer has not confirmed the token for too long", errUnavailable)
	}
	return nil
}

// identity returns the token's with the client's certificates, the same one for the same
// certificates.
func (g *grant) identity(chain []*x509.Certificate) *https.Identity {
	if id := g.last.Load(); id != nil && slices.EqualFunc(id.Certificates, chain, (*x509.Certificate).Equal) {
		return id
	}
	p := g.principal
	expires := g.claims.Expires.time().Add(g.v.config.Skew)
	if len(chain) > 0 {
		if by := (mcpsec.Peer{Certificates: chain}).Principal(); by.Rung == mcpsec.Certificate {
			p.Certificate = by.Subject
		}
		for _, c := range chain {
			if c.NotAfter.Before(expires) {
				expires = c.NotAfter
			}
		}
	}
	token := g.token
	id := &https.Identity{
		Principal: p, Token: g.info(p), Secret: func() string { return token },
		Certificates: slices.Clone(chain), Expires: expires, Still: g.still,
	}
	g.last.Store(id)
	return id
}

// info returns what handlers see. The SDK binds sessions to the user id, so that is all
// that makes the principal.
func (g *grant) info(p mcpsec.Principal) *auth.TokenInfo {
	sum := sha256.Sum256([]byte(p.Key()))
	extra := map[string]any{"iss": p.Issuer, "sub": p.Subject}
	if p.Client != "" {
		extra["client_id"] = p.Client
	}
	if p.Tenant != "" {
		extra["tid"] = p.Tenant
	}
	var act map[string]any
	for _, name := range slices.Backward(p.Actors) {
		outer := map[string]any{"sub": name}
		if act != nil {
			outer["act"] = act
		}
		act = outer
	}
	if act != nil {
		extra["act"] = act
	}
	return &auth.TokenInfo{
		UserID: base64.RawURLEncoding.EncodeToString(sum[:]), Scopes: slices.Clone(p.Scopes),
		Expiration: g.claims.Expires.time(), Extra: extra,
	}
}

// live is how long after it was last seen a grant counts as in use: streams ask for theirs
// every few seconds.
const live = 15 * time.Second

func (g *grant) isLive(now time.Time) bool { return now.UnixNano()-g.seen.Load() < int64(live) }

func (g *grant) over(now time.Time) bool {
	return errors.Is(g.claims.inTime(now, g.v.config.Skew), errExpired)
}
