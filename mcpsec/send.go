package mcpsec

import (
	"context"
	"fmt"
	"hash/maphash"
	"maps"
	"reflect"
	"runtime"
	"sync"
	"weak"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// sending is the guard's sending middleware. Requests to the client (sampling,
// elicitation, roots) pass the chain as outgoing calls, and so do their answers.
// Questions in a result are decided in settle; their answers come with a retry, in
// Call.Answers. Notifications that a caller may not see are dropped.
func (g *Guard) sending(next mcp.MethodHandler) mcp.MethodHandler {
	return func(ctx context.Context, method string, req mcp.Request) (res mcp.Result, err error) {
		g.checkCaller(1)
		switch method {
		case methodSample, methodElicit, methodListRoots:
			f := &flight{parent: ctx, guard: g, req: req, next: next}
			defer f.contain(&res, &err)
			f.ask(method, req.GetParams())
			return f.decide()
		case notifyToolsChanged, notifyPromptsChanged, notifyResourcesChanged:
			if !g.sessions.news(ctx, g, req, method) {
				return nil, nil //nolint:nilnil // a notification has neither
			}
		case notifyResourceUpdated:
			if !g.mayHear(ctx, req) {
				return nil, nil //nolint:nilnil // a notification has neither
			}
		}
		return next(ctx, method, req)
	}
}

// ask makes the flight a call from the server to the client, made in the course of
// the call whose context it has, if any.
func (f *flight) ask(method string, params any) {
	c := &f.call
	c.flight, c.Method, c.ID, c.Outgoing = f, method, newID(f.guard.now()), true
	if up := flightFrom(f.parent); up != nil {
		c.Parent, c.Name, c.Principal, c.Tool = up.call.ID, up.call.Name, up.call.Principal, up.call.Tool
		c.Session, c.Client = up.call.Session, up.call.Client
		c.Source, c.Trace = up.call.Source, up.call.Trace
	}
	c.Arguments = f.marshal(params)
	f.checkArguments()
}

// decided is the result of a call that is only decided about. It is a type of its
// own, so that no control takes it for an answer.
type decided struct{ mcp.ResultBase }

// onlyDecided ends the chain of a call that is only decided about. What a control
// changed of it could not be carried out.
func (f *flight) onlyDecided(_ context.Context, call *Call) (mcp.Result, error) {
	if !sameBytes(call.Arguments, f.call.Arguments) {
		return nil, codeControlFailed.Deny("").Because(fmt.Errorf("%s in a result cannot be changed by a control", call.Method))
	}
	return &decided{}, nil
}

// decideQuestion decides about a question that travels in a result as about the
// same question sent directly.
func (g *Guard) decideQuestion(ctx context.Context, up *flight, q mcp.InputRequest) error {
	var method string
	switch q.(type) {
	case *mcp.ElicitParams:
		method = methodElicit
	case *mcp.ListRootsParams:
		method = methodListRoots
	default:
		method = methodSample
	}
	f := &flight{parent: ctx, guard: g, req: up.req, byHand: up.byHand}
	f.ask(method, q)
	f.run = f.onlyDecided
	_, err := g.outer(f, &f.call)
	return err
}

// mayHear reports whether the principal of the session may read the resource it
// is told about.
func (g *Guard) mayHear(ctx context.Context, req mcp.Request) bool {
	ss, ok := req.GetSession().(*mcp.ServerSession)
	p, isUpdate := req.GetParams().(*mcp.ResourceUpdatedNotificationParams)
	if !ok || !isUpdate {
		return true
	}
	return g.visible(ctx, g.sessions.call(ss, methodReadResource, p.URI))
}

// A sessionBook remembers, as long as a session lives, whose it is and what that
// principal was last known to see.
type sessionBook struct {
	mu    sync.Mutex
	pages map[weak.Pointer[mcp.ServerSession]]*sessionPage
}

type sessionPage struct {
	principal Principal
	seen      map[string]uint64 // by notification: fingerprint of the visible list
}

// open notes whose session it is, and what is visible at this moment.
func (b *sessionBook) open(ctx context.Context, g *Guard, ss *mcp.ServerSession, p Principal) {
	seen := g.fingerprints(ctx, ss, p)
	b.mu.Lock()
	defer b.mu.Unlock()
	key := weak.Make(ss)
	page, known := b.pages[key]
	if known && page.principal.Key() != p.Key() {
		return // a session has one owner
	}
	if !known {
		if b.pages == nil {
			b.pages = make(map[weak.Pointer[mcp.ServerSession]]*sessionPage)
		}
		runtime.AddCleanup(ss, b.forget, key)
	}
	b.pages[key] = &sessionPage{principal: p, seen: seen}
}

func (b *sessionBook) forget(key weak.Pointer[mcp.ServerSession]) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.pages, key)
}

