package bearer

import (
	"net/url"
	"strings"
)

// Cognito returns the issuer of an Amazon Cognito user pool, "eu-west-1" and
// "eu-west-1_AbCdEf123", for the clients given. Its access tokens have neither a type nor
// an audience: what names this server is the client, and the claim token_use keeps ID
// tokens out. Give clients of this server only. Access tokens live for an hour unless the
// pool says otherwise.
func Cognito(region, pool string, clients ...string) Issuer {
	address := "https://cognito-idp." + region + ".amazonaws.com/" + url.PathEscape(pool)
	if strings.HasPrefix(region, "cn-") {
		address = "https://cognito-idp." + region + ".amazonaws.com.cn/" + url.PathEscape(pool)
	}
	return Issuer{
		URL: address, JWKS: address + "/.well-known/jwks.json",
		Clients: clients, ClientsAreAudience: true,
		Claims: map[string]string{"token_use": "access"},
		Types:  []string{""}, Algorithms: []string{"RS256"},
	}
}
