package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// A Kind says what an event reports. Sinks must expect kinds they do not know.
type Kind string

// The kinds of event.
const (
	Attempt Kind = "attempt" // a call has arrived and nothing has run
	Outcome Kind = "outcome" // a call has its answer
)

// A Decision is how a call ended.
type Decision string

// The decisions. Refused says that the caller got no answer; when a result is
// refused by its content, the handler has run.
const (
	Allowed Decision = "allowed"
	Refused Decision = "refused"
	// Failed: the call was allowed, and what ran returned an error or a result
	// with isError, panicked, or ended without an answer.
	Failed Decision = "error"
)

// Bounds of what an event holds, in bytes and entries. What is longer is cut and
// ends in "…", and the event is marked as truncated.
const (
	maxName     = 512  // names, ids and parts of a principal
	maxURI      = 2048 // Event.Name, which may be a resource URI
	maxText     = 1024 // reasons and details
	maxActors   = 8
	maxFindings = 16
	maxNotes    = 32
)

// An Event is one entry of the record. Its strings are as long as callers and
// controls made them, up to a bound, and hold whatever characters they chose:
// only [Event.AppendJSON] makes them safe to print. The zero value of a field
// means that there is nothing to say, and is left out of the JSON.
type Event struct {
	Kind     Kind
	Time     time.Time // of this event, not of the attempt
	ID       string    // of the call; joins attempt and outcome
	Parent   string    // ID of the call during which this one was made
	Round    int       // of a multi-round-trip call
	Method   string
	Name     string // of the tool, prompt or resource
	Outgoing bool   // a request from the server to the client

	Principal Principal
	// Session and Client are what the other side says of itself. They prove nothing;
	// the JSON has them under "untrusted".
	Session, Client string

	Tool      Tool
	Arguments Arguments

	// What follows is known of an outcome only.

	Decision Decision
	Code     string // of the refusal, or guard.handler_panic
	Control  string // which refused
	Reason   string // what the caller may know of it
	Detail   string // what the operator may know of it
	Findings []Finding
	Notes    []mcpsec.Note // sorted by key
	Latency  time.Duration // from attempt to outcome
	IsError  bool          // the result says so of itself
	// Truncated is set when something was too long or too much to be kept whole.
	Truncated bool
}

// A Principal is who asked, as mcpsec.Principal has it.
type Principal struct {
	Rung                            string // how the principal is known: "token" to "anonymous"
	Issuer, Subject, Client, Tenant string
	Actors                          []string // delegation chain, the current actor first
}

// A Tool is the identity of the reviewed definition; empty without attestation.
type Tool struct {
	Digest, Version string
}

// Arguments is what the record may know of a call's arguments.
type Arguments struct {
	Bytes int      // as received; 0 when the guard found them unreadable
	Keys  []string // names of the top-level members, sorted, the first 32 of them
	More  int      // names beyond those
}

// A Finding is what a control noted without refusing the call: it is in observe
// mode, or it failed and fails open.
type Finding struct {
	Control, Code, Reason, Detail string
	Failed                        bool // the control itself failed
}

func newEvent(call *mcpsec.Call, now time.Time) *Event {
	e := &Event{Kind: Attempt, Time: now, Round: call.Round, Outgoing: call.Outgoing}
	e.ID, e.Parent = e.bounded(call.ID, maxName), e.bounded(call.Parent, maxName)
	e.Method, e.Name = e.bounded(call.Method, maxName), e.bounded(call.Name, maxURI)
	e.Session, e.Client = e.bounded(call.Session, maxName), e.bounded(call.Client, maxName)

	p := &call.Principal
	e.Principal = Principal{
		Rung:   p.Rung.String(),
		Issuer: e.bounded(p.Issuer, maxName), Subject: e.bounded(p.Subject, maxName),
		Client: e.bounded(p.Client, maxName), Tenant: e.bounded(p.Tenant, maxName),
	}
	for i, actor := range p.Actors {
		if i == maxActors {
			e.Truncated = true
			break
		}
		e.Principal.Actors = append(e.Principal.Actors, e.bounded(actor, maxName))
	}
	if t := call.Tool; t != nil {
		e.Tool = Tool{e.bounded(t.Digest, maxName), e.bounded(t.Version, maxName)}
	}
	if len(call.Arguments) > 0 {
		e.Arguments.Bytes = len(call.Arguments)
		var cut bool
		e.Arguments.Keys, e.Arguments.More, cut = keyNames(call.Arguments)
		e.Truncated = e.Truncated || cut
	}
	return e
}