// meetSession notes whose session it is when one begins.
func (f *flight) meetSession(ctx context.Context) {
	switch f.call.Method {
	case methodInitialize, methodDiscover, methodListen:
		if ss, ok := f.req.GetSession().(*mcp.ServerSession); ok && ss != nil {
			f.guard.sessions.open(ctx, f.guard, ss, f.call.Principal)
		}
	}
}

// call describes an operation of the session's principal.
func (b *sessionBook) call(ss *mcp.ServerSession, method, name string) *Call {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := &Call{Method: method, Name: name}
	if page := b.pages[weak.Make(ss)]; page != nil {
		c.Principal = page.principal
	}
	return c
}

// news reports whether a list changed for the session's principal since it last
// heard of it. Who may see nothing of a change learns nothing of it.
func (b *sessionBook) news(ctx context.Context, g *Guard, req mcp.Request, method string) bool {
	ss, ok := req.GetSession().(*mcp.ServerSession)
	if !ok {
		return true
	}
	now := g.fingerprints(ctx, ss, b.call(ss, "", "").Principal)
	b.mu.Lock()
	defer b.mu.Unlock()
	page := b.pages[weak.Make(ss)]
	if page == nil {
		return len(g.auth) == 0 // nobody asked anything in this session yet
	}
	if page.seen[method] == now[method] {
		return false
	}
	// Of this list only: another may have changed too, and its notification is to come.
	seen := maps.Clone(page.seen)
	if seen == nil {
		seen = make(map[string]uint64, len(now))
	}
	seen[method] = now[method]
	page.seen = seen
	return true
}

var fingerprintSeed = maphash.MakeSeed()

// fingerprints sums up what the principal may see: names and identities.
func (g *Guard) fingerprints(ctx context.Context, ss *mcp.ServerSession, p Principal) map[string]uint64 {
	all, err := listEverything(ctx, g.sdk, ss)
	if err != nil {
		return nil
	}
	sums := make(map[string]uint64, 3)
	add := func(notification, method, name string, item any) {
		c := &Call{Method: method, Name: name, Principal: p}
		if method == methodCallTool {
			if c.Tool = g.tool(name); c.Tool == nil {
				return
			}
		}
		if !g.visible(ctx, c) {
			return
		}
		var h maphash.Hash
		h.SetSeed(fingerprintSeed)
		_, _ = h.WriteString(name) // a hash never fails
		sums[notification] += h.Sum64() ^ uint64(reflect.ValueOf(item).Pointer())
	}
	for _, t := range all.Tools {
		add(notifyToolsChanged, methodCallTool, t.Name, t)
	}
	for _, p := range all.Prompts {
		add(notifyPromptsChanged, methodGetPrompt, p.Name, p)
	}
	for _, r := range all.Resources {
		add(notifyResourcesChanged, methodReadResource, r.URI, r)
	}
	for _, t := range all.Templates {
		add(notifyResourcesChanged, methodReadResource, t.URITemplate, t)
	}
	return sums
}
