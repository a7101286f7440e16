package bearer

import (
	"context"
	"crypto/x509"
	"time"
)

// Config says whose tokens are accepted and what they must hold. Durations and numbers that
// are zero have the default that stands beside them.
type Config struct {
	// Issuers are the authorization servers whose tokens are accepted; one at least.
	Issuers []Issuer
	// Audience are the names of this server of which a token must have one, letter for
	// letter (RFC 8707): the URLs of its endpoints, as the metadata has them.
	Audience []string

	// Scopes maps what is called to the scopes it needs: a method, "tools/list", or a method
	// and a name, "tools/call delete_file"; "*" stands for any letters in either. Everything
	// that fits counts, so that "*" is what every request needs. Empty means that a good
	// token is enough.
	Scopes map[string][]string
	// Implies maps a scope to those that it includes, also by way of others.
	Implies map[string][]string

	// CertificateBound refuses tokens that are not bound to the client's certificate
	// (RFC 8705). Bound ones are held to it in any case.
	CertificateBound bool
	// DPoP judges proofs of possession (RFC 9449).
	DPoP DPoP

	// Skew is how far clocks may differ; 10 s, at most 60 s.
	Skew time.Duration
	// MaxTokens bounds the verified tokens that are kept; 32,768.
	MaxTokens int
	// Name is shown to people by clients; optional.
	Name string
}

// DPoP says what is asked of proofs of possession. Tokens that are bound to a key are held
// to it in any case.
type DPoP struct {
	// Required refuses tokens that are bound to no key.
	Required bool
	// Nonces makes clients put a nonce of this server into each proof.
	Nonces bool
	// Window is how old a proof may be; 60 s, at most 5 min.
	Window time.Duration
	// Algorithms that proofs may be signed with; RS256, PS256, ES256, ES384 and EdDSA.
	Algorithms []string
}

// An Issuer is an authorization server. [Cognito] makes one for Amazon's.
type Issuer struct {
	// URL is the issuer's identifier, letter for letter the "iss" of its tokens. Unless
	// JWKS or Keys are set, its keys are found through its metadata (RFC 8414, OpenID
	// Connect Discovery).
	URL string
	// JWKS is the address of its keys, and Keys a fixed set of them, as JSON (RFC 7517).
	JWKS string
	Keys []byte

	// Audience replaces that of the Config for this issuer's tokens.
	Audience []string
	// Clients, if set, are the OAuth clients whose tokens are accepted.
	Clients []string
	// ClientsAreAudience is for issuers whose tokens name no audience: that the client is
	// one of Clients has to do.
	ClientsAreAudience bool
	// Claims are further claims a token must have, each a string with this value.
	Claims map[string]string
	// Types are the "typ" of access tokens, where "" stands for none; "at+jwt" alone, which
	// keeps ID tokens out. With others, ID tokens are known by at_hash and c_hash only: let
	// Claims keep them out where the issuer has one for it.
	Types []string
	// Algorithms that tokens may be signed with; RS256, PS256, ES256, ES384 and EdDSA.
	Algorithms []string
	// TenantClaim and ScopeClaim name the claims with the tenant, "tid", and the scopes,
	// "scope" or "scp".
	TenantClaim string
	ScopeClaim  string
	// MaxLifetime is the most time between issue and end of a token; 1 h. Tokens that live
	// longer are refused: have the issuer shorten them, or raise it for one whose tokens
	// cannot be short (those of Entra ID live up to 90 minutes).
	MaxLifetime time.Duration

	// Introspection, if set, asks the issuer whether a token is still good (RFC 7662).
	Introspection *Introspection

	// Refresh is the time between refreshes of keys in the background; 5 min, at least 1 s.
	// Keys that an issuer withdraws end their tokens by then.
	Refresh time.Duration
	// Stale is how old keys may become while they cannot be refreshed; 1 h.
	Stale time.Duration
	// Roots are the authorities of the issuer's certificate; nil means the system's.
	Roots *x509.CertPool
	// Private says that the issuer's own hosts, as configured here, are at private addresses.
	// No others are reached there.
	Private bool
}

// Introspection says how an issuer is asked about tokens.
type Introspection struct {
	// URL of the endpoint; empty means that of the issuer's metadata.
	URL string
	// ClientID and Secret authenticate this server, by HTTP Basic. Secret is called for
	// each question, and has 15 s with it; it should answer from memory.
	ClientID string
	Secret   func(ctx context.Context) (string, error)
	// Opaque says that the issuer's tokens are no JWTs, or not always. One issuer at most can
	// have them, as they do not say whose they are.
	Opaque bool
	// Fresh is for how long an answer is good; 4 s, at least 100 ms and at most 5 s.
	Fresh time.Duration
	// Grace is for how long a token that was good stays so while there is no answer; 30 s,
	// negative none.
	Grace time.Duration
	// Rate is how many opaque tokens that are not known yet are asked about in a second; 50.
	Rate int
}
