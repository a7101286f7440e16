package azure

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/creds/internal/rest"
	"github.com/mcpsec/mcpsec-go/creds/internal/rest/jws"
)

// PublicAuthority is where the public cloud issues tokens.
const PublicAuthority = "https://login.microsoftonline.com"

// An Application is who asks: an application or managed identity of Entra ID.
type Application struct {
	Tenant   string // its id or domain
	ClientID string // a UUID
	Proof    Proof
	// Authority is where tokens are issued; empty means [PublicAuthority].
	Authority string
	// VaultDomain is that of the Key Vaults; empty means "vault.azure.net". The others
	// are "vault.azure.cn" and "vault.usgovcloudapi.net".
	VaultDomain string
	Roots       []byte // PEM certificates trusted in place of the system's
	// InsecureLoopback accepts http:// to 127.0.0.1 or ::1, for tests.
	InsecureLoopback bool
}

// A Proof is how an application proves who it is. Make one with [Workload] or
// [Certificate]; the zero value proves nothing and is refused. The provider of a token is
// closed with the one that uses the proof, and must not give out leases.
type Proof struct {
	token creds.Provider
	cert  *x509.Certificate
	key   func() crypto.Signer // a closure, because fmt prints whatever is in a field
	kind  string
}

// Workload shows a token of the platform that the application trusts by a federated
// credential. It is read for each request, because it rotates.
func Workload(token creds.Provider) Proof { return Proof{token: token, kind: "workload"} }

// Certificate signs an assertion for each request (PS256) with the RSA key of a
// certificate that is registered for the application. The key may live in hardware.
func Certificate(cert *x509.Certificate, key crypto.Signer) Proof {
	return Proof{cert: cert, key: func() crypto.Signer { return key }, kind: "certificate"}
}

const (
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	assertionLife = 5 * time.Minute
)

func (p Proof) check(now time.Time) error {
	switch p.kind {
	case "workload":
		return rest.CheckSource(p.token, "the token of the workload")
	case "certificate":
		if p.cert == nil {
			return errors.New("the certificate is missing")
		}
		if alg, err := jws.For(p.key()); err != nil || alg != jws.RS256 {
			return errors.New("the key of the certificate is missing or not RSA of 2048 bits or more: Entra ID takes no other")
		}
		own, ok := p.key().Public().(*rsa.PublicKey)
		if !ok || !own.Equal(p.cert.PublicKey) {
			return errors.New("the key is not that of the certificate")
		}
		if now.Before(p.cert.NotBefore) || now.After(p.cert.NotAfter) {
			return fmt.Errorf("the certificate is good from %s to %s: renew it", p.cert.NotBefore.UTC().Format(time.RFC3339), p.cert.NotAfter.UTC().Format(time.RFC3339))
		}
		return nil
	}
	return errors.New("Application.Proof is missing: give a Workload or a Certificate")
}

// assertion returns what is sent as client_assertion.
func (p Proof) assertion(ctx context.Context, now time.Time, app Application, endpoint string) (string, error) {
	if err := p.check(now); err != nil {
		return "", err
	}
	if p.kind == "workload" {
		token, err := rest.Token(ctx, p.token, "the token of the workload")
		defer clear(token)
		return string(token), err
	}
	thumbprint := sha256.Sum256(p.cert.Raw)
	return jws.Sign(p.key(), jws.PS256, map[string]any{"x5t#S256": base64.RawURLEncoding.EncodeToString(thumbprint[:])}, map[string]any{
		"aud": endpoint, "iss": app.ClientID, "sub": app.ClientID, "jti": jws.ID(),
		"nbf": now.Unix(), "iat": now.Unix(), "exp": now.Add(assertionLife).Unix(),
	})
}

// A directory is Entra ID as seen by one provider.
type directory struct {
	app      Application
	client   *rest.Client
	endpoint string
	fault    error
	now      func() time.Time
}

