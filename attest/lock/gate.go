package lock

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// maxAsked bounds the requests of one connection that wait for their answers.
const maxAsked = 4096

// A judge decides on what a server shows. Its methods may run at the same time.
type judge interface {
	// identity is about what the server says of itself.
	identity(ctx context.Context, d shown) *mcpsec.Denial
	// page is about a page of a list.
	page(ctx context.Context, k Kind, p page) *mcpsec.Denial
	// use is about the use of a tool or prompt.
	use(k Kind, name string) *mcpsec.Denial
	// refused is told of every refusal, its own and the gate's.
	refused(ctx context.Context, d *mcpsec.Denial)
}

// A gate stands in a connection. It knows which answer belongs to which request, and
// lets an answer pass only if the judge does.
type gate struct {
	judge judge

	mu         sync.Mutex
	asked      map[jsonrpc.ID]question
	identified bool // the server said who it is, and the judge agreed
	// unknown is why the judge did not agree. A client of the SDK that fails to discover
	// goes on to initialize, whose failure would hide the reason.
	unknown *mcpsec.Denial
}

type question struct{ method, cursor string }

func newGate(j judge) *gate { return &gate{judge: j, asked: make(map[jsonrpc.ID]question)} }

// outgoing notes a message of the client before it goes out. An error keeps it back.
func (g *gate) outgoing(ctx context.Context, msg jsonrpc.Message) error {
	err := g.note(msg)
	if d := mcpsec.AsDenial(err); d != nil {
		g.judge.refused(ctx, d)
	}
	return err
}

func (g *gate) note(msg jsonrpc.Message) error {
	req, ok := msg.(*jsonrpc.Request)
	if !ok {
		return nil
	}
	if !req.IsCall() {
		g.cancelled(req)
		return nil
	}
	q := question{method: req.Method}
	switch req.Method {
	case "server/discover", "ping":
	case "initialize":
		if denial := g.discovered(); denial != nil {
			return denial
		}
	default:
		if !g.knows() {
			return codeUnapproved.Deny("the server did not say who it is, or what it said is not approved")
		}
		var err error
		if q.cursor, err = g.admit(req); err != nil {
			return err
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.asked) >= maxAsked {
		return codeMalformed.Deny(fmt.Sprintf("the server owes %d answers", maxAsked))
	}
	g.asked[req.ID] = q
	return nil
}

// discovered returns why what the server said of itself was refused, or nil.
func (g *gate) discovered() *mcpsec.Denial {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.unknown
}

func (g *gate) knows() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.identified
}

// admit asks the judge about the use of a tool or prompt, and returns the cursor of a
// list.
func (g *gate) admit(req *jsonrpc.Request) (cursor string, err error) {
	var params struct {
		Name   string `json:"name"`
		Cursor string `json:"cursor"`
	}
	if len(req.Params) > 0 {
		members, err := object(req.Params, "name", "cursor")
		if err != nil {
			return "", codeMalformed.Deny("the parameters are not strict JSON").Because(err)
		}
		for name, field := range map[string]*string{"name": &params.Name, "cursor": &params.Cursor} {
			if raw, ok := members[name]; ok && json.Unmarshal(raw, field) != nil {
				return "", codeMalformed.Deny(name + " is no string")
			}
		}
	}
	var denial *mcpsec.Denial
	switch req.Method {
	case "tools/call":
		denial = g.judge.use(Tool, params.Name)
	case "prompts/get":
		denial = g.judge.use(Prompt, params.Name)
	}
	if denial != nil {
		return "", denial
	}
	return params.Cursor, nil
}

// cancelled drops the note of a request that the client gave up: many servers then send
// no answer, and one that comes late is of no use to anybody.
func (g *gate) cancelled(req *jsonrpc.Request) {
	if req.Method != "notifications/cancelled" {
		return
	}
	var params struct {
		RequestID any `json:"requestId"`
	}
	if json.Unmarshal(req.Params, &params) != nil {
		return
	}
	if id, err := jsonrpc.MakeID(params.RequestID); err == nil {
		g.forget(&jsonrpc.Request{ID: id})
	}
}

