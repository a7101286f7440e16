package bearer

import (
	"net/http"

	"github.com/mcpsec/mcpsec-go/transport/https"
)

// Codes of RFC 6750, section 3.1, and RFC 9449, sections 5 and 8.
const (
	invalidRequest = "invalid_request"
	invalidToken   = "invalid_token"
	tooFewScopes   = "insufficient_scope"
	invalidProof   = "invalid_dpop_proof"
	wantNonce      = "use_dpop_nonce"
)

// Texts for clients. None says what exactly was wrong with a token that is not the
// issuer's.
const (
	textNone        = "an access token is required"
	textRequest     = "the request must carry exactly one access token, in one Authorization header"
	textInvalid     = "the access token is not valid here"
	textExpired     = "the access token has expired"
	textRevoked     = "the access token is no longer valid"
	textUnbound     = "the access token must be bound to what the client has"
	textProof       = "the proof of possession is not valid"
	textNonce       = "the proof of possession must have the nonce"
	textScope       = "the access token lacks scope"
	textUnavailable = "access tokens cannot be verified at the moment"
)

const (
	schemeBearer = "Bearer"
	schemeDPoP   = "DPoP"
)

// scheme is that of challenges to clients that have not chosen one.
func (v *Verifier) scheme() string {
	if v.config.DPoP.Required {
		return schemeDPoP
	}
	return schemeBearer
}

func (v *Verifier) unauthorized(code, text string, cause error) *https.AuthError {
	return &https.AuthError{
		Status: http.StatusUnauthorized, Scheme: v.scheme(), Code: code, Description: text,
		Scope: v.scopes.every, Cause: cause,
	}
}

func (v *Verifier) badRequest(cause error) *https.AuthError {
	return &https.AuthError{
		Status: http.StatusBadRequest, Scheme: v.scheme(), Code: invalidRequest, Description: textRequest, Cause: cause,
	}
}

func (v *Verifier) unavailable(cause error) *https.AuthError {
	return &https.AuthError{
		Status: http.StatusServiceUnavailable, Scheme: v.scheme(), Description: textUnavailable, Cause: cause,
	}
}

// Permit implements https.Tokens by Config.Scopes.
func (v *Verifier) Permit(id *https.Identity, method, name string) error {
	var granted []string
	if id != nil {
		granted = id.Principal.Scopes
	}
	need, missing := v.scopes.missing(granted, method, name)
	if !missing {
		return nil
	}
	return &https.AuthError{
		Status: http.StatusForbidden, Scheme: v.scheme(), Code: tooFewScopes, Description: textScope, Scope: need,
	}
}
