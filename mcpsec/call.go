package mcpsec

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// A Call is one logical operation: a tool call, a resource read, a prompt, a
// list, a notification, a custom method, or a request that the server sends to
// the client (Outgoing).
//
// Controls must not write to the Call they receive. To change the arguments that
// later controls and the handler see, pass on a shallow copy; what says which call
// it is and whose must stay. A Call must not be used after the handler it was given
// to has returned.
type Call struct {
	// ID is unique and time-ordered (UUID version 7, RFC 9562). The retries of a
	// multi-round-trip call (SEP-2322) carry the ID of its first request.
	ID string
	// Parent is the ID of the call during which an outgoing call was made.
	Parent string
	// Method is the MCP method, for example "tools/call".
	Method string
	// Name is the tool name, prompt name, resource URI or completion reference, and
	// for an outgoing call that of the call it is made for; empty for methods that
	// name nothing.
	Name string
	// Arguments are the arguments as received, or the parameters of a custom or
	// outgoing method. They have passed [CheckJSON]. Nil when there are none.
	// Never rewrite them in place.
	Arguments json.RawMessage
	// Principal is who asks. It is never empty: the lowest rung is anonymous.
	Principal Principal
	// Tool is what is known of the tool; nil when the call is not for a tool or
	// the server offers none of that name.
	Tool *Tool
	// Outgoing is set for requests from the server to the client: sampling,
	// elicitation and roots, sent directly or as inputRequests in a result.
	Outgoing bool
	// Answers are the client's answers to the questions of the round before; nil in
	// the first round, and for clients of revisions that are asked directly, whose
	// answers are results of outgoing calls.
	Answers mcp.InputResponseMap
	// Round counts the runs of a multi-round-trip call: 0 is the first.
	Round int
	// Session and Client are recorded, never trusted: revision 2026-07-28 has no
	// session, and a client names itself.
	Session string
	Client  string
	// Source is where the message came from, as the frame saw it; empty without one.
	Source Source
	// Trace is the well-formed traceparent of the request's _meta (SEP-414, W3C Trace
	// Context), or empty. The caller chose it: it joins records and proves nothing.
	Trace string

	flight *flight
}

// sameAs reports whether two calls are the same but for arguments and round.
func (c *Call) sameAs(o *Call) bool {
	return c.ID == o.ID && c.Method == o.Method && c.Name == o.Name && c.Tool == o.Tool && c.Parent == o.Parent &&
		c.Outgoing == o.Outgoing && c.Principal.Key() == o.Principal.Key()
}

// A Tool is what the guard knows of a tool the server offers.
type Tool struct {
	Name string
	// Definition is the definition in the SDK's registry, live: what the next
	// tools/list will send. Read only.
	Definition *mcp.Tool
	// Digest and Version identify the reviewed definition. They are empty until
	// an attesting control sets them while the server is sealed.
	Digest, Version string
	// Code is the digest of what runs (the executable or its artifact), and Manifest
	// the sequence number of the manifest that vouches for it; set with Digest.
	Code     string
	Manifest uint64
	// Guarded is set when the tool was added with AddTool, Wrap or WrapFor, so
	// that a reply from any other handler is dropped.
	Guarded bool
	// Attested is the attesting control's own, set with Digest: what it gives to the
	// tool's handler, see [Running].
	Attested any

	entry *entry
}

// Running returns the tool whose handler has been given the context; nil if there is none,
// or if the call has not got past every control. In a handler that another one calls, it
// is the inner one.
func Running(ctx context.Context) *Tool {
	if f := flightFrom(ctx); f != nil && f.ran.Load() {
		return f.call.Tool
	}
	return nil
}

// A Finding is something a control noted of a call without refusing it: a refusal
// in Observe mode, or the failure of a control that fails open.
type Finding struct {
	Control string
	Denial  *Denial
	// Failed is set when the control itself failed.
	Failed bool
}

// A Source is where a message came from. The address is the transport's, never one
// that a header claims.
type Source struct {
	Transport string // "http", "stdio", or "tcp" for another stream with an address
	Address   string // with port, or empty
}

// A Credential is what the audit record may know of a credential that was issued to
// a call: enough to find it in the log of whoever issued it.
type Credential struct {
	Name     string // by which the handler asks for it
	Provider string
	Role     string // role ARN, service account, Vault role
	KeyID    string // the public half: access key id, lease id, serial number
	Policy   string // digest of the session policy, "sha256:HEX"
	Expires  time.Time
	// Kept is set when the credential was issued to an earlier call and is used again.
	Kept bool
}

