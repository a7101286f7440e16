package audit

import (
	"strconv"
	"time"
)

// AppendJSON appends the event to b as one JSON object, without a line end. The
// object is one line of printable characters, whatever the event holds: see
// appendString. The order of its members is fixed.
//
// Members: time (RFC 3339, UTC, up to nanoseconds), event, id, parent, round,
// method, name, outgoing; principal {rung, issuer, subject, client, tenant,
// actors}; untrusted {session, client}; tool {digest, version}; arguments {bytes,
// keys, more}; of an outcome also decision, code, control, reason, detail,
// findings [{control, code, reason, detail, failed}], notes, latency_us
// (microseconds), is_error; and truncated. What is empty, zero or false is left
// out, but for time, event, id, method, principal.rung, and latency_us and is_error
// of an outcome.
func (e *Event) AppendJSON(b []byte) []byte {
	b = append(b, `{"time":"`...)
	b = e.Time.UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","event":`...)
	b = appendString(b, string(e.Kind))
	b = append(b, `,"id":`...)
	b = appendString(b, e.ID)
	b = appendText(b, "parent", e.Parent)
	b = appendCount(b, "round", e.Round)
	b = append(b, `,"method":`...)
	b = appendString(b, e.Method)
	b = appendText(b, "name", e.Name)
	b = appendFlag(b, "outgoing", e.Outgoing)
	b = e.Principal.appendJSON(b)
	if e.Session != "" || e.Client != "" {
		b = append(b, `,"untrusted":{`...)
		b = appendText(b, "session", e.Session)
		b = appendText(b, "client", e.Client)
		b = append(b, '}')
	}
	if e.Tool != (Tool{}) {
		b = append(b, `,"tool":{`...)
		b = appendText(b, "digest", e.Tool.Digest)
		b = appendText(b, "version", e.Tool.Version)
		b = append(b, '}')
	}
	if e.Arguments.Bytes > 0 {
		b = append(b, `,"arguments":{`...)
		b = appendCount(b, "bytes", e.Arguments.Bytes)
		b = appendList(b, "keys", e.Arguments.Keys)
		b = appendCount(b, "more", e.Arguments.More)
		b = append(b, '}')
	}
	if e.Kind == Outcome {
		b = e.appendOutcome(b)
	}
	b = appendFlag(b, "truncated", e.Truncated)
	return append(b, '}')
}

// MarshalJSON returns what AppendJSON appends. It never fails.
func (e *Event) MarshalJSON() ([]byte, error) { return e.AppendJSON(nil), nil }

func (p *Principal) appendJSON(b []byte) []byte {
	b = append(b, `,"principal":{"rung":`...)
	b = appendString(b, p.Rung)
	b = appendText(b, "issuer", p.Issuer)
	b = appendText(b, "subject", p.Subject)
	b = appendText(b, "client", p.Client)
	b = appendText(b, "tenant", p.Tenant)
	b = appendList(b, "actors", p.Actors)
	return append(b, '}')
}

func (e *Event) appendOutcome(b []byte) []byte {
	b = appendText(b, "decision", string(e.Decision))
	b = appendText(b, "code", e.Code)
	b = appendText(b, "control", e.Control)
	b = appendText(b, "reason", e.Reason)
	b = appendText(b, "detail", e.Detail)
	for i := range e.Findings {
		if i == 0 {
			b = append(b, `,"findings":[`...)
		} else {
			b = append(b, ',')
		}
		b = e.Findings[i].appendJSON(b)
		if i == len(e.Findings)-1 {
			b = append(b, ']')
		}
	}
	if len(e.Notes) > 0 {
		b = append(b, `,"notes":{`...)
		for _, n := range e.Notes {
			b = appendString(appendComma(b), n.Key)
			b = append(b, ':')
			b = appendString(b, n.Value)
		}
		b = append(b, '}')
	}
	b = append(b, `,"latency_us":`...)
	b = strconv.AppendInt(b, e.Latency.Microseconds(), 10)
	b = append(b, `,"is_error":`...)
	return strconv.AppendBool(b, e.IsError)
}

func (f *Finding) appendJSON(b []byte) []byte {
	b = append(b, '{')
	b = appendText(b, "control", f.Control)
	b = appendText(b, "code", f.Code)
	b = appendText(b, "reason", f.Reason)
	b = appendText(b, "detail", f.Detail)
	b = appendFlag(b, "failed", f.Failed)
	return append(b, '}')
}

// The helpers that follow take member names that need no escape, and append
// nothing for a value there is no need to mention.

func appendText(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	return appendString(appendName(b, name), value)
}

func appendCount(b []byte, name string, value int) []byte {
	if value == 0 {
		return b
	}
	return strconv.AppendInt(appendName(b, name), int64(value), 10)
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
		b = appendString(appendComma(b), v)
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
