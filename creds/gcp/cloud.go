package gcp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/mcpsec/mcpsec-go/creds/internal/rest"
)

// A Config says who asks, and where. Only Account is needed. The provider of its token or
// key is closed with the one made of the Config, and must not give out leases.
type Config struct {
	Account   Account
	Endpoints Endpoints
	Roots     []byte // PEM certificates trusted in place of the system's
	// InsecureLoopback accepts http:// to 127.0.0.1 or ::1, for tests.
	InsecureLoopback bool
}

// Endpoints are the addresses of Google's services. Empty ones are the public ones; a
// regional Secret Manager is "https://secretmanager.europe-west3.rep.googleapis.com".
type Endpoints struct {
	STS     string // "https://sts.googleapis.com"
	IAM     string // "https://iamcredentials.googleapis.com"
	Secrets string // "https://secretmanager.googleapis.com"
	OAuth   string // "https://oauth2.googleapis.com/token", for a [KeyFile]
}

// A cloud is Google as seen by one provider.
type cloud struct {
	account                  Account
	ends                     Endpoints
	sts, iam, secrets, oauth *rest.Client
	fault                    error
	now                      func() time.Time
}

func newCloud(conf Config) *cloud {
	c := &cloud{account: conf.Account, ends: conf.Endpoints, now: time.Now}
	for _, e := range []struct {
		client   **rest.Client
		url      *string
		standard string
	}{
		{&c.sts, &c.ends.STS, "https://sts.googleapis.com"},
		{&c.iam, &c.ends.IAM, "https://iamcredentials.googleapis.com"},
		{&c.secrets, &c.ends.Secrets, "https://secretmanager.googleapis.com"},
		{&c.oauth, &c.ends.OAuth, "https://oauth2.googleapis.com/token"},
	} {
		if *e.url == "" {
			*e.url = e.standard
		}
		var err error
		*e.client, err = rest.New(rest.Config{URL: *e.url, Roots: conf.Roots, InsecureLoopback: conf.InsecureLoopback, Now: func() time.Time { return c.now() }})
		c.fault = errors.Join(c.fault, err)
	}
	if conf.Account == nil {
		c.fault = errors.Join(c.fault, errors.New("Config.Account is missing: give a Federation or a KeyFile"))
	}
	return c
}

func (c *cloud) check() error {
	if c.fault != nil {
		return c.fault
	}
	return c.account.check()
}

// Close closes connections that are not in use, and the provider of the proof.
func (c *cloud) Close() error {
	for _, each := range []*rest.Client{c.sts, c.iam, c.secrets, c.oauth} {
		if each != nil {
			each.Close()
		}
	}
	if c.account == nil {
		return nil
	}
	return rest.CloseSource(c.account.source())
}

// A tokenAnswer is the answer of a token endpoint.
type tokenAnswer struct {
	Token      rest.Secret `json:"access_token"`
	TokenType  string      `json:"token_type"`
	IssuedType *string     `json:"issued_token_type"`
	ExpiresIn  *int64      `json:"expires_in"`
}

// exchange asks the security token service for a token in place of another. A source
// that is not nil is the life of the other, which counts if the answer names none.
func (c *cloud) exchange(ctx context.Context, form url.Values, sent []byte, source *time.Time) (bearer, error) {
	asked := c.now()
	var answer tokenAnswer
	if err := c.sts.Do(ctx, rest.Request{Method: http.MethodPost, Path: "/v1/token", Form: form, Code: rest.OAuthCode}, &answer); err != nil {
		clear(answer.Token)
		return bearer{}, err
	}
	if answer.IssuedType == nil || *answer.IssuedType != accessToken {
		clear(answer.Token)
		return bearer{}, errors.New("the issued token is not an access token (issued_token_type)")
	}
	return answer.accept(asked, sent, source)
}

// accept checks an answer.
func (a tokenAnswer) accept(asked time.Time, sent []byte, source *time.Time) (bearer, error) {
	var expires time.Time
	var err error
	if a.ExpiresIn != nil || source == nil {
		expires, err = rest.Expiry(asked, a.ExpiresIn, rest.MaxLife)
	}
	if source != nil && (expires.IsZero() || source.Before(expires)) {
		expires = *source
	}
	if err == nil {
		err = rest.CheckToken(a.Token)
	}
	switch {
	case err != nil:
	case !strings.EqualFold(a.TokenType, "Bearer"):
		err = errors.New("the token in the answer is not of type Bearer")
	case bytes.Equal(a.Token, sent):
		err = errors.New("the answer gives back the token that was sent")
	}
	if err != nil {
		clear(a.Token)
		return bearer{}, err
	}
	return bearer{a.Token, expires}, nil
}

// statuses are the codes of Google's APIs (google.rpc.Code).
var statuses = []string{
	"INVALID_ARGUMENT", "FAILED_PRECONDITION", "UNAUTHENTICATED", "PERMISSION_DENIED", "NOT_FOUND", "ABORTED", "ALREADY_EXISTS",
	"RESOURCE_EXHAUSTED", "CANCELLED", "INTERNAL", "UNIMPLEMENTED", "UNAVAILABLE", "DEADLINE_EXCEEDED", "OUT_OF_RANGE", "DATA_LOSS",
}

// status finds the code in the body of a refusal.
func status(body []byte) string {
	var answer struct {
		Error struct {
			Status json.RawMessage `json:"status"`
		} `json:"error"`
	}
	if rest.Decode(body, &answer) != nil {
		return ""
	}
	for _, code := range statuses {
		if string(answer.Error.Status) == `"`+code+`"` {
			return code
		}
	}
	return ""
}

func wrap(what string, err error) error { return fmt.Errorf("gcp: %s: %w", what, err) }
