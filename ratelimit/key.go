package ratelimit

import (
	"crypto/sha256"
	"encoding/hex"
	"hash/maphash"
	"slices"
	"strconv"
	"strings"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// A scope says which calls share a bucket or an account.
type scope int

const (
	perPrincipal scope = iota
	perTool
	perPrincipalAndTool
	perTenant
	perServer
	perKey
	scopes
)

var (
	scopeNames = [scopes]string{"PerPrincipal", "PerTool", "PerPrincipalAndTool", "PerTenant", "PerServer", "PerKey"}
	scopeTexts = [scopes]string{"for one principal", "for one tool", "for one principal and tool", "for one tenant", "for the whole server", "for one "}
)

// A Key is an expression over calls: those for which it has the same value share a
// bucket. Make one with [By].
type Key struct {
	name string
	of   func(*mcpsec.Call) string
}

// By makes a Key. The name stands in refusals and in keys of a shared store. The
// function must be safe for concurrent use, return soon, and return the same for
// the same call; a panic in it refuses the call. What it returns may be long, since
// only a digest of it is kept, and should not be the caller's to choose: whoever
// chooses the key chooses a fresh bucket.
func By(name string, of func(*mcpsec.Call) string) Key { return Key{name, of} }

// A dimension is a scope, and the tools to which a limit applies.
type dimension struct {
	scope scope
	by    Key
	tools []string // nil: all calls
}

// String is the name of the dimension as the caller wrote it.
func (d *dimension) String() string {
	name := scopeNames[d.scope]
	if d.scope == perKey {
		name += "(" + d.by.name + ")"
	}
	if d.tools != nil {
		name += " of " + strings.Join(d.tools, ", ")
	}
	return name
}

func (d *dimension) text() string {
	text := scopeTexts[d.scope]
	if d.scope == perKey {
		text += d.by.name
	}
	return text
}

// applies reports whether the limit is for this call. A limit per tool, or for
// some tools, is for calls of tools the server offers.
func (d *dimension) applies(s *subject) bool {
	if d.tools != nil {
		return s.in == ofTool && slices.Contains(d.tools, s.name)
	}
	return d.scope != perTool || s.in == ofTool
}

// A digest is 128 bits of a keyed hash. Unlike with 64, nobody meets a stranger's
// bucket by chance, and without the key, which is made anew for each Limiter,
// nobody can look for one who would.
type digest [2]uint64

func (d digest) and(e digest) digest { return digest{d[0] ^ e[0], d[1] ^ e[1]} }

// A domain keeps names of different kinds apart: a tool called "tools/list" is not
// the method.
type domain int

const (
	ofPrincipal domain = iota
	ofTool
	ofMethod
	ofQuestion // a method that the server calls on the client
	ofTenant
	ofKey
	ofLimit
	domains
)

type digester struct{ seeds [domains][2]maphash.Seed }

func newDigester() *digester {
	d := &digester{}
	for i := range d.seeds {
		d.seeds[i] = [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}
	}
	return d
}

func (d *digester) of(in domain, name string) digest {
	s := &d.seeds[in]
	return digest{maphash.String(s[0], name), maphash.String(s[1], name)}
}

// A subject is a call as limits see it. Each of its digests is made once.
type subject struct {
	call      *mcpsec.Call
	in        domain
	name      string
	who, what digest
}

// subject names what a call does, so that no name from outside makes a bucket of
// its own: a tool counts by name only if the server offers it, a method only if
// MCP defines it.
func (d *digester) subject(call *mcpsec.Call) subject {
	s := subject{call: call, in: ofMethod}
	switch {
	case call.Outgoing:
		s.in, s.name = ofQuestion, knownMethod(call.Method)
	case call.Method == methodCallTool && call.Tool != nil:
		s.in, s.name = ofTool, call.Tool.Name
	default:
		s.name = knownMethod(call.Method)
	}
	s.who = d.of(ofPrincipal, call.Principal.Key())
	s.what = d.of(s.in, s.name)
	return s
}

// payer is a call as budgets see it: a question is paid for from the same account as
// the call in whose course it is asked.
func (d *digester) payer(call *mcpsec.Call) subject {
	s := d.subject(call)
	switch {
	case s.in != ofQuestion:
	case call.Tool != nil:
		s.in, s.name = ofTool, call.Tool.Name
	default:
		s.in = ofMethod
	}
	return s
}

// key returns the digest of what the call shares a bucket by, and the number by
// which buckets that are likely to be needed together are kept together.
func (d *dimension) key(ds *digester, s *subject) (key digest, home uint64) {
	switch d.scope {
	case perTool:
		return s.what, s.what[0]
	case perPrincipalAndTool:
		return s.who.and(s.what), s.who[0]
	case perPrincipal:
		key, home = s.who, s.who[0]
	case perTenant:
		key = ds.of(ofTenant, s.call.Principal.Issuer).and(ds.of(ofKey, s.call.Principal.Tenant))
		home = key[0]
	case perKey:
		key = ds.of(ofKey, d.by.of(s.call))
		home = key[0]
	default:
	}
	if s.in == ofQuestion {
		key = key.and(s.what)
	}
	return key, home
}

// shared returns the same key for a store that others use too.
func (d *dimension) shared(prefix string, s *subject) string {
	b := append(make([]byte, 0, 128), prefix...)
	part := func(name string) {
		b = append(b, '/')
		b = strconv.AppendQuote(b, name)
	}
	kind := [domains]string{ofTool: "tool", ofMethod: "method", ofQuestion: "question"}[s.in]
	p := &s.call.Principal
	switch d.scope {
	case perPrincipal:
		part(p.Key())
	case perPrincipalAndTool:
		part(p.Key())
	case perTenant:
		part(p.Issuer)
		part(p.Tenant)
	case perKey:
		part(d.by.of(s.call))
	default:
	}
	if d.scope == perTool || d.scope == perPrincipalAndTool || s.in == ofQuestion {
		part(kind)
		part(s.name)
	}
	return bounded(string(b), len(prefix))
}

// maxKey bounds a key of a shared store, in bytes.
const maxKey = 1024

// bounded keeps the prefix of a key that is too long and a digest of all of it.
func bounded(key string, prefix int) string {
	if len(key) <= maxKey {
		return key
	}
	sum := sha256.Sum256([]byte(key))
	return key[:min(prefix, maxKey-len(`/"sha256:"`)-2*len(sum))] + `/"sha256:` + hex.EncodeToString(sum[:]) + `"`
}

const (
	methodCallTool = "tools/call"
	methodListen   = "subscriptions/listen"
	methodSample   = "sampling/createMessage"
	methodElicit   = "elicitation/create"
)

// knownMethod returns the method if MCP defines it in a revision up to 2026-07-28,
// or "" as the name of all others.
func knownMethod(method string) string {
	switch method {
	case "initialize", "server/discover", "logging/setLevel", "completion/complete",
		methodCallTool, "tools/list", "prompts/get", "prompts/list",
		"resources/read", "resources/list", "resources/templates/list",
		"resources/subscribe", "resources/unsubscribe", methodListen,
		methodSample, methodElicit, "roots/list",
		"notifications/cancelled", "notifications/progress", "notifications/roots/list_changed":
		return method
	}
	return ""
}
