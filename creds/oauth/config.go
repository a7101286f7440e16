package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/creds/internal/rest"
)

// Kinds of token, by the identifiers of RFC 8693 section 3.
const (
	AccessToken = "urn:ietf:params:oauth:token-type:access_token" //nolint:gosec // a name
	JWT         = "urn:ietf:params:oauth:token-type:jwt"
	IDToken     = "urn:ietf:params:oauth:token-type:id_token" //nolint:gosec // a name
)

// DefaultMaxLife is how long a token is kept at most.
const DefaultMaxLife = time.Hour

// A Config says which tokens to ask for, where, and as whom. All of it is fixed:
// nothing comes from the arguments of a call. The providers of client secret and actor
// are closed with the one made of it, and must not give out leases.
type Config struct {
	TokenURL string // of the token endpoint
	// Issuer of the server, the audience of client assertions. Empty means TokenURL,
	// which older servers want.
	Issuer   string
	ClientID string
	Auth     Auth
	// Audience and Resource (RFC 8707) are who the token is for. An exchange needs at
	// least one of them.
	Audience []string
	Resource []string
	// Scopes are asked for, and no others are accepted. An exchange needs at least one.
	Scopes []string
	// SubjectType is the kind of the caller's token; empty means [AccessToken].
	SubjectType string
	// Actor is the token of who acts for the caller, if the server wants one.
	Actor     creds.Provider
	ActorType string // empty means [JWT]
	// MaxLife is how long a token is kept at most, even if it lives longer. Zero means
	// [DefaultMaxLife], the most is a day.
	MaxLife time.Duration
	Roots   []byte // PEM certificates trusted in place of the system's
	// InsecureLoopback accepts http:// to 127.0.0.1 or ::1, for development.
	InsecureLoopback bool
}

// A server is the token endpoint and the client that asks it.
type server struct {
	conf   Config
	client *rest.Client
	fault  error
	id     string // fingerprint of the configuration
	now    func() time.Time
}

func newServer(conf Config) *server {
	if conf.MaxLife == 0 {
		conf.MaxLife = DefaultMaxLife
	}
	conf.SubjectType = orElse(conf.SubjectType, AccessToken)
	conf.ActorType = orElse(conf.ActorType, JWT)
	conf.Issuer = orElse(conf.Issuer, conf.TokenURL)
	conf.Audience, conf.Resource, conf.Scopes = slices.Clone(conf.Audience), slices.Clone(conf.Resource), slices.Clone(conf.Scopes)
	s := &server{conf: conf, now: time.Now}
	s.client, s.fault = rest.New(rest.Config{
		URL: conf.TokenURL, Roots: conf.Roots, Certificate: conf.Auth.certificate,
		InsecureLoopback: conf.InsecureLoopback, Now: func() time.Time { return s.now() },
	})
	list := func(values []string) string { return rest.Fingerprint(values...) }
	s.id = rest.Fingerprint(conf.TokenURL, conf.ClientID, list(conf.Audience), list(conf.Resource), list(conf.Scopes), conf.SubjectType, conf.ActorType)
	return s
}

func (s *server) check(spec creds.Spec) error {
	faults := []error{s.fault, s.conf.Auth.check(), rest.NoParams(spec)}
	if c := s.conf.ClientID; c == "" || len(c) > 256 || strings.ContainsFunc(c, notVisible) {
		faults = append(faults, errors.New("Config.ClientID must have 1 to 256 visible ASCII characters"))
	}
	if s.conf.MaxLife < time.Minute || s.conf.MaxLife > rest.MaxLife {
		faults = append(faults, fmt.Errorf("Config.MaxLife is %v: give 1m to %v", s.conf.MaxLife, rest.MaxLife))
	}
	faults = append(faults, s.conf.checkTarget()...)
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("oauth: %w", err)
	}
	return nil
}

// checkTarget checks for whom and for what tokens are asked.
func (c Config) checkTarget() (faults []error) {
	if len(c.Audience)+len(c.Resource)+len(c.Scopes) > 64 {
		faults = append(faults, errors.New("more than 64 audiences, resources and scopes"))
	}
	for _, resource := range c.Resource {
		if u, err := url.Parse(resource); err != nil || !u.IsAbs() || u.Fragment != "" {
			faults = append(faults, fmt.Errorf("resource %q is not an absolute URI without fragment (RFC 8707)", resource))
		}
	}
	for _, audience := range c.Audience {
		if audience == "" || len(audience) > 1024 || strings.ContainsFunc(audience, unicode.IsControl) {
			faults = append(faults, fmt.Errorf("audience %.40q is not one", audience))
		}
	}
	for i, scope := range c.Scopes {
		if scope == "" || len(scope) > 256 || strings.ContainsFunc(scope, notVisible) || strings.ContainsAny(scope, `"\`) {
			faults = append(faults, fmt.Errorf("scope %.40q is not one of RFC 6749 section 3.3", scope))
		}
		if slices.Contains(c.Scopes[:i], scope) {
			faults = append(faults, fmt.Errorf("scope %q is given twice", scope))
		}
	}
	return faults
}

func (s *server) access() creds.Access {
	a := creds.Access{Identity: "client " + s.conf.ClientID, Lifetime: s.conf.MaxLife}
	if s.client != nil {
		a.Identity += " of " + s.client.Host()
	}
	a.Rules = []creds.Rule{{Actions: slices.Clone(s.conf.Scopes), Resources: slices.Concat(s.conf.Audience, s.conf.Resource)}}
	return a
}

// Close closes connections that are not in use, and the providers of the proofs.
func (s *server) Close() error {
	if s.client != nil {
		s.client.Close()
	}
	return errors.Join(rest.CloseSource(s.conf.Auth.secret), rest.CloseSource(s.conf.Actor))
}

// ask sends a grant to the token endpoint.
func (s *server) ask(ctx context.Context, form url.Values, perCaller bool) (tokenAnswer, error) {
	var answer tokenAnswer
	if s.fault != nil {
		return answer, s.fault
	}
	if len(s.conf.Audience) > 0 {
		form["audience"] = s.conf.Audience
	}
	if len(s.conf.Resource) > 0 {
		form["resource"] = s.conf.Resource
	}
	if len(s.conf.Scopes) > 0 {
		form.Set("scope", strings.Join(s.conf.Scopes, " "))
	}
	r := rest.Request{Method: http.MethodPost, Form: form, Code: rest.OAuthCode, PerCaller: perCaller}
	if err := s.conf.Auth.prove(ctx, s, &r); err != nil {
		return answer, err
	}
	err := s.client.Do(ctx, r, &answer)
	return answer, err
}

func notVisible(c rune) bool { return c <= ' ' || c > '~' }

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
