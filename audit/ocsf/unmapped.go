package ocsf

import (
	"github.com/mcpsec/mcpsec-go/audit"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// callLeftovers appends what API Activity has no place for: for Compat, also what
// later versions have.
func (f *Format) callLeftovers(w *writer, e *audit.Event, v verdict) {
	w.flag("outgoing", e.Outgoing)
	w.text("transport", e.Source.Transport)
	if e.Kind == audit.Outcome {
		w.int("latency_us", e.Latency.Microseconds())
	}
	if f.schema == Compat {
		w.flag("truncated", e.Truncated)
		w.enum("action", v.action)
		w.enum("disposition", v.disposition)
		untrusted(w, e)
		trace(w, e.Trace)
		return
	}
	trace(w, audit.Trace{Span: e.Trace.Span})
}

func untrusted(w *writer, e *audit.Event) {
	if e.Session == "" && e.Client == "" {
		return
	}
	w.open("untrusted")
	w.text("session", e.Session)
	w.text("client", e.Client)
	w.close()
}

func trace(w *writer, t audit.Trace) {
	if t == (audit.Trace{}) {
		return
	}
	w.open("trace")
	w.text("uid", t.ID)
	w.text("span", t.Span)
	w.text("flags", t.Flags)
	w.close()
}

// strangeLeftovers appends what Base Event has no place for: a kind of a later
// version may be about a call.
func (f *Format) strangeLeftovers(w *writer, e *audit.Event) {
	if f.schema == Compat {
		w.flag("truncated", e.Truncated)
	}
	w.text("method", e.Method)
	w.text("name", e.Name)
	w.flag("outgoing", e.Outgoing)
	if p := &e.Principal; p.Rung != "" {
		w.open("principal")
		w.text("rung", p.Rung)
		w.text("issuer", p.Issuer)
		w.text("subject", p.Subject)
		w.text("client", p.Client)
		w.text("tenant", p.Tenant)
		w.close()
	}
	untrusted(w, e)
	if e.Source != (audit.Source{}) {
		w.open("source")
		w.text("transport", e.Source.Transport)
		w.text("address", e.Source.Address)
		w.close()
	}
	trace(w, e.Trace)
	w.text("policy", e.Policy)
	w.text("decision", string(e.Decision))
}

// leftovers appends what no class has a place for.
func (f *Format) leftovers(w *writer, r *audit.Record, e *audit.Event) {
	w.text("parent", e.Parent)
	w.size("round", e.Round)
	w.texts("actors", e.Principal.Actors)
	w.text("control", e.Control)
	w.text("detail", e.Detail)
	if len(e.Findings) > 0 {
		w.list("findings")
		for i := range e.Findings {
			finding(w, &e.Findings[i])
		}
		w.end()
	}
	if len(e.Notes) > 0 {
		w.open("notes")
		for _, n := range e.Notes {
			w.member(n.Key, n.Value)
		}
		w.close()
	}
	if len(e.Credentials) > 0 {
		w.list("creds")
		for i := range e.Credentials {
			credential(w, &e.Credentials[i])
		}
		w.end()
	}
	w.open("ledger")
	w.text("origin", r.Origin)
	if prev := prevOf(r); prev != nil {
		w.text("prev", string(prev))
		w.text("leaf", leafOf(r))
	}
	w.close()
}

func finding(w *writer, d *audit.Finding) {
	w.element()
	w.text("control", d.Control)
	w.text("code", d.Code)
	w.text("reason", d.Reason)
	w.text("detail", d.Detail)
	w.flag("failed", d.Failed)
	w.close()
}

// credential appends what joins the call to the provider's own record: for AWS,
// key_id is userIdentity.accessKeyId in CloudTrail, and role the issuer of its
// session.
func credential(w *writer, c *mcpsec.Credential) {
	w.element()
	w.text("name", c.Name)
	w.text("provider", c.Provider)
	w.text("role", c.Role)
	w.text("key_id", c.KeyID)
	w.text("policy", c.Policy)
	w.stamp("expires", c.Expires)
	w.flag("kept", c.Kept)
	w.close()
}
