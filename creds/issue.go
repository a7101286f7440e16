package creds

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// IssueTimeout bounds how long a provider may take.
const IssueTimeout = 10 * time.Second

// An issue is one credential on its way. Several goroutines of a handler may wait
// for the same one; none of them can cancel it for the others.
type issue struct {
	grant  Grant
	ctx    context.Context //nolint:containedctx // of the provider; cancelled when the handle closes
	cancel context.CancelFunc
	done   chan struct{} // closed when what follows is settled

	over     bool // succeeded; guarded by the handle
	material Material
	fault    error
}

// begin asks the provider, in a goroutine that the handle owns and cancels. The
// handle is locked.
func (h *Handle) begin(g Grant) *issue {
	if p, ok := g.provider.(static); ok && !p.secret.Empty() {
		return h.atOnce(g, p)
	}
	is := &issue{grant: g, done: make(chan struct{})}
	// The provider must not find the handle it is working for.
	is.ctx, is.cancel = context.WithTimeout(context.WithValue(h.parent, handleKey{}, (*Handle)(nil)), IssueTimeout)
	h.add(is)
	req := Request{CallID: h.call.ID, Principal: h.call.Principal}
	if t := h.call.Tool; t != nil {
		req.Tool, req.ToolDigest = t.Name, t.Digest
	}
	go h.ask(is, req)
	return is
}

// atOnce issues what is in memory already: nothing can hang, so nothing needs a
// deadline of its own. The handle is locked.
func (h *Handle) atOnce(g Grant, p static) *issue {
	is := &issue{grant: g, cancel: func() {}, over: true, material: p.material()}
	h.add(is)
	h.call.Note(g.note, is.material.note())
	return is
}

func (h *Handle) add(is *issue) {
	if h.issues == nil {
		h.issues = h.first[:0]
	}
	h.issues = append(h.issues, is)
}

var errNoAnswer = errors.New("the provider ended without an answer")

// ask runs the provider and contains it.
func (h *Handle) ask(is *issue, req Request) {
	m, err := Material{}, errNoAnswer
	defer func() {
		if p := recover(); p != nil { // its text might hold the secret
			m, err = Material{}, fmt.Errorf("the provider panicked with a %T", p)
		}
		h.settle(is, m, err)
	}()
	m, err = is.grant.provider.Issue(is.ctx, is.grant.spec, req)
}

// settle takes what the provider returned, or overwrites it if nobody may have it.
func (h *Handle) settle(is *issue, m Material, err error) {
	defer is.cancel()
	h.mu.Lock()
	defer h.mu.Unlock()
	defer close(is.done)
	switch {
	case err != nil:
	case m.Secret.Empty():
		err = errors.New("the provider issued nothing")
	case m.expired(h.in.time()):
		err = errors.New("the provider issued a credential that has expired")
	case is.ctx.Err() != nil:
		err = is.ctx.Err() // too late for all who waited
	}
	if err != nil || h.closed {
		m.Secret.Close()
		is.fault = err
		h.issues = slices.DeleteFunc(h.issues, func(other *issue) bool { return other == is })
		return
	}
	m.Public = maps.Clone(m.Public)
	is.over, is.material = true, m
	h.call.Note(is.grant.note, m.note())
}

// wait waits for an issue as long as the caller and the issue itself may take.
func (h *Handle) wait(ctx context.Context, is *issue) (Material, error) {
	select {
	case <-is.done:
	case <-ctx.Done():
	case <-is.ctx.Done():
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	var err error
	switch {
	case h.closed:
		return Material{}, refuse(codeClosed, "the call is over")
	case is.over:
		return is.material, nil
	case is.fault != nil:
		err = is.fault
	case ctx.Err() != nil:
		err = ctx.Err()
	default:
		err = is.ctx.Err()
	}
	d := refuse(codeUnavailable, "the credential cannot be had at the moment")
	return Material{}, d.Because(fmt.Errorf("credential %q: %w", is.grant.spec.name, err))
}

func (m Material) expired(now time.Time) bool {
	return !m.Expires.IsZero() && !now.Before(m.Expires)
}

// maxNote bounds what the audit record says of one credential, in bytes.
const maxNote = 1024

// note tells the audit record which credential was issued, and never the secret.
func (m Material) note() string {
	version := "version=" + plain(m.Version)
	if m.Expires.IsZero() && len(m.Public) == 0 {
		return version[:min(len(version), maxNote)]
	}
	parts := []string{version}
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
