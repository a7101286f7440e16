package https

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net"
	"net/http"

	"github.com/mcpsec/mcpsec-go/mcpsec"
	"github.com/mcpsec/mcpsec-go/transport/https/internal/stream"
	"github.com/modelcontextprotocol/go-sdk/auth"
)

// A caller is who sends a request.
type caller struct {
	identity *Identity
	holder   *stream.Holder
}

var (
	errFrozen     = errors.New("https: the principal is frozen")
	errNameless   = errors.New("https: the certificate has no name")
	errNoIdentity = errors.New("https: Tokens returned neither an identity nor an *AuthError")
)

// authenticate finds out who sends a request, and returns the request under that
// principal.
func (s *Server) authenticate(r *http.Request) (*caller, *http.Request, *refusal) {
	id, shown, conn, f := s.identify(r)
	if f != nil {
		return nil, r, f
	}
	ctx := mcpsec.WithPrincipal(r.Context(), id.Principal)
	p, _ := mcpsec.PrincipalFrom(ctx)
	ctx = context.WithValue(ctx, tokenKey, tokenFor(id, p.Key()))
	if s.config.Subject != nil && id.Secret != nil {
		ctx = s.config.Subject(ctx, id.Secret())
	}
	r = r.WithContext(ctx)
	if s.isFrozen(p) {
		return nil, r, refuse(http.StatusForbidden, codeFrozen.Deny("refused")).plainly()
	}
	c := &caller{identity: id, holder: &stream.Holder{
		Principal: p, Key: p.Key(), Address: hostOf(r.RemoteAddr), Expires: id.Expires, Certified: len(id.Certificates) > 0, Shown: shown,
		Still: func() error {
			switch {
			case s.isFrozen(p):
				return errFrozen
			case conn != nil:
				if err := conn.still(s); err != nil {
					return err
				}
			}
			if id.Still != nil {
				return id.Still()
			}
			return nil
		},
	}}
	s.streams.Renew(c.holder)
	return c, r, nil
}

// identify judges what a request shows. The connection is nil without a certificate.
func (s *Server) identify(r *http.Request) (id *Identity, shown any, conn *connection, f *refusal) {
	id = &Identity{}
	if s.config.Clients != nil {
		if conn = connectionOf(r); conn == nil {
			conn = &connection{}
		}
		chain, err := conn.certificates(s, r.TLS)
		if err != nil {
			return nil, nil, nil, refuse(http.StatusForbidden, codeUnauthenticated.Deny("no acceptable client certificate").Because(err))
		}
		id.Certificates, id.Expires = chain, chain[0].NotAfter
		for _, c := range chain {
			if c.NotAfter.Before(id.Expires) {
				id.Expires = c.NotAfter
			}
		}
	}
	id.Principal = mcpsec.Peer{Addr: r.RemoteAddr, Certificates: id.Certificates}.Principal()
	if conn != nil && id.Principal.Rung != mcpsec.Certificate {
		return nil, nil, nil, refuse(http.StatusForbidden, codeUnauthenticated.Deny("no acceptable client certificate").Because(errNameless))
	}
	if s.config.Tokens == nil {
		return id, conn, conn, nil
	}
	byToken, err := s.config.Tokens.Authenticate(r, id.Certificates)
	if err != nil || byToken == nil {
		return nil, nil, nil, s.badToken(err)
	}
	shown = byToken
	if !id.Expires.IsZero() && (byToken.Expires.IsZero() || id.Expires.Before(byToken.Expires)) {
		both := *byToken
		both.Expires = id.Expires
		byToken = &both
	}
	return byToken, shown, conn, nil
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
// token.
func tokenFor(id *Identity, key string) *auth.TokenInfo {
	info := auth.TokenInfo{Expiration: id.Expires}
	if id.Token != nil {
		info = *id.Token
	}
	digest := sha256.Sum256([]byte(key))
	info.UserID = base64.RawURLEncoding.EncodeToString(digest[:])
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
