package bearer

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/mcpsec/mcpsec-go/transport/https"
	"github.com/mcpsec/mcpsec-go/transport/https/bearer/internal/dpop"
	"github.com/mcpsec/mcpsec-go/transport/https/bearer/internal/fetch"
	"github.com/mcpsec/mcpsec-go/transport/https/bearer/internal/keyset"
)

// A Verifier judges access tokens. It is safe for concurrent use, and prints as the names of
// its issuers.
type Verifier struct {
	config  Config
	scopes  *scopes
	issuers map[string]*authority // by iss
	opaque  *authority            // whose tokens need not be JWTs; nil if nobody's
	proofs  *dpop.Checker
	tokens  *table
	revoked *revocations
	news    *news
	now     func() time.Time
}

var _ https.Tokens = (*Verifier)(nil)

type authority struct {
	*Issuer

	client *fetch.Client
	keys   *keyset.Set
	ask    *introspector // nil without introspection
}

// New returns a verifier, or all that is wrong with the configuration. It asks nobody:
// keys are read by [Verifier.Watch], or when the first token comes.
func New(c Config) (*Verifier, error) { return newVerifier(c, time.Now) }

func newVerifier(c Config, now func() time.Time) (*Verifier, error) {
	c = withDefaults(c)
	if err := c.check(); err != nil {
		return nil, err
	}
	v := &Verifier{
		config: c, scopes: newScopes(c.Scopes, c.Implies), issuers: make(map[string]*authority),
		tokens: newTable(c.MaxTokens), revoked: newRevocations(), news: newNews(), now: now,
		proofs: dpop.New(dpop.Checker{
			Algorithms: c.DPoP.Algorithms, Window: c.DPoP.Window, Skew: c.Skew, Nonces: c.DPoP.Nonces, Now: now,
		}),
	}
	for n := range c.Issuers {
		if err := v.add(&c.Issuers[n]); err != nil {
			return nil, fmt.Errorf("bearer: issuer %s: %w", c.Issuers[n].URL, err)
		}
	}
	return v, nil
}

func (v *Verifier) add(i *Issuer) error {
	own := &authority{Issuer: i, client: i.client()}
	var err error
	own.keys, err = keyset.New(keyset.Source{
		Issuer: i.URL, JWKS: i.JWKS, Static: i.Keys, Client: own.client,
		Refresh: i.Refresh, Stale: i.Stale, Now: v.now,
	})
	if err != nil {
		return err
	}
	if i.Introspection != nil {
		own.ask = newIntrospector(own, v.now)
		if i.Introspection.Opaque {
			v.opaque = own
		}
	}
	v.issuers[i.URL] = own
	return nil
}

// String returns the issuers; nothing else of the verifier is to be printed.
func (v *Verifier) String() string {
	names := make([]string, 0, len(v.config.Issuers))
	for n := range v.config.Issuers {
		names = append(names, v.config.Issuers[n].URL)
	}
	return "bearer.Verifier of " + strings.Join(names, ", ")
}

// GoString is [Verifier.String].
func (v *Verifier) GoString() string { return v.String() }

// Authenticate implements https.Tokens. The request's host must have been checked, as
// proofs of possession are for a URL of the host that the client names.
func (v *Verifier) Authenticate(r *http.Request, certificates []*x509.Certificate) (*https.Identity, error) {
	scheme, token, err := credentials(r)
	switch {
	case errors.Is(err, errNone):
		return nil, v.unauthorized("", textNone, nil)
	case err != nil:
		return nil, v.badRequest(err)
	}
	g, err := v.grant(r.Context(), token)
	if err != nil {
		return nil, v.refuse(err)
	}
	if err := v.bound(r, g, scheme, token, certificates); err != nil {
		return nil, err
	}
	return g.identity(certificates), nil
}

// errUnavailable marks causes that are no fault of the token.
var errUnavailable = errors.New("keys or introspection cannot be had")

// errRevoked marks tokens that were good once.
var errRevoked = errors.New("the token was ended")

func (v *Verifier) refuse(err error) *https.AuthError {
	switch {
	case errors.Is(err, errUnavailable):
		return v.unavailable(err)
	case errors.Is(err, errExpired):
		return v.unauthorized(invalidToken, textExpired, err)
	case errors.Is(err, errRevoked):
		return v.unauthorized(invalidToken, textRevoked, err)
	}
	return v.unauthorized(invalidToken, textInvalid, err)
}