// forget drops the note of a request that will have no answer.
func (g *gate) forget(msg jsonrpc.Message) {
	if req, ok := msg.(*jsonrpc.Request); ok && req.IsCall() {
		g.mu.Lock()
		delete(g.asked, req.ID)
		g.mu.Unlock()
	}
}

// incoming returns the message that the client gets in the place of one of the server.
func (g *gate) incoming(ctx context.Context, msg jsonrpc.Message) jsonrpc.Message {
	resp, ok := msg.(*jsonrpc.Response)
	if !ok {
		return msg // requests and notifications carry no definitions
	}
	g.mu.Lock()
	q, expected := g.asked[resp.ID]
	delete(g.asked, resp.ID)
	g.mu.Unlock()
	if !expected {
		// Perhaps an answer to what is about to be asked: it must not be believed.
		return g.refuse(ctx, resp, codeMalformed.Deny("an answer to no question"))
	}
	if resp.Error != nil {
		return &jsonrpc.Response{ID: resp.ID, Error: resp.Error, Extra: resp.Extra}
	}
	if denial := g.decide(ctx, q, resp.Result); denial != nil {
		return g.refuse(ctx, resp, denial)
	}
	return resp
}

// decide judges an answer.
func (g *gate) decide(ctx context.Context, q question, result json.RawMessage) *mcpsec.Denial {
	if q.method == "initialize" || q.method == "server/discover" {
		d, err := identify(result)
		denial := malformed(q.method, err)
		if denial == nil {
			denial = g.judge.identity(ctx, d)
		}
		g.mu.Lock()
		g.identified, g.unknown = denial == nil, denial
		g.mu.Unlock()
		return denial
	}
	for _, k := range kinds {
		if k.method != q.method {
			continue
		}
		p, complete, err := k.read(result)
		if denial := malformed(q.method, err); denial != nil || !complete {
			return denial
		}
		p.cursor = q.cursor
		return g.judge.page(ctx, k, p)
	}
	return nil
}

func malformed(method string, err error) *mcpsec.Denial {
	if err == nil {
		return nil
	}
	return codeMalformed.Deny(string(escapeHidden(fmt.Appendf(nil, "the answer to %s: %v", method, err)))).Because(err)
}

// refuse makes the answer that carries a refusal. Its cause is the JSON-RPC error that
// goes over a wire, where there is one.
func (g *gate) refuse(ctx context.Context, resp *jsonrpc.Response, d *mcpsec.Denial) *jsonrpc.Response {
	g.judge.refused(ctx, d)
	data, err := json.Marshal(map[string]string{"code": d.Code})
	if err != nil {
		data = nil
	}
	wire := &jsonrpc.Error{Code: mcpsec.CodeUnavailable, Message: d.Error(), Data: data}
	return &jsonrpc.Response{ID: resp.ID, Error: &refusal{denial: d, wire: wire}, Extra: resp.Extra}
}

// A refusal is both the Denial and its form on the wire.
type refusal struct {
	denial *mcpsec.Denial
	wire   *jsonrpc.Error
}

func (r *refusal) Error() string   { return r.wire.Message }
func (r *refusal) Unwrap() []error { return []error{r.denial, r.wire} }

// DenialOf returns the refusal behind an error of a session over a pinned transport, or
// nil. Over HTTP a refusal reaches the client as a JSON-RPC error, from which the Denial
// is made again; a server can forge such an error, but no success by it.
func DenialOf(err error) *mcpsec.Denial {
	if d := mcpsec.AsDenial(err); d != nil {
		return d
	}
	wire, ok := errors.AsType[*jsonrpc.Error](err)
	if !ok || wire.Code != mcpsec.CodeUnavailable {
		return nil
	}
	var data struct {
		Code string `json:"code"`
	}
	_ = json.Unmarshal(wire.Data, &data) // of another form, it holds none of the codes
	for _, code := range Codes() {
		if code.Name == data.Code {
			reason := strings.TrimPrefix(wire.Message, code.Name+": ")
			return code.Deny(reason).Because(err)
		}
	}
	return nil
}
