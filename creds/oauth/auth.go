package oauth

import (
	"context"
	"crypto"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/creds/internal/rest"
	"github.com/mcpsec/mcpsec-go/creds/internal/rest/jws"
)

// An Auth is how the client proves who it is. Make one with [PrivateKey],
// [Certificate] or [ClientSecret]; the zero value proves nothing and is refused.
type Auth struct {
	key         func() crypto.Signer // a closure, because fmt prints whatever is in a field
	keyID       string
	secret      creds.Provider
	certificate func() (*tls.Certificate, error)
	method      string
}

// PrivateKey signs an assertion for each request (private_key_jwt, RFC 7523): ES256,
// EdDSA or RS256, by the kind of key, which may live in hardware. The key id may be
// empty.
func PrivateKey(key crypto.Signer, keyID string) Auth {
	return Auth{key: func() crypto.Signer { return key }, keyID: keyID, method: "private_key_jwt"}
}

// Certificate shows a TLS client certificate (tls_client_auth, RFC 8705). It is asked
// for every handshake, so that it can rotate.
func Certificate(certificate func() (*tls.Certificate, error)) Auth {
	return Auth{certificate: certificate, method: "tls_client_auth"}
}

// ClientSecret sends a shared secret (client_secret_basic), read for each request. It
// is the weakest of the three.
func ClientSecret(secret creds.Provider) Auth {
	return Auth{secret: secret, method: "client_secret_basic"}
}

func (a Auth) check() error {
	switch a.method {
	case "private_key_jwt":
		_, err := jws.For(a.key())
		return err
	case "tls_client_auth":
		if a.certificate == nil {
			return errors.New("the client certificate is missing")
		}
		_, err := rest.Certificate(a.certificate)
		return err
	case "client_secret_basic":
		return rest.CheckSource(a.secret, "the client secret")
	}
	return errors.New("Config.Auth is missing: give a PrivateKey, Certificate or ClientSecret")
}

const (
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	assertionLife = time.Minute
)

// prove adds the proof to a request.
func (a Auth) prove(ctx context.Context, s *server, r *rest.Request) error {
	switch a.method {
	case "private_key_jwt":
		alg, err := jws.For(a.key())
		if err != nil {
			return err
		}
		header := map[string]any{}
		if a.keyID != "" {
			header["kid"] = a.keyID
		}
		now := s.now()
		assertion, err := jws.Sign(a.key(), alg, header, map[string]any{
			"iss": s.conf.ClientID, "sub": s.conf.ClientID, "aud": s.conf.Issuer, "jti": jws.ID(),
			"iat": now.Unix(), "exp": now.Add(assertionLife).Unix(),
		})
		if err != nil {
			return err
		}
		r.Form.Set("client_id", s.conf.ClientID)
		r.Form.Set("client_assertion_type", assertionType)
		r.Form.Set("client_assertion", assertion)
	case "tls_client_auth":
		r.Form.Set("client_id", s.conf.ClientID)
	case "client_secret_basic":
		secret, err := rest.Token(ctx, a.secret, "the client secret")
		if err != nil {
			return err
		}
		defer clear(secret)
		// Both are form-encoded before they are joined (RFC 6749 section 2.3.1).
		pair := url.QueryEscape(s.conf.ClientID) + ":" + url.QueryEscape(string(secret))
		r.Header = http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(pair))}}
	default:
		return a.check()
	}
	return nil
}
