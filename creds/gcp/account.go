package gcp

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/creds/internal/rest"
	"github.com/mcpsec/mcpsec-go/creds/internal/rest/jws"
)

// An Account is who asks: a [Federation] or a [KeyFile].
type Account interface {
	check() error
	email() string
	source() creds.Provider // of the proof
	// token returns a token with the scopes that lives about so long.
	token(ctx context.Context, c *cloud, scopes []string, lifetime time.Duration) (bearer, error)
}

// A bearer is an access token on its way.
type bearer struct {
	token   rest.Secret
	expires time.Time
}

// A Federation is a workload identity: a token of the platform, exchanged for one of
// Google, with which a service account is impersonated.
type Federation struct {
	// Audience is the provider's full name: "//iam.googleapis.com/projects/N/locations/
	// global/workloadIdentityPools/P/providers/Q".
	Audience string
	Token    creds.Provider // the platform's, usually [creds.File]; read each time
	// TokenType is its kind; empty means a JWT.
	TokenType      string
	ServiceAccount string // the e-mail address of the account to impersonate
}

// A KeyFile is a service account by its private key, as Google's console hands it out.
// It is the weakest choice: prefer a [Federation]. Only account, key id and key are
// taken from the file, never an address.
type KeyFile struct {
	Key            creds.Provider // of the JSON document; usually [creds.File]
	ServiceAccount string         // the e-mail address that must be in it
}

var (
	_ Account = Federation{}
	_ Account = KeyFile{}
)

const (
	exchangeGrant = "urn:ietf:params:oauth:grant-type:token-exchange"
	accessToken   = "urn:ietf:params:oauth:token-type:access_token" //nolint:gosec // a name
	jwtToken      = "urn:ietf:params:oauth:token-type:jwt"          //nolint:gosec // a name
	jwtGrant      = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	platformScope = "https://www.googleapis.com/auth/cloud-platform"
)

var (
	emails    = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{0,127}@[a-z0-9.-]{1,190}\.(gserviceaccount|google)\.com$`)
	audiences = regexp.MustCompile(`^//iam\.googleapis\.com/projects/[0-9]+/locations/global/workloadIdentityPools/[a-z0-9-]{4,32}/providers/[a-z0-9-]{4,32}$`)
)

func checkEmail(email string) error {
	if !emails.MatchString(email) {
		return fmt.Errorf("ServiceAccount %.80q is not the e-mail address of one", email)
	}
	return nil
}

func (f Federation) email() string { return f.ServiceAccount }

func (f Federation) source() creds.Provider { return f.Token }

func (f Federation) check() error {
	faults := []error{checkEmail(f.ServiceAccount), rest.CheckSource(f.Token, "Federation.Token")}
	if !audiences.MatchString(f.Audience) {
		faults = append(faults, fmt.Errorf("Federation.Audience %.200q is not the full name of a provider of a workload identity pool", f.Audience))
	}
	return errors.Join(faults...)
}

func (f Federation) token(ctx context.Context, c *cloud, scopes []string, lifetime time.Duration) (bearer, error) {
	subject, err := rest.Token(ctx, f.Token, "Federation.Token")
	if err != nil {
		return bearer{}, err
	}
	defer clear(subject)
	kind := f.TokenType
	if kind == "" {
		kind = jwtToken
	}
	federated, err := c.exchange(ctx, url.Values{
		"grant_type": {exchangeGrant}, "requested_token_type": {accessToken}, "audience": {f.Audience}, "scope": {platformScope},
		"subject_token": {string(subject)}, "subject_token_type": {kind},
	}, subject, nil)
	if err != nil {
		return bearer{}, fmt.Errorf("exchanging the platform's token: %w", err)
	}
	defer clear(federated.token)
	return c.impersonate(ctx, federated.token, f.ServiceAccount, scopes, lifetime)
}

func (k KeyFile) email() string { return k.ServiceAccount }

func (k KeyFile) source() creds.Provider { return k.Key }

func (k KeyFile) check() error {
	return errors.Join(checkEmail(k.ServiceAccount), rest.CheckSource(k.Key, "KeyFile.Key"))
}

// assertionLife is how long the signed request for a token is good.
const assertionLife = 5 * time.Minute

