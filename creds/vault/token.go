package vault

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/creds/internal/rest"
)

// A token is a login. All but the times is set once; the times only by the holder of
// Server.turn, under Server.mu.
type token struct {
	id        creds.Value
	renewable bool
	own       bool // by our own login: ours to revoke
	batch     bool // can be neither renewed nor revoked
	root      bool

	since   time.Time     // when it was issued or renewed last
	ttl     time.Duration // from then on; zero: for ever
	longest time.Duration // the ttl it had at first
}

func (t *token) is(secret []byte) bool {
	if t == nil {
		return false
	}
	own := t.id.Reveal()
	defer clear(own)
	return subtle.ConstantTimeCompare(own, secret) == 1
}

// ends returns when the token ends; the zero time if never.
func (t *token) ends() time.Time {
	if t.ttl == 0 {
		return time.Time{}
	}
	return t.since.Add(t.ttl)
}

func (t *token) dead(now time.Time) bool { return t.ttl != 0 && !now.Before(t.ends()) }

// tired reports that two thirds of the token's time have passed.
func (t *token) tired(now time.Time) bool {
	return t.ttl != 0 && !now.Before(t.since.Add(t.ttl*2/3))
}

type authAnswer struct {
	Token     rest.Secret `json:"client_token"`
	Duration  *int64      `json:"lease_duration"`
	Renewable bool        `json:"renewable"`
	Type      string      `json:"token_type"`
	Policies  []string    `json:"policies"`
}

// maxTokenLife is Vault's own default for the longest life of a token.
const maxTokenLife = 768 * time.Hour

func life(seconds *int64) (time.Duration, error) {
	if seconds == nil || *seconds < 0 || *seconds > int64(maxTokenLife/time.Second) {
		return 0, fmt.Errorf("the answer gives the token no life between 0 and %v", maxTokenLife)
	}
	return time.Duration(*seconds) * time.Second, nil
}

// token makes a token of the answer to a login.
func (a *authAnswer) token(asked time.Time) (*token, error) {
	defer clear(a.Token)
	ttl, err := life(a.Duration)
	if err != nil {
		return nil, err
	}
	if err := rest.CheckToken(a.Token); err != nil {
		return nil, fmt.Errorf("the token that the login gave %w", err)
	}
	return &token{
		id: creds.NewValue(a.Token), own: true, batch: a.Type == "batch", renewable: a.Renewable,
		root: slices.Contains(a.Policies, "root"), since: asked, ttl: ttl, longest: ttl,
	}, nil
}

// lookup asks what a token is.
func (s *Server) lookup(ctx context.Context, t *token) error {
	asked := s.now()
	var answer struct {
		Data *struct {
			TTL       *int64   `json:"ttl"`
			Renewable bool     `json:"renewable"`
			Type      string   `json:"type"`
			Policies  []string `json:"policies"`
		} `json:"data"`
	}
	if err := s.exchange(ctx, t, rest.Request{Method: http.MethodGet, Path: "/v1/auth/token/lookup-self"}, &answer); err != nil {
		return err
	}
	if answer.Data == nil {
		return errors.New("the answer does not describe the token")
	}
	ttl, err := life(answer.Data.TTL)
	if err != nil {
		return err
	}
	t.since, t.ttl, t.longest = asked, ttl, ttl
	t.renewable, t.batch = answer.Data.Renewable, answer.Data.Type == "batch"
	t.root = slices.Contains(answer.Data.Policies, "root")
	return nil
}

