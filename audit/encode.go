package audit

import (
	"strconv"
	"time"

	"github.com/mcpsec/mcpsec-go/internal/printable"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// AppendJSON appends the event to b as one JSON object, without a line end. The
// object is one line of printable characters, whatever the event holds: see
// printable.AppendString. The order of its members is fixed.
//
// Members: time (RFC 3339, UTC, up to nanoseconds), event, id, parent, round,
// method, name, outgoing; principal {rung, issuer, subject, client, tenant,
// actors}; untrusted {session, client}; source {transport, address}; trace {id,
// span, flags}; tool {digest, version, code, manifest}; policy; arguments {bytes,
// keys, more, hmac, clear {PATH: text of the value}, redacted}; count, first, last;
// level; decision, code, control, reason, detail, findings [{control, code, reason,
// detail, failed}], notes, credentials [{name, provider, role, key_id, policy,
// expires, kept}]; of an outcome also latency_us (microseconds), is_error and result
// {bytes, digest}; and truncated. What is empty, zero or false is left out, but for
// time and event, and for latency_us and is_error of an outcome.
func (e *Event) AppendJSON(b []byte) []byte {
	b = append(b, `{"time":"`...)
	b = e.Time.UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","event":`...)
	b = printable.AppendString(b, string(e.Kind))
	b = appendText(b, "id", e.ID)
	b = appendText(b, "parent", e.Parent)
	b = appendCount(b, "round", e.Round)
	b = appendText(b, "method", e.Method)
	b = appendText(b, "name", e.Name)
	b = appendFlag(b, "outgoing", e.Outgoing)
	b = e.Principal.appendJSON(b)
	if e.Session != "" || e.Client != "" {
		b = appendText(append(appendName(b, "untrusted"), '{'), "session", e.Session)
		b = append(appendText(b, "client", e.Client), '}')
	}
	if e.Source != (Source{}) {
		b = appendText(append(appendName(b, "source"), '{'), "transport", e.Source.Transport)
		b = append(appendText(b, "address", e.Source.Address), '}')
	}
	if e.Trace != (Trace{}) {
		b = appendText(append(appendName(b, "trace"), '{'), "id", e.Trace.ID)
		b = appendText(b, "span", e.Trace.Span)
		b = append(appendText(b, "flags", e.Trace.Flags), '}')
	}
	if e.Tool != (Tool{}) {
		b = appendText(append(appendName(b, "tool"), '{'), "digest", e.Tool.Digest)
		b = appendText(b, "version", e.Tool.Version)
		b = appendText(b, "code", e.Tool.Code)
		b = append(appendCount(b, "manifest", e.Tool.Manifest), '}')
	}
	b = appendText(b, "policy", e.Policy)
	b = e.Arguments.appendJSON(b)
	b = appendCount(b, "count", e.Count)
	b = appendTime(b, "first", e.First)
	b = appendTime(b, "last", e.Last)
	b = appendText(b, "level", e.Level)
	b = e.appendVerdict(b)
	b = appendFlag(b, "truncated", e.Truncated)
	return append(b, '}')
}

// MarshalJSON returns what AppendJSON appends. It never fails.
func (e *Event) MarshalJSON() ([]byte, error) { return e.AppendJSON(nil), nil }

func (p *Principal) appendJSON(b []byte) []byte {
	if p.Rung == "" {
		return b // no call of anybody's
	}
	b = appendText(append(appendName(b, "principal"), '{'), "rung", p.Rung)
	b = appendText(b, "issuer", p.Issuer)
	b = appendText(b, "subject", p.Subject)
	b = appendText(b, "client", p.Client)
	b = appendText(b, "tenant", p.Tenant)
	b = appendList(b, "actors", p.Actors)
	return append(b, '}')
}

func (a *Arguments) appendJSON(b []byte) []byte {
	if a.Bytes == 0 {
		return b
	}
	b = appendCount(append(appendName(b, "arguments"), '{'), "bytes", a.Bytes)
	b = appendList(b, "keys", a.Keys)
	b = appendCount(b, "more", a.More)
	b = appendText(b, "hmac", a.HMAC)
	for i, v := range a.Clear {
		if i == 0 {
			b = append(appendName(b, "clear"), '{')
		}
		b = append(printable.AppendString(appendComma(b), v.Path), ':')
		b = printable.AppendString(b, v.JSON)
		if i == len(a.Clear)-1 {
			b = append(b, '}')
		}
	}
	b = appendList(b, "redacted", a.Redacted)
	return append(b, '}')
}

func (e *Event) appendVerdict(b []byte) []byte {
	b = appendText(b, "decision", string(e.Decision))
	b = appendText(b, "code", e.Code)
	b = appendText(b, "control", e.Control)
	b = appendText(b, "reason", e.Reason)
	b = appendText(b, "detail", e.Detail)
	b = appendObjects(b, "findings", e.Findings, appendFinding)
	if len(e.Notes) > 0 {
		b = append(appendName(b, "notes"), '{')
		for _, n := range e.Notes {
			b = append(printable.AppendString(appendComma(b), n.Key), ':')
			b = printable.AppendString(b, n.Value)
		}
		b = append(b, '}')
	}
	b = appendObjects(b, "credentials", e.Credentials, appendCredential)
	if e.Kind != Outcome {
		return b
	}
	b = strconv.AppendInt(appendName(b, "latency_us"), e.Latency.Microseconds(), 10)
	b = strconv.AppendBool(appendName(b, "is_error"), e.IsError)
	if e.Result != (Result{}) {
		b = appendCount(append(appendName(b, "result"), '{'), "bytes", e.Result.Bytes)
		b = append(appendText(b, "digest", e.Result.Digest), '}')
	}
	return b
}

func appendFinding(b []byte, f *Finding) []byte {
	b = appendText(b, "control", f.Control)
	b = appendText(b, "code", f.Code)
	b = appendText(b, "reason", f.Reason)
	b = appendText(b, "detail", f.Detail)
	return appendFlag(b, "failed", f.Failed)
}

func appendCredential(b []byte, c *mcpsec.Credential) []byte {
	b = appendText(b, "name", c.Name)
	b = appendText(b, "provider", c.Provider)
	b = appendText(b, "role", c.Role)
	b = appendText(b, "key_id", c.KeyID)
	b = appendText(b, "policy", c.Policy)
	b = appendTime(b, "expires", c.Expires)
	return appendFlag(b, "kept", c.Kept)
}

// appendObjects appends a list of objects whose members appendOne writes.
func appendObjects[T any](b []byte, name string, list []T, appendOne func([]byte, *T) []byte) []byte {
	if len(list) == 0 {
		return b
	}
	b = append(appendName(b, name), '[')
	for i := range list {
		b = append(appendOne(append(appendComma(b), '{'), &list[i]), '}')
	}
	return append(b, ']')
}

// The helpers that follow take member names that need no escape, and append
// nothing for a value there is no need to mention.

func appendText(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	return printable.AppendString(appendName(b, name), value)
}

func appendCount[T int | uint64](b []byte, name string, value T) []byte {
	if value <= 0 {
		return b
	}
	return strconv.AppendUint(appendName(b, name), uint64(value), 10)
}

func appendTime(b []byte, name string, t time.Time) []byte {
	if t.IsZero() {
		return b
	}
	b = append(appendName(b, name), '"')
	return append(t.UTC().AppendFormat(b, time.RFC3339Nano), '"')
}

func appendFlag(b []byte, name string, value bool) []byte {
	if !value {
		return b
	}
	return append(appendName(b, name), "true"...)
}

func appendList(b []byte, name string, values []string) []byte {
	if len(values) == 0 {
		return b
	}
	b = append(appendName(b, name), '[')
	for _, v := range values {
		b = printable.AppendString(appendComma(b), v)
	}
	return append(b, ']')
}

func appendName(b []byte, name string) []byte {
	b = append(appendComma(b), '"')
	b = append(b, name...)
	return append(b, '"', ':')
}

// appendComma separates an entry from one before it.
func appendComma(b []byte) []byte {
	if last := b[len(b)-1]; last == '{' || last == '[' {
		return b
	}
	return append(b, ',')
}