var (
	uuids   = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
	tenants = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.-]{0,252}[A-Za-z0-9]$`)
)

func newDirectory(app Application) *directory {
	if app.Authority == "" {
		app.Authority = PublicAuthority
	}
	if app.VaultDomain == "" {
		app.VaultDomain = "vault.azure.net"
	}
	d := &directory{app: app, now: time.Now}
	d.endpoint = strings.TrimSuffix(app.Authority, "/") + "/" + app.Tenant + "/oauth2/v2.0/token"
	d.client, d.fault = rest.New(rest.Config{URL: app.Authority, Roots: app.Roots, InsecureLoopback: app.InsecureLoopback, Now: func() time.Time { return d.now() }})
	switch lower := strings.ToLower(app.Tenant); {
	case !tenants.MatchString(app.Tenant) || strings.Contains(app.Tenant, ".."):
		d.fault = errors.Join(d.fault, fmt.Errorf("Application.Tenant %.80q is no id and no domain", app.Tenant))
	case lower == "common" || lower == "organizations" || lower == "consumers":
		d.fault = errors.Join(d.fault, fmt.Errorf("Application.Tenant %q is any tenant: name one", app.Tenant))
	}
	if !uuids.MatchString(app.ClientID) {
		d.fault = errors.Join(d.fault, fmt.Errorf("Application.ClientID %.80q is not a UUID", app.ClientID))
	}
	return d
}

func (d *directory) check() error {
	if d.fault != nil {
		return d.fault
	}
	return d.app.Proof.check(d.now())
}

// Close closes connections that are not in use, and the provider of the proof.
func (d *directory) Close() error {
	if d.client != nil {
		d.client.Close()
	}
	return rest.CloseSource(d.app.Proof.token)
}

type tokenAnswer struct {
	Token     rest.Secret `json:"access_token"`
	TokenType string      `json:"token_type"`
	ExpiresIn *int64      `json:"expires_in"`
}

// token asks for a token (OAuth 2 client credentials with an assertion).
func (d *directory) token(ctx context.Context, scope string) (rest.Secret, time.Time, error) {
	if d.fault != nil {
		return nil, time.Time{}, d.fault
	}
	asked := d.now()
	assertion, err := d.app.Proof.assertion(ctx, asked, d.app, d.endpoint)
	if err != nil {
		return nil, time.Time{}, err
	}
	form := url.Values{
		"grant_type": {"client_credentials"}, "client_id": {d.app.ClientID}, "scope": {scope},
		"client_assertion_type": {assertionType}, "client_assertion": {assertion},
	}
	var answer tokenAnswer
	r := rest.Request{Method: http.MethodPost, Path: "/" + d.app.Tenant + "/oauth2/v2.0/token", Form: form, Code: oauthCode}
	if err := d.client.Do(ctx, r, &answer); err != nil {
		clear(answer.Token)
		return nil, time.Time{}, err
	}
	expires, err := answer.accept(asked, assertion)
	if err != nil {
		clear(answer.Token)
		return nil, time.Time{}, err
	}
	return answer.Token, expires, nil
}

// accept checks an answer and returns when its token expires.
func (a tokenAnswer) accept(asked time.Time, sent string) (time.Time, error) {
	expires, err := rest.Expiry(asked, a.ExpiresIn, rest.MaxLife)
	if err != nil {
		return time.Time{}, err
	}
	if err := rest.CheckToken(a.Token); err != nil {
		return time.Time{}, fmt.Errorf("the token in the answer %w", err)
	}
	if !strings.EqualFold(a.TokenType, "Bearer") {
		return time.Time{}, errors.New("the token in the answer is not of type Bearer")
	}
	if string(a.Token) == sent {
		return time.Time{}, errors.New("the answer gives back the assertion that was sent")
	}
	return expires, nil
}

// oauthCode finds the code of OAuth and, behind it, the number by which Entra ID tells
// what is wrong: AADSTS and digits.
func oauthCode(body []byte) string {
	code := rest.OAuthCode(body)
	var answer struct {
		Codes []json.Number `json:"error_codes"`
	}
	if rest.Decode(body, &answer) != nil || len(answer.Codes) == 0 {
		return code
	}
	if n, err := answer.Codes[0].Int64(); err == nil && n >= 10000 && n <= 99999999 {
		code += fmt.Sprintf(" AADSTS%d", n)
	}
	return code
}

func wrap(what string, err error) error { return fmt.Errorf("azure: %s: %w", what, err) }
