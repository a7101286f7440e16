package mcpsec

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// A multi-round-trip call (SEP-2322) asks the client for input in its result and
// is sent again with the answers. The state the client echoes is its own to forge,
// so the guard seals it: to principal, method, name, arguments and the questions
// asked, with an expiry, for one use.

// round is what the guard seals around the handler's own request state.
type round struct {
	ID     string   `json:"id"`
	Round  int      `json:"n"`
	Method string   `json:"m"`
	Name   string   `json:"t"`
	Digest []byte   `json:"d"` // of the arguments
	Asked  []string `json:"q"`
	State  string   `json:"s"`
}

const purposeRound = "round"

// maxRounds bounds the rounds of one logical call, as the SDK's client does.
const maxRounds = 10

// readRound opens the state of a retry, or refuses the call.
func (f *flight) readRound(answers mcp.InputResponseMap, state *string) {
	if *state == "" && answers == nil {
		return
	}
	g, c := f.guard, &f.call
	forged := func(why string) {
		f.reject(codeForgedState.Deny("this is no answer to a question of this server: " + why))
	}
	var r round
	if err := g.seal.open(purposeRound, c.Principal, g.now(), *state, &r); err != nil {
		forged("the request state is unknown or has expired")
		return
	}
	switch {
	case r.Method != c.Method || r.Name != c.Name:
		forged("the request state belongs to another operation")
		return
	case !slices.Equal(r.Digest, argumentsDigest(c.Arguments)):
		forged("the arguments have changed")
		return
	case r.Round >= maxRounds:
		forged("too many rounds")
		return
	}
	for id := range answers {
		if !slices.Contains(r.Asked, id) {
			forged("an answer to what was not asked")
			return
		}
	}
	now := g.now()
	issuedHere, unused := g.pending.use(r.ID, r.Round, c.Principal, g.seal.shared, now, now.Add(g.settings.InputTTL))
	if !unused {
		forged("the request state was used before")
		return
	}
	f.counted = issuedHere // another process cannot tell whether the call was charged
	c.ID, c.Round, c.Answers = r.ID, r.Round+1, answers
	f.own(r.State)
}

// own gives the handler its own state back, in parameters of the guard's own.
func (f *flight) own(state string) {
	switch r := f.req.(type) {
	case *mcp.CallToolRequest:
		p := *r.Params
		p.RequestState = state
		r.Params = &p
	case *mcp.GetPromptRequest:
		p := *r.Params
		p.RequestState = state
		r.Params = &p
	case *mcp.ReadResourceRequest:
		p := *r.Params
		p.RequestState = state
		r.Params = &p
	}
}

// argumentsDigest does not depend on member order or white space: clients encode
// the arguments anew for a retry.
func argumentsDigest(raw json.RawMessage) []byte {
	var v any
	if len(raw) > 0 {
		d := json.NewDecoder(bytes.NewReader(raw))
		d.UseNumber()
		if err := d.Decode(&v); err != nil {
			v = string(raw)
		}
	}
	canonical, err := json.Marshal(v)
	if err != nil { // what JSON decoded to encodes
		canonical = raw
	}
	sum := sha256.Sum256(canonical)
	return sum[:]
}

// asks returns the questions in a result and where its request state is kept.
func asks(res mcp.Result) (mcp.InputRequestMap, *string) {
	switch r := res.(type) {
	case *mcp.CallToolResult:
		return r.InputRequests, &r.RequestState
	case *mcp.GetPromptResult:
		return r.InputRequests, &r.RequestState
	case *mcp.ReadResourceResult:
		return r.InputRequests, &r.RequestState
	}
	return nil, nil
}

// settle ends a call inside the chain, so that what it refuses is recorded: it
// decides about each question to the client and seals the request state. The
// result is the guard's own copy.
func (f *flight) settle(ctx context.Context, in mcp.Result, fault error) (res mcp.Result, err error) {
	if res, err = in, fault; err != nil || res == nil {
		return nil, err
	}
	if err := encodable(res); err != nil {
		d := codeHandlerPanic.Deny("").Because(err)
		d.Control = "guard"
		return nil, d
	}
	questions, state := asks(res)
	if state == nil || f.call.Outgoing {
		return res, nil
	}
	if questions == nil {
		*state = "" // without a question no retry may bring it back, so it would only leak
		return res, nil
	}
	if d := f.mayAsk(questions); d != nil {
		d.Control = "guard"
		return nil, d
	}
	for _, id := range slices.Sorted(maps.Keys(questions)) {
		if err := f.guard.decideQuestion(ctx, f, questions[id]); err != nil {
			return nil, err
		}
	}
	g, c := f.guard, &f.call
	now := g.now()
	until := now.Add(g.settings.InputTTL)
	if !g.pending.put(c.ID, c.Round, c.Principal, now, until) {
		d := codeTooManyPending.Deny("too many calls wait for input").After(g.settings.InputTTL)
		d.Control = "guard"
		return nil, d
	}
	r := round{
		ID: c.ID, Round: c.Round, Method: c.Method, Name: c.Name, Digest: argumentsDigest(c.Arguments),
		Asked: slices.Sorted(maps.Keys(questions)), State: *state,
	}
	*state, err = g.seal.seal(purposeRound, c.Principal, until, r)
	return res, err
}

