package mcpsec

import (
	"net/http"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// statelessVersion is the first revision without sessions.
const statelessVersion = "2026-07-28"

// identify finds out who asks, best rung first, and takes from the request what
// no handler may see.
func (f *flight) identify() {
	c := &f.call
	up := flightFrom(f.parent) // a handler that calls another handler
	if up != nil {
		c.Parent, c.Principal, c.Source, c.Trace = up.call.ID, up.call.Principal, up.call.Source, up.call.Trace
	}
	extra := f.req.GetExtra()
	var known bool
	if f.frame, known = f.guard.frames.of(extra); !known {
		f.reject(codeMalformed.Deny("the message came too late"))
	}
	if f.frame != nil {
		f.frame.seen.Store(true)
		c.Principal, c.Source = f.frame.principal, f.frame.source
	}
	if extra != nil {
		settled := f.frame != nil && f.frame.settled
		if settled && c.Principal.Rung != Token {
			extra.TokenInfo = nil // there only to bind the SDK's session
		}
		f.token, f.framed = extra.TokenInfo, true
		if !settled {
			if p, ok := tokenPrincipal(extra.TokenInfo); ok {
				c.Principal = p
			}
		}
		if extra.Header != nil {
			extra.Header = handlerHeader(extra.Header)
		}
	}
	if s, ok := f.req.GetSession().(*mcp.ServerSession); ok && s != nil {
		c.Session = s.ID()
		if p := s.InitializeParams(); p != nil && p.ClientInfo != nil {
			c.Client = p.ClientInfo.Name
		}
	}
	meta := f.meta()
	if parent, ok := meta["traceparent"].(string); ok && traceparent.MatchString(parent) {
		c.Trace = parent
	}
	info, _ := meta[mcp.MetaKeyClientInfo].(map[string]any)
	if name, ok := info["name"].(string); ok {
		c.Client = name
	}
}

// traceparent matches version 00 of the header of that name in W3C Trace Context.
var traceparent = regexp.MustCompile(`^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`)

// meta returns the request's _meta; nil when there is none.
func (f *flight) meta() map[string]any {
	p := f.req.GetParams()
	if isNil(p) {
		return nil
	}
	return p.GetMeta()
}

// credentials are words in the names of headers that carry credentials, the standard ones
// and those that proxies add. They are in lower case, and begin with one of "acdjst".
var credentials = [...]string{
	"auth", "cookie", "token", "jwt", "assertion", "secret", "apikey", "api-key", "credential", "dpop", "client-cert",
}

// isCredential reports whether a header may carry a credential by its name. One that is
// not ASCII is no header of HTTP. Each message asks it for each of its headers: a regular
// expression costs a hundred times as much.
func isCredential(name string) bool {
	for i := range len(name) {
		switch c := name[i] | 0x20; {
		case name[i] >= utf8.RuneSelf:
			return true
		case c != 'a' && c != 'c' && c != 'd' && c != 'j' && c != 's' && c != 't':
			continue
		}
		for _, word := range &credentials {
			if end := i + len(word); end <= len(name) && strings.EqualFold(name[i:end], word) {
				return true
			}
		}
	}
	return false
}

// handlerHeader returns the request header without credentials, which no handler
// may pass on (token passthrough), and without the mirrored MCP headers unless
// the revision is one in which the SDK compares them with the body.
func handlerHeader(h http.Header) http.Header {
	current := h.Get("Mcp-Protocol-Version") >= statelessVersion
	clean := make(http.Header, len(h))
	room := make([]string, 0, len(h)) // for all values at once
	for name, values := range h {
		switch {
		case name == frameHeader || isCredential(name):
		case !current && (name == "Mcp-Method" || name == "Mcp-Name" || strings.HasPrefix(name, "Mcp-Param-")):
		default:
			from := len(room)
			room = append(room, values...)
			clean[name] = room[from:len(room):len(room)]
		}
	}
	return clean
}