// renew makes the token in use live longer. It reports false if it did not get much:
// then its maximum life is near.
func (s *Server) renew(ctx context.Context, t *token) (bool, error) {
	asked := s.now()
	var answer struct {
		Auth *authAnswer `json:"auth"`
	}
	r := rest.Request{Method: http.MethodPost, Path: "/v1/auth/token/renew-self", JSON: map[string]int64{"increment": int64(t.longest / time.Second)}}
	if err := s.exchange(ctx, t, r, &answer); err != nil {
		return false, err
	}
	if answer.Auth == nil {
		return false, errors.New("the answer to the renewal is empty")
	}
	defer clear(answer.Auth.Token)
	ttl, err := life(answer.Auth.Duration)
	if err != nil {
		return false, err
	}
	if ttl == 0 && t.longest != 0 {
		return false, errors.New("the renewal gave the token no end")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t.since, t.ttl, t.renewable = asked, ttl, answer.Auth.Renewable
	return ttl > t.longest/2, nil
}

// current returns a token that is good for now, and whether it is new. Only one caller
// at a time logs in or renews; the others wait as long as their context allows.
func (s *Server) current(ctx context.Context) (t *token, fresh bool, err error) {
	if s.fault != nil {
		return nil, false, s.fault
	}
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return nil, false, fmt.Errorf("vault: waiting for the login: %w", ctx.Err())
	}
	now := s.now()
	s.mu.Lock()
	t = s.token
	closed := s.users <= 0
	s.mu.Unlock()
	if closed {
		return nil, false, errClosed
	}
	_, reads := s.conf.Auth.(Token) // somebody else may have replaced it
	switch {
	case t == nil || t.dead(now):
	case reads:
		if other, err := s.conf.Auth.login(ctx, s, t); err != nil || other != t {
			return s.take(ctx, t, other, err)
		}
		if t.tired(now) && t.renewable {
			_, _ = s.renew(ctx, t) // it is good for now; and whoever wrote it may renew it
		}
		return t, false, nil
	case !t.tired(now):
		return t, false, nil
	case t.renewable:
		if enough, err := s.renew(ctx, t); err == nil && enough {
			return t, false, nil
		}
	}
	other, err := s.conf.Auth.login(ctx, s, nil)
	if err != nil && t != nil && !t.dead(s.now()) {
		return t, false, nil // tired, but good for now
	}
	return s.take(ctx, t, other, err)
}

// take puts a token in the place of another. The other is not revoked: leases hang on
// it that are in use.
func (s *Server) take(ctx context.Context, old, t *token, err error) (*token, bool, error) {
	if err != nil {
		return nil, false, explainLogin(s.conf.Auth, err)
	}
	if t.dead(s.now()) {
		t.id.Close()
		return nil, false, errors.New("vault: login by " + s.conf.Auth.describe() + ": the token has expired: replace it")
	}
	s.mu.Lock()
	if s.users <= 0 { // closed meanwhile: nobody else would revoke it
		s.mu.Unlock()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rest.DefaultTimeout)
		defer cancel()
		return nil, false, errors.Join(errClosed, s.end(ctx, t))
	}
	defer s.mu.Unlock()
	s.token = t
	s.retire(old)
	return t, true, nil
}

var errClosed = errors.New("vault: all providers of the server are closed")

// retire keeps a token that requests under way may still use, and overwrites the one
// that was retired before it. The server is locked.
func (s *Server) retire(t *token) {
	if t == nil || t == s.retired {
		return
	}
	if s.retired != nil {
		s.retired.id.Close()
	}
	s.retired = t
}

// ask sends a request with a good token and returns which. If Vault refuses a token
// that was not new, it is asked whether it still knows it, and if not a new one is got:
// once, so that what a policy forbids does not become a storm of logins.
func (s *Server) ask(ctx context.Context, r rest.Request, into any) (*token, error) {
	t, fresh, err := s.current(ctx)
	if err != nil {
		return nil, err
	}
	err = s.exchange(ctx, t, r, into)
	if rest.Status(err) != http.StatusForbidden || fresh {
		return t, err
	}
	if !s.unknown(ctx, t) {
		return t, err // it is the path that is forbidden
	}
	s.mu.Lock()
	if s.token == t {
		s.token = nil
		s.retire(t)
	}
	s.mu.Unlock()
	if t, _, err = s.current(ctx); err != nil {
		return nil, err
	}
	return t, s.exchange(ctx, t, r, into)
}

// unknown reports whether Vault says that it does not know a token.
func (s *Server) unknown(ctx context.Context, t *token) bool {
	return rest.Status(s.exchange(ctx, t, rest.Request{Method: http.MethodGet, Path: "/v1/auth/token/lookup-self"}, nil)) == http.StatusForbidden
}
