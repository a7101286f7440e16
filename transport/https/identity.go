package https

import (
	"context"
	"crypto/x509"
	"net/http"
	"time"

	"github.com/mcpsec/mcpsec-go/mcpsec"
	"github.com/modelcontextprotocol/go-sdk/auth"
)

// An Identity is who sends a request, as credentials that were verified say. It is
// immutable.
type Identity struct {
	Principal mcpsec.Principal
	// Token is what the SDK shows to handlers; nil without a token.
	Token *auth.TokenInfo
	// Secret is the token itself, for [Config.Subject]. It prints as nothing.
	Secret func() string
	// Certificates is the client's verified chain, leaf first; nil without one.
	Certificates []*x509.Certificate
	// Expires is when the identity ends by itself: the earliest end of token and
	// certificates.
	Expires time.Time
	// Still reports why the identity is no longer good: revoked, signed by a key that is
	// gone. Nil means that it cannot end early. It is called for every open stream every few
	// seconds and for each message: it is cheap, does no input or output, calls no method of
	// the server, and is safe for concurrent use.
	Still func() error
}

// Tokens judges access tokens; package bearer is the one for OAuth 2.1.
type Tokens interface {
	// Authenticate judges the credentials of one request, whose client certificates, if any,
	// have been verified. Errors are *AuthError. It must not read the body. For a token that
	// it has judged before and still takes for good it should return the same *Identity: what
	// the server derives from one is then made once.
	Authenticate(r *http.Request, certificates []*x509.Certificate) (*Identity, error)
	// Permit reports whether the identity's scopes suffice for a method and the name of a
	// tool, prompt or resource: nil, or an *AuthError of status 403.
	Permit(id *Identity, method, name string) error
	// Metadata returns the protected resource metadata (RFC 9728) of an endpoint, whose URL
	// is resource, as JSON.
	Metadata(resource string) []byte
	// Watch keeps keys and revocations fresh until ctx ends, and calls changed when an
	// identity may have ended early. It returns ctx's error.
	Watch(ctx context.Context, changed func(), fault func(error)) error
}

// An AuthError is a refusal of credentials, in words that are safe to send.
type AuthError struct {
	// Status is 400, 401, 403, or 503 if keys or introspection cannot be had.
	Status int
	// Scheme is "Bearer" or "DPoP".
	Scheme string
	// Code is that of RFC 6750: "", "invalid_request", "invalid_token",
	// "insufficient_scope", or of RFC 9449; empty if no credentials were sent.
	Code string
	// Description is a fixed text. Never the cause.
	Description string
	// Scope is what is needed, space separated, for the challenge.
	Scope string
	// Nonce is a new DPoP nonce, if one is to be used.
	Nonce string
	// Cause is for the operator's record only.
	Cause error
}

// Error returns status and code, nothing of the cause.
func (e *AuthError) Error() string { return http.StatusText(e.Status) + ": " + e.Code }

// Unwrap returns the cause.
func (e *AuthError) Unwrap() error { return e.Cause }
