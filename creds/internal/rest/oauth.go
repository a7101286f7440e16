package rest

import "encoding/json"

// oauthCodes are the errors of RFC 6749, RFC 8693, RFC 8707 and OpenID Connect that a token
// endpoint may give.
var oauthCodes = []string{
	"invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type", "invalid_scope",
	"invalid_target", "invalid_token", "access_denied", "server_error", "temporarily_unavailable", "interaction_required",
	"login_required", "consent_required",
}

// OAuthCode finds the error code of RFC 6749 section 5.2 in the body of a refusal, or returns
// nothing. It repeats nothing else.
func OAuthCode(body []byte) string {
	var answer struct {
		Error json.RawMessage `json:"error"`
	}
	if Decode(body, &answer) != nil {
		return ""
	}
	for _, code := range oauthCodes {
		if string(answer.Error) == `"`+code+`"` {
			return code
		}
	}
	return ""
}
