package mcpsec

import (
	"crypto/x509"
	"net"
	"strconv"

	"github.com/modelcontextprotocol/go-sdk/auth"
)

// A Rung says how a principal is known. Higher is better.
type Rung int

// The ladder of principals, lowest first.
const (
	Anonymous   Rung = iota // nothing is known: one bucket shared by all
	Address                 // the peer's network address
	Process                 // the local process at the other end of stdio
	Certificate             // a verified client certificate
	Token                   // a verified access token
)

var rungNames = [...]string{"anonymous", "address", "process", "certificate", "token"}

// String returns "token", "certificate", "process", "address" or "anonymous".
func (r Rung) String() string {
	if r < Anonymous || r > Token {
		return "Rung(" + strconv.Itoa(int(r)) + ")"
	}
	return rungNames[r]
}

// A Principal is who asks. The zero value is the anonymous principal, which is
// one shared bucket and never the absence of a limit. A session id and the name a
// client gives itself are never part of it.
//
// A Principal is a value; its slices are read only.
type Principal struct {
	Rung    Rung
	Issuer  string   // token issuer, or the certificate's issuer
	Subject string   // token subject, SPIFFE ID or SAN, "uid:1000", or an address without port
	Client  string   // OAuth client id, if any
	Tenant  string   // tenant of the issuer, if any
	Scopes  []string // granted scopes; only of a token
	Actors  []string // delegation chain (RFC 8693 act), the current actor first
	// Certificate is the name in the client certificate that came with a token; empty
	// without one, and for the rung Certificate, where it is the subject.
	Certificate string

	key string
}

// Key returns a string that two principals share only if they are the same: the
// key for limits, grants and caches. It does not change between calls and holds
// no secret, but it may identify a person.
func (p Principal) Key() string {
	if p.key != "" {
		return p.key
	}
	return p.makeKey()
}

// String returns the key.
func (p Principal) String() string { return p.Key() }

func (p Principal) makeKey() string {
	if p.Rung == Anonymous {
		return rungNames[Anonymous]
	}
	return string(p.appendKey(make([]byte, 0, keyRoom)))
}

// keyRoom is enough for most keys.
const keyRoom = 192

func (p Principal) appendKey(b []byte) []byte {
	b = append(b, p.Rung.String()...)
	parts := [...]string{p.Issuer, p.Subject, p.Client, p.Tenant, p.Certificate}
	n := len(parts)
	if p.Certificate == "" {
		n--
	}
	// Quoting each part keeps the parts apart whatever they contain.
	for _, part := range parts[:n] {
		b = append(b, ' ')
		b = strconv.AppendQuote(b, part)
	}
	return b
}

// keyed returns p with its key. The key it has already may be that of a principal it was
// copied from and differs from.
func (p Principal) keyed() Principal {
	if p.key != "" && p.Rung != Anonymous && string(p.appendKey(make([]byte, 0, keyRoom))) == p.key {
		return p
	}
	p.key = p.makeKey()
	return p
}

// A Peer is what a transport knows of the other end, before any token is read.
// The zero value knows nothing.
type Peer struct {
	Addr string // network address, with or without port
	// Certificates is a verified chain, leaf first. Never pass on what a client
	// merely presented.
	Certificates []*x509.Certificate
	// Process names the local process at the other end, for example "uid:1000".
	Process string
	// Caller is who the transport has authenticated; it wins over all other facts. Nil
	// if it has authenticated nobody.
	Caller *Principal
	// Transport is the name for the record; empty means "tcp" with an address and
	// "stdio" without.
	Transport string
}

// Principal returns the best principal the peer's own facts support.
func (p Peer) Principal() Principal {
	if p.Caller != nil {
		return p.Caller.keyed()
	}
	if len(p.Certificates) > 0 {
		if name := certificateName(p.Certificates[0]); name != "" {
			return Principal{Rung: Certificate, Issuer: p.Certificates[0].Issuer.String(), Subject: name}.keyed()
		}
	}
	switch {
	case p.Process != "":
		return Principal{Rung: Process, Subject: p.Process}.keyed()
	case p.Addr == "":
		return Principal{}
	}
	host, _, err := net.SplitHostPort(p.Addr)
	if err != nil {
		host = p.Addr
	}
	return Principal{Rung: Address, Subject: host}.keyed()
}

// certificateName returns the SPIFFE ID or the first subject alternative name.
// The common name is no identity (RFC 9525).
func certificateName(c *x509.Certificate) string {
	for _, u := range c.URIs {
		if u.Scheme == "spiffe" {
			return u.String()
		}
	}
	switch {
	case len(c.URIs) > 0:
		return c.URIs[0].String()
	case len(c.DNSNames) > 0:
		return c.DNSNames[0]
	case len(c.EmailAddresses) > 0:
		return c.EmailAddresses[0]
	case len(c.IPAddresses) > 0:
		return c.IPAddresses[0].String()
	}
	return ""
}

// maxActors bounds the delegation chain that is read from a token.
const maxActors = 8

// tokenPrincipal reads a verified token. A token without a subject is no
// identity: the caller falls to the next rung.
func tokenPrincipal(t *auth.TokenInfo) (Principal, bool) {
	if t == nil {
		return Principal{}, false
	}
	claim := func(name string) string {
		s, _ := t.Extra[name].(string)
		return s
	}
	p := Principal{
		Rung: Token, Issuer: claim("iss"), Subject: claim("sub"), Tenant: claim("tid"),
		Client: claim("client_id"), Scopes: t.Scopes,
	}
	if p.Subject == "" {
		p.Subject = t.UserID
	}
	if p.Subject == "" {
		return Principal{}, false
	}
	if p.Client == "" {
		p.Client = claim("azp")
	}
	act, _ := t.Extra["act"].(map[string]any)
	for range maxActors {
		sub, ok := act["sub"].(string)
		if !ok {
			break
		}
		p.Actors = append(p.Actors, sub)
		act, _ = act["act"].(map[string]any)
	}
	return p.keyed(), true
}
