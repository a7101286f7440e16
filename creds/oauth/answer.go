package oauth

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/creds/internal/rest"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// A tokenAnswer is the answer of a token endpoint (RFC 6749 section 5.1, RFC 8693
// section 2.2.1). A refresh token in it is not even read.
type tokenAnswer struct {
	Token      rest.Secret `json:"access_token"`
	TokenType  string      `json:"token_type"`
	IssuedType *string     `json:"issued_token_type"`
	ExpiresIn  *int64      `json:"expires_in"`
	Scope      *string     `json:"scope"`
}

// accept checks an answer and makes a credential of it. The sent tokens must not come
// back.
func (s *server) accept(asked time.Time, answer tokenAnswer, exchanged bool, sent ...[]byte) (creds.Material, error) {
	defer clear(answer.Token)
	expires, err := rest.Expiry(asked, answer.ExpiresIn, s.conf.MaxLife)
	if err != nil {
		return creds.Material{}, err
	}
	if !s.now().Before(expires) {
		return creds.Material{}, errors.New("the token had expired by the time it came")
	}
	if err := rest.CheckToken(answer.Token); err != nil {
		return creds.Material{}, fmt.Errorf("the token in the answer %w", err)
	}
	switch {
	case !strings.EqualFold(answer.TokenType, "Bearer"):
		return creds.Material{}, errors.New("the token in the answer is not of type Bearer")
	case exchanged && (answer.IssuedType == nil || *answer.IssuedType != AccessToken && *answer.IssuedType != JWT):
		return creds.Material{}, errors.New("the issued token is not an access token (issued_token_type)")
	case answer.Scope != nil && len(s.conf.Scopes) > 0 && !s.within(*answer.Scope):
		return creds.Material{}, errors.New("the token has scopes that were not asked for: narrow what the server gives to this client")
	}
	for _, token := range sent {
		if same(token, answer.Token) {
			return creds.Material{}, errors.New("the server gave back a token that it was sent: it must issue a new one")
		}
	}
	return creds.Material{
		Secret: answer.Token.Value(), Expires: expires,
		Record: mcpsec.Credential{Provider: "oauth " + s.client.Host(), Role: s.conf.ClientID},
	}, nil
}

// within reports whether a list of scopes has only those that were asked for.
func (s *server) within(scope string) bool {
	for each := range strings.FieldsSeq(scope) {
		if !slices.Contains(s.conf.Scopes, each) {
			return false
		}
	}
	return true
}

// same reports whether two tokens are the same, or two JWTs say the same.
func same(a, b []byte) bool {
	if subtle.ConstantTimeCompare(a, b) == 1 {
		return true
	}
	claims := func(token []byte) string {
		parts := strings.Split(string(token), ".")
		if len(parts) != 3 {
			return ""
		}
		return strings.TrimRight(parts[1], "=")
	}
	one := claims(a)
	return one != "" && subtle.ConstantTimeCompare([]byte(one), []byte(claims(b))) == 1
}
