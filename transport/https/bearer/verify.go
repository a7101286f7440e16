package bearer

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mcpsec/mcpsec-go/transport/https/bearer/internal/jose"
	"github.com/mcpsec/mcpsec-go/transport/https/bearer/internal/keyset"
)

// verifiedFor is how long the verification of a token is believed. What ends a token sooner
// is looked at each time all the same.
const verifiedFor = time.Minute

// idOf hashes a token, without a copy on the heap if it is of usual size.
func idOf(token string) tokenID {
	var buf [2 << 10]byte
	return sha256.Sum256(append(buf[:0], token...))
}

// grant returns what a token grants now.
func (v *Verifier) grant(ctx context.Context, token string) (*grant, error) {
	id := idOf(token)
	now := v.now()
	g := v.tokens.get(id)
	if g != nil && now.UnixNano()-g.verified.Load() < int64(verifiedFor) {
		if err := g.claims.inTime(now, v.config.Skew); err != nil {
			return nil, err
		}
		return g.confirm(ctx)
	}
	if strings.Count(token, ".") != 2 {
		return v.inquire(ctx, id, token, now)
	}
	fresh, err := v.verify(ctx, token)
	if err != nil {
		return nil, err
	}
	fresh.id = id
	g = v.tokens.put(fresh, now)
	g.verified.Store(now.UnixNano())
	return g.confirm(ctx)
}

// verify verifies a token that is signed.
func (v *Verifier) verify(ctx context.Context, text string) (*grant, error) {
	token, err := jose.Parse(text)
	if err != nil {
		return nil, err
	}
	// Nothing of the claims is believed yet, they only say whose keys to verify with.
	c, err := readClaims(token.Claims)
	if err != nil {
		return nil, err
	}
	i := v.issuers[c.Issuer]
	switch {
	case i == nil:
		return nil, errors.New("iss: none of the issuers")
	case !slices.Contains(i.Algorithms, token.Header.Algorithm):
		return nil, errors.New("the algorithm is not allowed")
	case !i.accepts(token.Header.Type):
		return nil, errors.New("typ: no access token")
	}
	key, err := i.keys.Find(ctx, token.Header.KeyID, token.Header.Algorithm)
	switch {
	case errors.Is(err, keyset.ErrUnknown):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("%w: %w", errUnavailable, err)
	}
	if err := token.Verify(key.Key, i.Algorithms); err != nil {
		return nil, err
	}
	if err := i.judge(c); err != nil {
		return nil, err
	}
	if err := c.lifetime(i.MaxLifetime); err != nil {
		return nil, err
	}
	if err := c.inTime(v.now(), v.config.Skew); err != nil {
		return nil, err
	}
	if c.isID() {
		return nil, errors.New("an ID token")
	}
	return v.newGrant(i, key, c, text)
}

// accepts reports whether a token's type is one of an issuer's access tokens. Types are
// media types without "application/" (RFC 7515, section 4.1.9).
func (i *Issuer) accepts(kind string) bool {
	const media = "application/"
	if len(kind) > len(media) && strings.EqualFold(kind[:len(media)], media) {
		kind = kind[len(media):]
	}
	return slices.ContainsFunc(i.Types, func(t string) bool { return strings.EqualFold(t, kind) })
}