// settle makes the outcome of an attempt.
func (e *Event) settle(call *mcpsec.Call, res mcp.Result, err error) {
	e.Kind, e.Decision = Outcome, Allowed
	for i, f := range call.Findings() {
		if i == maxFindings {
			e.Truncated = true
			break
		}
		note := Finding{Control: e.bounded(f.Control, maxName), Failed: f.Failed}
		if d := f.Denial; d != nil {
			note.Code, note.Reason, note.Detail = e.bounded(d.Code, maxName), d.Reason, d.Detail
		}
		e.Findings = append(e.Findings, note)
	}
	e.note(call.Notes())

	r, _ := res.(*mcp.CallToolResult)
	switch d := mcpsec.AsDenial(err); {
	case d != nil:
		e.refused(d)
	case err != nil:
		e.Decision, e.Detail = Failed, describe(err)
	case r != nil && r.IsError:
		e.Decision, e.IsError = Failed, true
	case res == nil && !strings.HasPrefix(call.Method, "notifications/"):
		e.Decision, e.Detail = Failed, "there was no answer"
	}
	e.redact(call.Arguments)
}

// refused records a refusal. A panic arrives as one, but what panicked had been
// allowed.
func (e *Event) refused(d *mcpsec.Denial) {
	e.Decision = Refused
	if d.Kind == mcpsec.Crashed {
		e.Decision = Failed
	}
	e.Code, e.Control = e.bounded(d.Code, maxName), e.bounded(d.Control, maxName)
	e.Reason, e.Detail = d.Reason, d.Detail
	if cause := d.Unwrap(); d.Code == codeRejected && cause != nil {
		e.Detail = describe(cause)
	}
}

// codeRejected is the guard's code for messages that the SDK rejects. The SDK's
// text quotes the parameters, and the guard has no arguments to compare it with.
const codeRejected = "guard.rejected"

// abandon makes the outcome of a call that will never be answered.
func (e *Event) abandon(now, start time.Time) {
	e.Kind, e.Decision = Outcome, Failed
	e.Detail = "the call ended without an answer: its goroutine panicked outside the handler, or ended"
	e.stamp(now, start)
}

func (e *Event) stamp(now, start time.Time) {
	e.Time, e.Latency = now, max(0, now.Sub(start))
}

// progress says what has happened by the time an outcome cannot be recorded.
func (e *Event) progress() string {
	if e.Decision == Refused {
		return "the call had been refused with " + e.Code
	}
	return "the handler has run; its result was withheld"
}

// note takes over the facts that controls noted, sorted and each name once.
func (e *Event) note(notes []mcpsec.Note) {
	for i, n := range notes {
		notes[i] = mcpsec.Note{
			Key:   e.bounded(strings.ToValidUTF8(n.Key, "\ufffd"), maxName),
			Value: e.bounded(n.Value, maxText),
		}
	}
	slices.SortStableFunc(notes, func(a, b mcpsec.Note) int { return strings.Compare(a.Key, b.Key) })
	notes = slices.CompactFunc(notes, func(a, b mcpsec.Note) bool { return a.Key == b.Key })
	if len(notes) > maxNotes {
		notes, e.Truncated = notes[:maxNotes], true
	}
	e.Notes = notes
}

// describe says what kind of error a handler returned. Its text is not recorded:
// handlers write into it what they were given.
func describe(err error) string {
	for _, known := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	if rpc, ok := errors.AsType[*jsonrpc.Error](err); ok {
		return fmt.Sprintf("JSON-RPC error %d", rpc.Code)
	}
	return fmt.Sprintf("error of type %T", err)
}

const ellipsis = "…"

// bounded returns s, or what of it fits into limit bytes.
func (e *Event) bounded(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	e.Truncated = true
	return s[:runeStart(s, limit-len(ellipsis))] + ellipsis
}

// runeStart returns the last index up to i at which a rune starts.
func runeStart[T string | []byte](s T, i int) int {
	for back := 0; back < utf8.UTFMax && i > 0 && !utf8.RuneStart(s[i]); back++ {
		i--
	}
	return i
}