// mayAsk holds the questions to what the client declared it can answer.
func (f *flight) mayAsk(questions mcp.InputRequestMap) *Denial {
	caller, ok := f.req.(interface {
		ClientCapabilities() *mcp.ClientCapabilities
	})
	if !ok {
		return nil
	}
	has := caller.ClientCapabilities()
	if has == nil {
		has = &mcp.ClientCapabilities{}
	}
	var need mcp.ClientCapabilities
	missing := false
	for _, q := range questions {
		switch q.(type) {
		case *mcp.ElicitParams:
			if has.Elicitation == nil {
				missing, need.Elicitation = true, &mcp.ElicitationCapabilities{}
			}
		case *mcp.CreateMessageParams, *mcp.CreateMessageWithToolsParams:
			if has.Sampling == nil {
				missing, need.Sampling = true, &mcp.SamplingCapabilities{}
			}
		case *mcp.ListRootsParams:
			if has.RootsV2 == nil {
				missing, need.RootsV2 = true, &mcp.RootCapabilities{}
			}
		}
	}
	if !missing {
		return nil
	}
	f.caps = &need
	return codeMissingCapability.Deny("the client did not declare a capability this operation needs")
}

// missingCapability is the data of the error that SEP-2575 defines.
func (f *flight) missingCapability() json.RawMessage {
	raw, err := json.Marshal(mcp.MissingRequiredClientCapabilityData{RequiredCapabilities: f.caps})
	if err != nil {
		return nil
	}
	return raw
}

// maxPending bounds the calls that wait for input, in all and of one principal, so
// that nobody can take the places of others.
const (
	maxPending     = 10_000
	maxPendingEach = 64
	sweepEvery     = 100 * time.Millisecond
)

// pendingRounds knows the states that this process issued and that wait to be used,
// and the states of other processes that were used here.
type pendingRounds struct {
	issued, used expiring
}

func roundKey(id string, n int) string { return fmt.Sprintf("%s/%d", id, n) }

// put notes an issued state. It reports whether there was room.
func (p *pendingRounds) put(id string, n int, who Principal, now, until time.Time) bool {
	return p.issued.add(roundKey(id, n), who.Key(), maxPendingEach, now, until)
}

// use uses a state up. It reports whether this process issued it, and whether it was
// unused; without room to remember that, it was not. A state of this process is
// forgotten when it is used, and that suffices where no other process makes states:
// what is not known there was used before.
func (p *pendingRounds) use(id string, n int, who Principal, shared bool, now, until time.Time) (issued, unused bool) {
	key := roundKey(id, n)
	if issued = p.issued.remove(key); !shared {
		return issued, issued
	}
	return issued, p.used.add(key, who.Key(), maxPending, now, until)
}

// expiring is a bounded set whose members expire.
type expiring struct {
	mu      sync.Mutex
	members map[string]member
	count   map[string]int // by owner
	swept   time.Time
}

type member struct {
	owner string
	until time.Time
}

// add reports whether the key was not in the set and there was room for it.
func (e *expiring) add(key, owner string, each int, now, until time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, in := e.members[key]; in {
		return false
	}
	if (len(e.members) >= maxPending || e.count[owner] >= each) && now.Sub(e.swept) >= sweepEvery {
		e.swept = now
		for k, m := range e.members {
			if now.After(m.until) {
				e.drop(k, m.owner)
			}
		}
	}
	if len(e.members) >= maxPending || e.count[owner] >= each {
		return false
	}
	if e.members == nil {
		e.members, e.count = make(map[string]member), make(map[string]int)
	}
	e.members[key] = member{owner, until}
	e.count[owner]++
	return true
}

func (e *expiring) remove(key string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	m, in := e.members[key]
	if in {
		e.drop(key, m.owner)
	}
	return in
}

// drop takes a member out. The set is locked.
func (e *expiring) drop(key, owner string) {
	delete(e.members, key)
	if e.count[owner]--; e.count[owner] <= 0 {
		delete(e.count, owner)
	}
}
