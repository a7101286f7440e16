package vault

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/creds/internal/rest"
)

// An Auth is a way to get a token: [Token], [AppRole] or [JWT]. The provider in it is
// closed with the last one of the [Server], and must not give out leases.
type Auth interface {
	check() error
	// login returns a token. It is given the one in use, or nil.
	login(ctx context.Context, s *Server, current *token) (*token, error)
	describe() string
	source() creds.Provider // of the proof
}

// Token is a token that somebody else got, such as the one that an agent of Vault
// writes to a file. It is read again whenever it is needed, and renewed if it can be,
// but never revoked.
type Token struct {
	Source creds.Provider // usually [creds.File]
}

// AppRole logs in as a machine with a role id and a secret id.
type AppRole struct {
	Mount    string // empty means "approle"
	RoleID   string
	SecretID creds.Provider // usually [creds.File]; read at each login
}

// JWT logs in with a token that the platform issued: "jwt", or "kubernetes" for the
// token of a service account.
type JWT struct {
	Mount string // empty means "jwt"
	Role  string
	Token creds.Provider // usually [creds.File]; read at each login
}

var (
	_ Auth = Token{}
	_ Auth = AppRole{}
	_ Auth = JWT{}
)

func (a Token) check() error { return rest.CheckSource(a.Source, "Token.Source") }

func (a Token) source() creds.Provider { return a.Source }

func (a AppRole) source() creds.Provider { return a.SecretID }

func (a JWT) source() creds.Provider { return a.Token }

func (a Token) describe() string { return "a token from outside" }

// login reads the token and asks what it is, unless it is the one in use.
func (a Token) login(ctx context.Context, s *Server, current *token) (*token, error) {
	secret, err := rest.Token(ctx, a.Source, "Token.Source")
	if err != nil {
		return nil, err
	}
	defer clear(secret)
	if current.is(secret) {
		return current, nil
	}
	t := &token{id: creds.NewValue(secret), since: s.now()}
	if err := s.lookup(ctx, t); err != nil {
		t.id.Close()
		return nil, err
	}
	return t, nil
}

func (a AppRole) check() error {
	return errors.Join(checkMount("AppRole.Mount", a.mount()), checkName("AppRole.RoleID", a.RoleID), rest.CheckSource(a.SecretID, "AppRole.SecretID"))
}

func (a AppRole) mount() string { return orElse(a.Mount, "approle") }

func (a AppRole) describe() string { return "AppRole at " + a.mount() }

func (a AppRole) login(ctx context.Context, s *Server, _ *token) (*token, error) {
	secret, err := rest.Token(ctx, a.SecretID, "AppRole.SecretID")
	if err != nil {
		return nil, err
	}
	defer clear(secret)
	return s.login(ctx, a.mount(), map[string]string{"role_id": a.RoleID, "secret_id": string(secret)})
}

func (a JWT) check() error {
	return errors.Join(checkMount("JWT.Mount", a.mount()), checkName("JWT.Role", a.Role), rest.CheckSource(a.Token, "JWT.Token"))
}

func (a JWT) mount() string { return orElse(a.Mount, "jwt") }

func (a JWT) describe() string { return "role " + a.Role + " at " + a.mount() }

func (a JWT) login(ctx context.Context, s *Server, _ *token) (*token, error) {
	secret, err := rest.Token(ctx, a.Token, "JWT.Token")
	if err != nil {
		return nil, err
	}
	defer clear(secret)
	return s.login(ctx, a.mount(), map[string]string{"role": a.Role, "jwt": string(secret)})
}

// login asks a mount of an authentication method for a token.
func (s *Server) login(ctx context.Context, mount string, proof map[string]string) (*token, error) {
	asked := s.now()
	var answer struct {
		Auth *authAnswer `json:"auth"`
	}
	r := rest.Request{Method: http.MethodPost, Path: "/v1/auth/" + mount + "/login", JSON: proof}
	if err := s.exchange(ctx, nil, r, &answer); err != nil {
		return nil, err
	}
	if answer.Auth == nil {
		return nil, errors.New("the answer to the login holds no token: is a second factor asked for?")
	}
	return answer.Auth.token(asked)
}

func checkMount(what, mount string) error { return checkPath(what, mount) }

func checkName(what, name string) error {
	if name == "" || len(name) > 256 || strings.ContainsFunc(name, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return fmt.Errorf("%s must have 1 to 256 visible ASCII characters", what)
	}
	return nil
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