// A Note is a fact about a call, for the audit record.
type Note struct{ Key, Value string }

// Ran reports whether the call has got past every control, to its handler or, where
// no handler is guarded, to the SDK. What was refused before has done nothing. A
// control asks it after next has returned.
func (c *Call) Ran() bool { return c.flight != nil && c.flight.ran.Load() }

// Offered returns what the server offers at this moment, in the SDK's own pointers: what
// the SDK would use for the call if nobody registers anything in between. It lists
// everything, which takes microseconds, and leaves Server, Instructions and Alarm empty.
func (c *Call) Offered(ctx context.Context) (*Inventory, error) {
	f := c.flight
	if f == nil || f.req == nil || f.guard.sdk == nil {
		return nil, errNotAsked
	}
	ss, ok := f.req.GetSession().(*mcp.ServerSession)
	if !ok {
		return nil, errNotAsked
	}
	all, err := listEverything(ctx, f.guard.sdk, ss)
	if err != nil {
		return nil, err
	}
	inv := &Inventory{Prompts: all.Prompts, Resources: all.Resources, Templates: all.Templates}
	for _, t := range all.Tools {
		inv.Tools = append(inv.Tools, &Tool{Name: t.Name, Definition: t})
	}
	return inv, nil
}

var errNotAsked = errors.New("mcpsec: not a call that a server was asked for")

// Findings returns what controls noted so far, oldest first.
func (c *Call) Findings() []Finding {
	if c.flight == nil {
		return nil
	}
	c.flight.mu.Lock()
	defer c.flight.mu.Unlock()
	if c.flight.rare == nil {
		return nil
	}
	return slices.Clone(c.flight.rare.findings)
}

// Alarm rings the guard's alarm for something that never happens by accident, such
// as a definition that changed after it was sealed. The code is one of the control's
// own; the detail is for the operator.
func (c *Call) Alarm(code, detail string) {
	if c.flight != nil {
		c.flight.guard.alarm(Alarm{Code: code, Tool: c.Name, Detail: detail, CallID: c.ID})
	}
}

// Note attaches a fact for the audit record, for example which credential a
// control issued. Never a secret. The last value of a key stays.
func (c *Call) Note(key, value string) {
	if c.flight == nil {
		return
	}
	c.flight.remember(func(r *remembered) {
		for i := range r.notes {
			if r.notes[i].Key == key {
				r.notes[i].Value = value
				return
			}
		}
		if r.notes == nil {
			r.notes = r.room[:0]
		}
		r.notes = append(r.notes, Note{key, value})
	})
}

// Issued tells the audit record which credential a control has issued to the call.
func (c *Call) Issued(cred Credential) {
	if c.flight != nil {
		c.flight.remember(func(r *remembered) {
			if r.issued == nil {
				r.issued = r.place[:0]
			}
			r.issued = append(r.issued, cred)
		})
	}
}

// Credentials returns what was issued to the call so far, oldest first.
func (c *Call) Credentials() []Credential {
	if c.flight == nil {
		return nil
	}
	c.flight.mu.Lock()
	defer c.flight.mu.Unlock()
	if c.flight.rare == nil {
		return nil
	}
	return slices.Clone(c.flight.rare.issued)
}

// Notes returns a copy of the facts noted so far; nil when there are none.
func (c *Call) Notes() []Note {
	if c.flight == nil {
		return nil
	}
	c.flight.mu.Lock()
	defer c.flight.mu.Unlock()
	if c.flight.rare == nil {
		return nil
	}
	return slices.Clone(c.flight.rare.notes)
}

// An Inventory is what a server offers, as a client would see it, when it is
// sealed.
type Inventory struct {
	Server       *mcp.Implementation
	Instructions string
	Tools        []*Tool // sorted by name, each with its live definition
	Prompts      []*mcp.Prompt
	Resources    []*mcp.Resource
	Templates    []*mcp.ResourceTemplate
	// Alarm rings the guard's alarm for what a control finds outside of a call; see
	// [Call.Alarm]. It is safe for concurrent use, also long after the sealing. Nil in
	// an inventory that no guard made.
	Alarm func(Alarm)
}
