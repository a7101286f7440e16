package fakeaws

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// An Issuer signs identity tokens (OIDC, ES256) and publishes its key on the loopback.
type Issuer struct {
	URL       string
	Audiences []string // that the account's provider for it accepts
	key       *ecdsa.PrivateKey
}

// NewIssuer starts an issuer that lives as long as the test.
func NewIssuer(tb testing.TB, audiences ...string) *Issuer {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	i := &Issuer{Audiences: audiences, key: key}
	server := httptest.NewServer(i)
	tb.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	i.URL = server.URL
	return i
}

// ServeHTTP answers discovery and the key set.
func (i *Issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	point, err := i.key.PublicKey.Bytes()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	var out any
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		out = map[string]any{
			"issuer": i.URL, "jwks_uri": i.URL + "/keys", "authorization_endpoint": i.URL + "/auth", "token_endpoint": i.URL + "/token",
			"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
			"id_token_signing_alg_values_supported": []string{"ES256"}, "scopes_supported": []string{"openid"}, "claims_supported": []string{"sub", "aud", "exp"},
		}
	case "/keys":
		out = map[string]any{"keys": []any{map[string]string{
			"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": "1",
			"x": base64.RawURLEncoding.EncodeToString(point[1:33]), "y": base64.RawURLEncoding.EncodeToString(point[33:]),
		}}}
	default:
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	text, err := json.Marshal(out)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_, _ = w.Write(text) // a client that has gone needs no answer
}

// Token returns a token of these claims, to which the issuer and times are added where
// they are missing.
func (i *Issuer) Token(tb testing.TB, now time.Time, claims map[string]any) string {
	tb.Helper()
	full := map[string]any{"iss": i.URL, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix()}
	maps.Copy(full, claims)
	body, err := json.Marshal(full)
	if err != nil {
		tb.Fatal(err)
	}
	text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256","kid":"1","typ":"JWT"}`)) + "." + base64.RawURLEncoding.EncodeToString(body)
	hash := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, i.key, hash[:])
	if err != nil {
		tb.Fatal(err)
	}
	signature := append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// read verifies a token and returns its subject.
func (i *Issuer) read(token string, now time.Time) (subject, audience string, err error) {
	parts := strings.Split(token, ".")
	refused := Errorf("InvalidIdentityToken", "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)")
	if len(parts) != 3 {
		return "", "", refused
	}
	body, err1 := base64.RawURLEncoding.DecodeString(parts[1])
	signature, err2 := base64.RawURLEncoding.DecodeString(parts[2])
	var claims struct {
		Sub string `json:"sub"`
		Aud texts  `json:"aud"`
		Exp int64  `json:"exp"`
	}
	if err1 != nil || err2 != nil || len(signature) != 64 || json.Unmarshal(body, &claims) != nil {
		return "", "", refused
	}
	hash := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	switch {
	case !ecdsa.Verify(&i.key.PublicKey, hash[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])):
		return "", "", Errorf("InvalidIdentityToken", "Couldn't retrieve verification key from your identity provider")
	case len(claims.Aud) != 1 || !slices.Contains(i.Audiences, claims.Aud[0]):
		return "", "", Errorf("InvalidIdentityToken", "Incorrect token audience")
	case now.Unix() >= claims.Exp:
		return "", "", Errorf("ExpiredTokenException", "Token expired: current date/time %d must be before the expiration date/time %d", now.Unix(), claims.Exp)
	}
	return claims.Sub, claims.Aud[0], nil
}

// withWebIdentity is AssumeRoleWithWebIdentity.
func (s *STS) withWebIdentity(r *Request, form url.Values) (*Issued, error) {
	asked := &Session{Name: form.Get("RoleSessionName"), Request: form}
	for key := range form {
		if strings.HasPrefix(key, "Tags") || key == "SourceIdentity" || key == "ExternalId" {
			return nil, invalid("%s is no parameter of this operation", key)
		}
	}
	if err := s.validate(form, asked, false); err != nil {
		return nil, err
	}
	token := form.Get("WebIdentityToken")
	var claims struct {
		Iss string `json:"iss"`
	}
	if parts := strings.Split(token, "."); len(parts) == 3 {
		body, err := base64.RawURLEncoding.DecodeString(parts[1])
		if err == nil {
			_ = json.Unmarshal(body, &claims) // an unknown issuer is refused below
		}
	}
	from := s.Issuers[claims.Iss]
	if from == nil {
		return nil, Errorf("InvalidIdentityToken", "No OpenIDConnect provider found in your account for %s", claims.Iss)
	}
	subject, audience, err := from.read(token, r.Now)
	if err != nil {
		return nil, err
	}
	host := strings.TrimPrefix(strings.TrimPrefix(from.URL, "https://"), "http://")
	role := s.Roles[form.Get("RoleArn")]
	federated := "arn:aws:iam::" + Account + ":oidc-provider/" + host
	keys := map[string]string{strings.ToLower(host + ":sub"): subject, strings.ToLower(host + ":aud"): audience}
	if role == nil || !trusts(role, federated, "sts:AssumeRoleWithWebIdentity", keys) {
		return nil, &Error{Status: http.StatusForbidden, Code: "AccessDenied", Message: "Not authorized to perform sts:AssumeRoleWithWebIdentity"}
	}
	return s.issue(r, form, asked, role, "AssumeRoleWithWebIdentityResult")
}
