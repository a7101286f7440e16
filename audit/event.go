package audit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/audit/internal/redact"
	"github.com/mcpsec/mcpsec-go/audit/ledger"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// A Kind says what an event reports. Sinks must expect kinds they do not know.
type Kind string

// The kinds of event.
const (
	Attempt Kind = "attempt" // every control let the call pass and its handler is about to run
	Outcome Kind = "outcome" // a call has its answer, or was refused
	// Suppressed stands for Count refusals of one kind that came too fast to be
	// recorded one by one.
	Suppressed Kind = "suppressed"
	// Gap stands for Count records that were lost, and says why.
	Gap Kind = "gap"
	// Recovery says what was found and mended when a log was opened again.
	Recovery Kind = "recovery"
	// Pruned says that Count records were removed because the ledger has reached
	// its size limit.
	Pruned Kind = "pruned"
	// Log is a message of the program itself, taken in by a [Handler].
	Log Kind = "log"
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
	// Unknown: the call was allowed, and the process ended before its answer was
	// recorded. Whether and how far it ran is not known.
	Unknown Decision = "unknown"
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
	maxIssued   = 16
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
	// Session is a digest of the session id, and Client what the client calls itself.
	// They prove nothing; the JSON has them under "untrusted".
	Session, Client string

	Source    Source
	Trace     Trace
	Tool      Tool
	Policy    string // digest of the policy in force, see [Policy]
	Arguments Arguments

	// Count, First and Last are those of a Suppressed or Gap event: how many it
	// stands for, and the times of the first and the last of them.
	Count       uint64
	First, Last time.Time
	// Level is that of a Log event, as log/slog spells it. Its message is in
	// Reason, its attributes in Notes.
	Level string

	// What follows is known of an outcome only, but for Findings and Notes, which
	// an attempt has as far as they are known by then.

	Decision Decision
	Code     string // of the refusal, or guard.handler_panic
	Control  string // which refused
	Reason   string // what the caller may know of it
	Detail   string // what the operator may know of it
	Findings []Finding
	Notes    []mcpsec.Note // sorted by key
	Latency  time.Duration // from attempt to outcome
	IsError  bool          // the result says so of itself
	Result   Result
	// Credentials are those issued to the call, never a secret of theirs.
	Credentials []mcpsec.Credential
	// Truncated is set when something was too long or too much to be kept whole.
	Truncated bool

	class       ledger.Class
	destructive bool      // the tool says so of itself
	attempted   bool      // the attempt is on record
	room        [8]string // for Arguments.Keys
	blank       *redact.Policy
	lasting     bool // must survive a loss of power, whatever its kind
}

// A Principal is who asked, as mcpsec.Principal has it.
type Principal struct {
	Rung                            string // how the principal is known: "token" to "anonymous"
	Issuer, Subject, Client, Tenant string
	Actors                          []string // delegation chain, the current actor first
}

// A Source is where a call came from. The address is the transport's, never one
// that a header claims.
type Source struct {
	Transport string // "stdio", "http", or "" if the guard does not see the frame
	Address   string // with port; empty for stdio
}

// A Trace is the W3C trace context that the caller sent in _meta (SEP-414), if it
// was well-formed. The caller chose it, so it joins records and proves nothing.
type Trace struct {
	ID    string // 32 lower-case hexadecimal digits
	Span  string // 16 of them: the caller's span
	Flags string // two
}

// A Tool is the identity of the reviewed definition; empty without attestation.
type Tool struct {
	Digest, Version string
	Code            string // digest of what runs: the executable or the artifact
	Manifest        uint64 // sequence number of the manifest that vouches for it
}

// Arguments is what the record may know of a call's arguments.
type Arguments struct {
	Bytes int      // as received; 0 when the guard found them unreadable
	Keys  []string // names of the top-level members, sorted, the first 32 of them
	More  int      // names beyond those
	// HMAC is "hmac-sha256:KEYID:HEX" over the canonical form (RFC 8785), so that
	// equal arguments can be told without being guessed. Empty without a key.
	HMAC string
	// Clear are the values that an operator chose to have in the record, by JSON
	// pointer (RFC 6901), in the order of their paths.
	Clear []Value
	// Redacted are the paths that were chosen and hold what must not be recorded.
	Redacted []string
}

// A Value is one argument in clear.
type Value struct {
	Path string // JSON pointer
	JSON string // the value's JSON text, cut to a bound if long
}

// A Result is what the record knows of a call's result.
type Result struct {
	Bytes  int    // of the content, as held in memory
	Digest string // "sha256:HEX" of the content, see [Event.AppendJSON]; empty if there is none
}

// A Finding is what a control noted without refusing the call: it is in observe
// mode, or it failed and fails open.
type Finding struct {
	Control, Code, Reason, Detail string
	Failed                        bool // the control itself failed
}

