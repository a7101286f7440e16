package conformance

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"net/http"
	"strings"
	"time"
)

// Token is an identity token (ES256) of the lab's issuer.
func (l *Lab) Token(subject, issuer string, expires time.Time) string {
	l.TB.Helper()
	part := func(v any) string {
		data, err := json.Marshal(v)
		if err != nil {
			l.TB.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(data)
	}
	claims := map[string]any{"iss": issuer, "sub": subject, "aud": "sigstore", "exp": expires.Unix(), "iat": time.Now().Unix()}
	if strings.Contains(subject, "@") && !strings.Contains(subject, "://") {
		claims["email"], claims["email_verified"] = subject, true
	}
	signed := part(map[string]string{"alg": "ES256", "typ": "JWT", "kid": "lab"}) + "." + part(claims)
	digest := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, l.OIDC, digest[:])
	if err != nil {
		l.TB.Fatal(err)
	}
	sig := make([]byte, 64)
	r.FillBytes(sig[:32])
	s.FillBytes(sig[32:])
	return signed + "." + base64.RawURLEncoding.EncodeToString(sig)
}

type claims struct {
	Issuer  string `json:"iss"`
	Subject string `json:"sub"`
	Expires int64  `json:"exp"`
}

func (l *Lab) checkToken(header string) (c claims, err error) {
	token, _ := strings.CutPrefix(header, "Bearer ")
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return c, errors.New("no token")
	}
	sig, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || len(sig) != 64 {
		return c, errors.New("no signature")
	}
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if !ecdsa.Verify(&l.OIDC.PublicKey, digest[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])) {
		return c, errors.New("the token is not the issuer's")
	}
	data, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return c, err
	}
	if err := json.Unmarshal(data, &c); err != nil {
		return c, err
	}
	if time.Now().Unix() > c.Expires {
		return c, errors.New("the token has expired")
	}
	return c, nil
}

// serveDiscovery and serveKeys are what an issuer publishes (OpenID Connect
// Discovery 1.0, RFC 7517).
func (*Lab) serveDiscovery(r *http.Request, _ []byte, h http.Header) ([]byte, error) {
	h.Set("Content-Type", "application/json")
	base := "http://" + r.Host
	return json.Marshal(map[string]any{
		"issuer": base, "jwks_uri": base + "/keys", "authorization_endpoint": base + "/auth", "token_endpoint": base + "/token",
		"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
		"id_token_signing_alg_values_supported": []string{"ES256"},
	})
}

func (l *Lab) serveKeys(_ *http.Request, _ []byte, h http.Header) ([]byte, error) {
	h.Set("Content-Type", "application/json")
	point, err := l.OIDC.PublicKey.Bytes()
	if err != nil {
		return nil, err
	}
	encode := base64.RawURLEncoding.EncodeToString
	return json.Marshal(map[string]any{"keys": []map[string]string{{
		"kty": "EC", "crv": "P-256", "kid": "lab", "alg": "ES256", "use": "sig", "x": encode(point[1:33]), "y": encode(point[33:]),
	}}})
}
