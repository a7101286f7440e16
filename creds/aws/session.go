package aws

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash/maphash"
	"strings"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// A tag is one of a session: of a fixed value, or of an attribute of the caller.
type tag struct {
	key, value string
	of         Attribute
}

// A session is what STS is asked for on behalf of one request.
type session struct {
	name, source string
	tags         []tag // all with their values
	policy       string
}

// session works out what a request needs. Its errors are refusals.
func (r *role) session(q creds.Request) (session, error) {
	s := session{name: r.sessionName(q), source: r.source}
	if r.ofCaller {
		if q.Principal.Rung < mcpsec.Process {
			return session{}, refuse(codePrincipal, "the caller is not identified")
		}
		s.source = legible(q.Principal.Subject, q.Principal.Key())
	}
	for _, t := range r.tags {
		if t.of != 0 {
			v, err := t.of.value(q.Principal)
			if err == nil && tagValue(v) != nil {
				err = refuse(codePrincipal, "the caller's "+t.of.String()+" cannot be the value of a tag")
			}
			if err == nil && r.policy.places(t.key) && segmentOf(v) != nil {
				err = refuse(codePrincipal, "the caller's "+t.of.String()+" cannot be part of the name of a resource")
			}
			if err != nil {
				return session{}, err
			}
			t.value = v
		}
		s.tags = append(s.tags, t)
	}
	var err error
	s.policy, err = r.policy.fill(func(p *placeholder) (string, error) { return p.value(q) })
	return s, err
}

// sessionName is the same for all calls of a tool by one caller, and for no others.
func (r *role) sessionName(q creds.Request) string {
	if r.shared {
		return legible(q.Tool, q.Tool)
	}
	return legible(q.Tool, q.Tool+"\x00"+q.Principal.Key())
}

// legible makes a name that STS takes (2 to 64 of a few characters) of any text: what
// it can of the text, for people, and 24 hexadecimal digits of the whole, so that no
// two have the same.
func legible(text, whole string) string {
	const most = 64 - 25
	hash := sha256.Sum256([]byte(whole))
	var b strings.Builder
	for _, c := range text {
		if b.Len() == most {
			break
		}
		if !isAlnum(c) && !strings.ContainsRune("_=,.@-", c) { // a plus sign is for what it replaces
			c = '+'
		}
		b.WriteRune(c)
	}
	return b.String() + "-" + hex.EncodeToString(hash[:12])
}

// constant is the digest of what no request changes.
func (r *role) constant() [32]byte {
	var b []byte
	put := func(texts ...string) {
		b = binary.AppendUvarint(b, uint64(len(texts)))
		for _, s := range texts {
			b = binary.AppendUvarint(b, uint64(len(s)))
			b = append(b, s...)
		}
	}
	put(r.arn.text, r.region, r.endpoint, r.external, r.duration.String())
	put(r.managed...)
	put(r.transitive...)
	if r.token != nil {
		put(r.token.path, r.token.audience)
	}
	return sha256.Sum256(b)
}

// key is the plan of a session: a digest over all that STS gets to see.
func (r *role) key(s *session) string {
	room := [1024]byte{}
	b := append(room[:0], r.digest[:]...)
	put := func(text string) {
		b = binary.AppendUvarint(b, uint64(len(text)))
		b = append(b, text...)
	}
	put(s.name)
	put(s.source)
	b = binary.AppendUvarint(b, uint64(len(s.tags)))
	for _, t := range s.tags {
		put(t.key)
		put(t.value)
	}
	put(s.policy)
	hash := sha256.Sum256(b)
	return "sts:" + hex.EncodeToString(hash[:])
}

// planSlots is how many plans are remembered, so that the same caller of the same tool
// costs nothing.
const planSlots = 64

// A planned is a plan that depends on nothing but tool and caller.
type planned struct{ tool, caller, plan string }

var planSeed = maphash.MakeSeed()

// Plan implements [creds.Planner].
func (r *role) Plan(_ creds.Spec, q creds.Request) (string, error) {
	if r.faults != nil {
		return "", r.Check(creds.Spec{})
	}
	if r.policy.depends() {
		s, err := r.session(q)
		if err != nil {
			return "", err
		}
		return r.key(&s), nil
	}
	caller := ""
	if !r.impersonal() {
		caller = q.Principal.Key()
	}
	slot := &r.plans[(maphash.String(planSeed, q.Tool)^maphash.String(planSeed, caller))%planSlots]
	if p := slot.Load(); p != nil && p.tool == q.Tool && p.caller == caller {
		return p.plan, nil
	}
	s, err := r.session(q)
	if err != nil {
		return "", err
	}
	p := &planned{strings.Clone(q.Tool), strings.Clone(caller), r.key(&s)}
	slot.Store(p)
	return p.plan, nil
}

// impersonal reports whether all callers of a tool share a session.
func (r *role) impersonal() bool {
	if !r.shared || r.ofCaller || r.policy.personal() {
		return false
	}
	for _, t := range r.tags {
		if t.of != 0 {
			return false
		}
	}
	return true
}
