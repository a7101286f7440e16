package ocsf

import (
	"strings"

	"github.com/mcpsec/mcpsec-go/audit"
)

// call appends an event of a call: API Activity.
func (f *Format) call(w *writer, r *audit.Record, e *audit.Event) {
	w.b = append(w.b, `{"activity_id":99,"activity_name":"Invoke",`+
		`"category_uid":6,"category_name":"Application Activity",`+
		`"class_uid":6003,"class_name":"API Activity",`+
		`"type_uid":600399,"type_name":"API Activity: Other"`...)
	v := judge(e)
	w.enum("severity", v.severity)
	f.times(w, e)
	w.text("message", sentence(e))
	w.enum("status", v.status)
	w.text("status_code", e.Code)
	w.text("status_detail", or(e.Reason, e.Detail))
	if f.schema != Compat {
		w.enum("action", v.action)
		w.enum("disposition", v.disposition)
		w.flag("is_alert", v.severity == high)
	}

	f.metadata(w, r, string(e.Kind))
	w.text("correlation_uid", e.ID)
	w.uint("sequence", r.Seq)
	w.stamp("original_time", e.Time)
	if f.schema != Compat {
		w.texts("profiles", f.profiles())
		w.flag("is_truncated", e.Truncated)
	}
	w.close()

	service := or(f.service, r.Origin, "unknown")
	f.actor(w, e, v)
	f.api(w, r, e, service)
	endpoints(w, e, service)
	resources(w, e)
	if f.schema != Compat {
		f.messageContext(w, e, service)
		traced(w, e)
	}
	if f.schema == Preview {
		agent(w, e)
	}
	f.integrity(w, r)
	w.open("unmapped")
	f.callLeftovers(w, e, v)
	f.leftovers(w, r, e)
	w.close()
	w.close()
}

var (
	stableProfiles   = []string{"ai_operation", "security_control", "trace"}
	integrityProfile = []string{"record_integrity"}
	previewProfiles  = []string{"ai_operation", "record_integrity", "security_control", "trace"}
)

func (f *Format) profiles() []string {
	if f.schema == Preview {
		return previewProfiles
	}
	return stableProfiles
}

// sentence says in words what happened.
func sentence(e *audit.Event) string {
	words := make([]string, 0, 4)
	words = append(words, or(e.Method, "call"))
	if e.Name != "" {
		words = append(words, e.Name)
	}
	switch e.Kind {
	case audit.Attempt:
		words = append(words, "attempted")
	case audit.Suppressed:
		words = append(words, "refused repeatedly")
	default:
		words = append(words, or(string(e.Decision), "ended"))
	}
	if e.Code != "" {
		words[len(words)-1] += ":"
		words = append(words, e.Code)
	}
	return strings.Join(words, " ")
}

func (f *Format) messageContext(w *writer, e *audit.Event, service string) {
	w.open("message_context")
	w.enum("ai_role", role(e.Method))
	w.text("uid", e.Session)
	if e.Client != "" {
		w.open("application")
		w.text("name", e.Client)
		w.close()
	}
	f.named(w, service)
	w.close()
}

// role is whose part of the conversation the call asks for.
func role(method string) label {
	switch method {
	case "tools/call":
		return label{3, "Tool"}
	case "sampling/createMessage":
		return label{2, "Assistant"}
	case "elicitation/create":
		return label{1, "User"}
	case "resources/read":
		return label{6, "Retriever"}
	}
	return unknown
}

// traced appends the caller's trace. Its span is the caller's too, and OCSF wants to
// know when a span began and ended: so it goes to unmapped.
func traced(w *writer, e *audit.Event) {
	if e.Trace.ID == "" {
		return
	}
	w.open("trace")
	w.text("uid", e.Trace.ID)
	if e.Trace.Flags != "" {
		w.texts("flags", []string{e.Trace.Flags})
	}
	w.close()
}

// agent appends who acts for the subject: the current actor of the delegation
// chain (RFC 8693), or else the OAuth client.
func agent(w *writer, e *audit.Event) {
	uid := e.Principal.Client
	if len(e.Principal.Actors) > 0 {
		uid = e.Principal.Actors[0]
	}
	if uid == "" {
		return
	}
	w.open("ai_agent")
	w.text("uid", uid)
	w.enum("type", unknown)
	w.close()
}
