package creds

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// An issued credential, which the cache owns and lends to calls. It is overwritten
// when it is retired and the last call that has it is over. The cache's lock guards it.
type issued struct {
	src  *source
	m    Material
	life life
	note string // for the record

	loans    int  // calls that have it
	retired  bool // no further call gets it
	ended    bool // overwritten, or about to be
	outlived bool // the injector was closed under calls that have it, and somebody asks what is held
	lent     bool // a call has been told that it was issued to it
	caller   string
	wipeAt   time.Duration // if it lingers for the record
}

// newIssued takes over what a provider returned.
func newIssued(src *source, m Material, l life) *issued {
	if m.Secret.loan != nil { // a view of somebody else's
		m = m.clone()
	}
	m.Public = maps.Clone(m.Public)
	m.Record.Name, m.Record.Expires, m.Record.Kept = src.spec.name, m.Expires, false
	return &issued{src: src, m: m, life: l, note: m.note()}
}

// wipe overwrites the secret and its parts.
func (m Material) wipe() {
	m.Secret.Close()
	for _, p := range m.Parts {
		p.Close()
	}
}

// clone returns the material with secrets of its own.
func (m Material) clone() Material {
	m.Secret = own(m.Secret.Reveal())
	m.Parts = slices.Clone(m.Parts)
	for i, p := range m.Parts {
		m.Parts[i] = own(p.Reveal())
	}
	m.Public = maps.Clone(m.Public)
	return m
}

// digest tells secrets apart that linger for the record.
func (m Material) digest() (sum [sha256.Size]byte) {
	m.Secret.look(func(data []byte) { sum = sha256.Sum256(data) })
	return sum
}

// A loan is one call's use of an issued credential. It is over when the call is, or
// when the handler closed the Value it was given.
type loan struct {
	is     *issued
	public map[string]string
	over   atomic.Bool

	of  *Handle
	ask *ask

	next *loan // of the same call
}

// ended reports whether the call sees nothing any more.
func (l *loan) ended() bool { return l.over.Load() || l.of.in.closed.Load() }

// view is what the call sees. The cache is locked.
func (l *loan) view() Material {
	m := l.is.m
	m.Secret.loan, m.Parts, m.Public = l, nil, l.public
	return m
}

// credential is what the record says of it. The cache is locked.
func (is *issued) credential(callID string) mcpsec.Credential {
	c := is.m.Record
	c.Kept = is.lent && (callID == "" || callID != is.caller)
	is.lent = true
	return c
}

// maxNote bounds what the audit record says of one credential, in bytes.
const maxNote = 1024

// note tells the audit record which credential was issued, and never the secret.
func (m Material) note() string {
	parts := []string{"version=" + plain(m.Version)}
	if !m.Expires.IsZero() {
		parts = append(parts, "expires="+m.Expires.UTC().Format(time.RFC3339))
	}
	for _, key := range slices.Sorted(maps.Keys(m.Public)) {
		parts = append(parts, plain(key)+"="+plain(m.Public[key]))
	}
	note := strings.Join(parts, " ")
	return note[:min(len(note), maxNote)]
}

// plain quotes a text that could be taken for more than one.
func plain(s string) string {
	apart := func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"\=`, r) }
	if s == "" || strings.ContainsFunc(s, apart) {
		return strconv.QuoteToASCII(s)
	}
	return s
}

// describeName tells the operator which name a tool asked for.
func describeName(t *mcpsec.Tool, name string) string {
	tool := ""
	if t != nil {
		tool = t.Name
	}
	return fmt.Sprintf("tool %q asked for credential %q", tool, name[:min(len(name), 64)])
}