// begin takes over what is known of a call when it arrives.
func (l *Logger) begin(e *Event, call *mcpsec.Call, now time.Time) {
	*e = Event{Kind: Outcome, Time: now, Round: call.Round, Outgoing: call.Outgoing, Policy: l.policy, blank: l.redact}
	e.ID, e.Parent = e.bounded(call.ID, maxName), e.bounded(call.Parent, maxName)
	e.Method, e.Name = e.bounded(call.Method, maxName), e.bounded(call.Name, maxURI)
	e.Session, e.Client = sessionMark(call.Session), e.bounded(call.Client, maxName)
	e.Source = Source{call.Source.Transport, e.bounded(call.Source.Address, maxName)}
	e.Trace = traceOf(call.Trace)

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
	e.attest(call.Tool)
	if len(call.Arguments) > 0 {
		l.arguments(e, call)
	}
}

// sessionMark stands for a session id, which in older revisions is all that somebody
// needs to speak in a session: the record joins by it and does not give it away.
func sessionMark(id string) string {
	if id == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(id))
	return "sha256:" + hex.EncodeToString(sum[:8])
}

// arguments takes over what the record may know of the arguments.
func (l *Logger) arguments(e *Event, call *mcpsec.Call) {
	a := &e.Arguments
	a.Bytes = len(call.Arguments)
	var cut bool
	a.Keys, a.More, cut = keyNames(e.room[:0], call.Arguments)
	e.Truncated = e.Truncated || cut
	if l.hmac != nil {
		a.HMAC = l.hmac.sum(call.Arguments)
	}
	if l.redact == nil || call.Method != "tools/call" || call.Outgoing {
		return
	}
	var schema any
	if call.Tool != nil && call.Tool.Definition != nil {
		schema = call.Tool.Definition.InputSchema
	}
	chosen, redacted, cut := l.redact.Arguments(call.Name, schema, call.Arguments)
	for _, v := range chosen {
		a.Clear = append(a.Clear, Value(v))
	}
	a.Redacted, e.Truncated = redacted, e.Truncated || cut
}

// attest takes over what is known of the tool. It may be more beside the handler
// than when the call arrived.
func (e *Event) attest(t *mcpsec.Tool) {
	if t == nil {
		return
	}
	e.Tool = Tool{e.bounded(t.Digest, maxName), e.bounded(t.Version, maxName), e.bounded(t.Code, maxName), t.Manifest}
	if d := t.Definition; d != nil && d.Annotations != nil {
		a := d.Annotations
		e.destructive = !a.ReadOnlyHint && a.DestructiveHint != nil && *a.DestructiveHint
	}
}

// traceOf takes a traceparent of version 00 apart. The guard has checked its form.
func traceOf(parent string) Trace {
	if parent == "" {
		return Trace{}
	}
	part := strings.Split(parent, "-")
	if len(part) != 4 || strings.Trim(part[1], "0") == "" || strings.Trim(part[2], "0") == "" {
		return Trace{} // an id of zeros is none
	}
	return Trace{ID: part[1], Span: part[2], Flags: part[3]}
}

// hear takes over what controls have said of the call so far.
func (e *Event) hear(call *mcpsec.Call) {
	e.Findings = e.Findings[:0]
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
	issued := call.Credentials()
	if len(issued) > maxIssued {
		issued, e.Truncated = issued[:maxIssued], true
	}
	for i := range issued {
		c := &issued[i]
		for _, s := range []*string{&c.Name, &c.Provider, &c.Role, &c.KeyID, &c.Policy} {
			*s = e.bounded(*s, maxName)
		}
	}
	e.Credentials = issued
}

// settle makes the outcome of an attempt.
func (e *Event) settle(call *mcpsec.Call, res mcp.Result, err error) {
	e.Kind, e.Decision = Outcome, Allowed
	e.hear(call)

	r, _ := res.(*mcp.CallToolResult)
	switch d := mcpsec.AsDenial(err); {
	case d != nil:
		e.refused(d)
	case err != nil:
		e.Decision, e.Detail = Failed, describe(err)
	case r != nil && r.IsError:
		e.Decision, e.IsError = Failed, true
		e.Result = resultOf(res)
	case res == nil && !strings.HasPrefix(call.Method, "notifications/"):
		e.Decision, e.Detail = Failed, "there was no answer"
	default:
		e.Result = resultOf(res)
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
	if e.blank != nil { // before the cut makes a secret unrecognisable
		if s, _ = e.blank.Text(s[:min(len(s), 2*limit)]); len(s) <= limit {
			return s
		}
	}
	return s[:runeStart(s, limit-len(ellipsis))] + ellipsis
}

// runeStart returns the last index up to i at which a rune starts.
func runeStart[T string | []byte](s T, i int) int {
	for back := 0; back < utf8.UTFMax && i > 0 && !utf8.RuneStart(s[i]); back++ {
		i--
	}
	return i
}