// token asks for a token with a JWT signed by the account's key (RFC 7523).
func (k KeyFile) token(ctx context.Context, c *cloud, scopes []string, _ time.Duration) (bearer, error) {
	key, id, err := k.read(ctx)
	if err != nil {
		return bearer{}, fmt.Errorf("KeyFile.Key: %w", err)
	}
	asked := c.now()
	assertion, err := jws.Sign(key, jws.RS256, map[string]any{"kid": id}, map[string]any{
		"iss": k.ServiceAccount, "scope": strings.Join(scopes, " "), "aud": c.ends.OAuth,
		"iat": asked.Unix(), "exp": asked.Add(assertionLife).Unix(),
	})
	if err != nil {
		return bearer{}, err
	}
	var answer tokenAnswer
	form := url.Values{"grant_type": {jwtGrant}, "assertion": {assertion}}
	if err := c.oauth.Do(ctx, rest.Request{Method: http.MethodPost, Form: form, Code: rest.OAuthCode}, &answer); err != nil {
		return bearer{}, fmt.Errorf("asking for a token of %s: %w", k.ServiceAccount, err)
	}
	return answer.accept(asked, nil, nil)
}

// read returns the private key and its id.
func (k KeyFile) read(ctx context.Context) (crypto.Signer, string, error) {
	text, err := rest.Content(ctx, k.Key)
	if err != nil {
		return nil, "", err
	}
	defer clear(text)
	var file struct {
		Type  string      `json:"type"`
		Email string      `json:"client_email"`
		KeyID string      `json:"private_key_id"`
		Key   rest.Secret `json:"private_key"`
	}
	err = rest.Decode(text, &file)
	defer clear(file.Key)
	switch {
	case err != nil:
		return nil, "", err
	case file.Type != "service_account":
		return nil, "", errors.New("it is not the key of a service account")
	case file.Email != k.ServiceAccount:
		return nil, "", fmt.Errorf("it is the key of another account than %s", k.ServiceAccount)
	case len(file.KeyID) > 128:
		return nil, "", errors.New("its key id is too long")
	}
	block, tail := pem.Decode(file.Key)
	if block == nil || len(bytes.TrimSpace(tail)) != 0 {
		return nil, "", errors.New("its private key is not one PEM block")
	}
	defer clear(block.Bytes)
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil { // the text of the error is about the encoding, but who knows
		return nil, "", errors.New("its private key is not PKCS #8")
	}
	key, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, "", errors.New("its private key cannot sign")
	}
	if alg, err := jws.For(key); err != nil || alg != jws.RS256 {
		return nil, "", errors.New("its private key is not RSA of 2048 bits or more")
	}
	return key, file.KeyID, nil
}

// impersonate asks for a token of a service account.
func (c *cloud) impersonate(ctx context.Context, with rest.Secret, email string, scopes []string, lifetime time.Duration) (bearer, error) {
	var answer struct {
		Token   rest.Secret `json:"accessToken"`
		Expires time.Time   `json:"expireTime"`
	}
	r := rest.Request{
		Method: http.MethodPost, Path: "/v1/projects/-/serviceAccounts/" + email + ":generateAccessToken", Code: status,
		Header: http.Header{"Authorization": {"Bearer " + string(with)}},
		JSON:   map[string]any{"scope": scopes, "lifetime": strconv.Itoa(int(lifetime/time.Second)) + "s"},
	}
	if err := c.iam.Do(ctx, r, &answer); err != nil {
		clear(answer.Token)
		return bearer{}, fmt.Errorf("impersonating %s: %w", email, err)
	}
	left := answer.Expires.Sub(c.now())
	if err := rest.CheckToken(answer.Token); err != nil {
		clear(answer.Token)
		return bearer{}, fmt.Errorf("impersonating %s: the token %w", email, err)
	}
	if answer.Expires.IsZero() || left <= 0 || left > lifetime+skew || bytes.Equal(answer.Token, with) {
		clear(answer.Token)
		return bearer{}, fmt.Errorf("impersonating %s: the token is not new or lives %v, asked for was %v: is the clock right?", email, left.Round(time.Second), lifetime)
	}
	return bearer{answer.Token, answer.Expires}, nil
}

// skew is how far Google's clock may be ahead of ours.
const skew = 5 * time.Minute
