package https

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"net"
	"net/http"

	"github.com/mcpsec/mcpsec-go/mcpsec"
	"github.com/mcpsec/mcpsec-go/transport/https/internal/stream"
	"github.com/modelcontextprotocol/go-sdk/auth"
)

// A caller is who sends requests over one connection with the same credentials.
type caller struct {
	identity *Identity
	holder   *stream.Holder
	key      string          // of the principal
	token    *Identity       // as Tokens returned it; nil without tokens
	user     string          // by which the SDK binds sessions
	who      context.Context //nolint:containedctx // the value that the guard knows the principal by
}

var (
	errFrozen     = errors.New("https: the principal is frozen")
	errNameless   = errors.New("https: the certificate has no name")
	errNoIdentity = errors.New("https: Tokens returned neither an identity nor an *AuthError")
)

// authenticate finds out who sends a request, and returns the request under that
// principal.
func (s *Server) authenticate(r *http.Request) (*caller, *http.Request, *refusal) {
	c, f := s.identify(r) //nolint:contextcheck // what is known of a caller outlasts the request
	if f != nil {
		return nil, r, f
	}
	id, p := c.identity, c.holder.Principal
	var ctx context.Context = &known{r.Context(), c.who, tokenFor(id, c.user)}
	if s.config.Subject != nil && id.Secret != nil {
		ctx = s.config.Subject(ctx, id.Secret())
	}
	r = r.WithContext(ctx) //nolint:contextcheck // it is that of the request, and knows more
	if s.isFrozen(p) {
		return nil, r, refuse(http.StatusForbidden, codeFrozen.Deny("refused")).plainly()
	}
	s.streams.Renew(c.holder)
	return c, r, nil
}

// known is the context of a request whose sender is known. The principal is the same for all
// requests of a caller; the token is one of the request's own.
type known struct {
	context.Context //nolint:containedctx // it is one

	who   context.Context //nolint:containedctx // of the caller
	token *auth.TokenInfo
}

// Value returns the token, the principal, or a value of the request.
func (k *known) Value(key any) any {
	if key == tokenKey {
		return k.token
	}
	if _, ok := key.(*int); !ok { // package context looks for a parent to be cancelled with
		if v := k.who.Value(key); v != nil {
			return v
		}
	}
	return k.Context.Value(key)
}

// identify judges what a request shows. What follows from it is made once for as long as
// the connection shows the same.
func (s *Server) identify(r *http.Request) (*caller, *refusal) {
	conn := connectionOf(r)
	if conn == nil {
		conn = &connection{}
	}
	var chain []*x509.Certificate
	var token *Identity
	var err error
	if s.config.Clients != nil {
		if chain, err = conn.certificates(s, r.TLS); err != nil {
			return nil, refuse(http.StatusForbidden, codeUnauthenticated.Deny("no acceptable client certificate").Because(err))
		}
	}
	if s.config.Tokens != nil {
		if token, err = s.config.Tokens.Authenticate(r, chain); err != nil || token == nil {
			return nil, s.badToken(err)
		}
	}
	if c := conn.caller.Load(); c != nil && c.token == token {
		return c, nil
	}
	c := s.newCaller(r, conn, chain, token)
	conn.caller.Store(c)
	return c, nil
}

// newCaller makes the caller that a verified chain and an identity by token, both optional,
// say it is.
func (s *Server) newCaller(r *http.Request, conn *connection, chain []*x509.Certificate, token *Identity) *caller {
	var id Identity
	var shown any = conn
	if token != nil {
		id, shown = *token, token
	} else {
		id.Principal, id.Certificates = mcpsec.Peer{Addr: r.RemoteAddr, Certificates: chain}.Principal(), chain
	}
	for _, c := range chain {
		if id.Expires.IsZero() || c.NotAfter.Before(id.Expires) {
			id.Expires = c.NotAfter
		}
	}
	who := mcpsec.WithPrincipal(context.Background(), id.Principal)
	p, _ := mcpsec.PrincipalFrom(who) // with its key
	digest := sha256.Sum256([]byte(p.Key()))
	return &caller{
		identity: &id, key: p.Key(), token: token, who: who, user: base64.RawURLEncoding.EncodeToString(digest[:]),
		holder: &stream.Holder{
			Principal: p, Key: limitKey(p), Address: hostOf(r.RemoteAddr), Expires: id.Expires, Certified: len(chain) > 0 && (p.Rung == mcpsec.Certificate || p.Certificate != ""), Shown: shown,
			Still: func() error {
				if s.isFrozen(p) {
					return errFrozen
				}
				if chain != nil {
					if err := conn.still(s); err != nil {
						return err
					}
				}
				if id.Still != nil {
					return id.Still()
				}
				return nil
			},
		},
	}
}

// limitKey returns what limits count by: the principal, but of one that is only an address
// what [limitListener] counts by.
func limitKey(p mcpsec.Principal) string {
	if p.Rung == mcpsec.Address {
		if prefix := prefixOf(p.Subject); prefix.IsValid() {
			return p.Rung.String() + " " + prefix.String()
		}
	}
	return p.Key()
}

// still judges a caller again once what it sent has arrived and is registered: meanwhile the
// kill switch may have been thrown, or the credentials revoked.
func (s *Server) still(c *caller) *refusal {
	err := c.holder.Still()
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errFrozen):
		return refuse(http.StatusForbidden, codeFrozen.Deny("refused")).plainly()
	case c.token != nil:
		return s.badToken(&AuthError{
			Status: http.StatusUnauthorized, Scheme: "Bearer", Code: "invalid_token", Description: "the credentials are no longer good", Cause: err,
		})
	}
	return refuse(http.StatusForbidden, codeUnauthenticated.Deny("no acceptable client certificate").Because(err))
}

// badToken refuses credentials with the challenge that belongs to them.
func (s *Server) badToken(err error) *refusal {
	e, ok := errors.AsType[*AuthError](err)
	if !ok {
		if err == nil {
			err = errNoIdentity
		}
		return refuse(http.StatusServiceUnavailable, codeUnavailable.Deny("credentials cannot be judged now").Because(err))
	}
	code := codeUnauthenticated
	switch e.Status {
	case http.StatusForbidden:
		code = codeForbidden
	case http.StatusBadRequest:
		code = codeBadRequest
	case http.StatusUnauthorized:
	default:
		e = &AuthError{Status: http.StatusServiceUnavailable, Nonce: e.Nonce, Description: "credentials cannot be judged now", Cause: err}
		code = codeUnavailable
	}
	f := refuse(e.Status, code.Deny(or(e.Description, "credentials are needed")).Because(e.Cause))
	f.auth = e
	return f
}

// tokenFor returns what the SDK binds a session to, and what handlers see if there is a
// token. It is one of the request's own.
func tokenFor(id *Identity, user string) *auth.TokenInfo {
	info := auth.TokenInfo{Expiration: id.Expires}
	if id.Token != nil {
		info = *id.Token
	}
	info.UserID = user
	return &info
}

// tokenKey is the key under which the SDK looks for a token. It is not exported; asking
// the SDK for the token of a context that listens reveals it.
var tokenKey = func() (key any) {
	auth.TokenInfoFromContext(keySpy{context.Background(), &key})
	return key
}()

type keySpy struct {
	context.Context //nolint:containedctx // it is one
	key             *any
}

// Value remembers what is asked for.
func (s keySpy) Value(key any) any {
	*s.key = key
	return nil
}

func hostOf(addr string) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	return host
}
