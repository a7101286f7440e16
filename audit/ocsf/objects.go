package ocsf

import (
	"github.com/mcpsec/mcpsec-go/audit"
	"github.com/mcpsec/mcpsec-go/internal/netaddr"
)

// actor appends who asked. What the other side says of itself is not here.
func (f *Format) actor(w *writer, e *audit.Event, v verdict) {
	p := &e.Principal
	w.open("actor")
	w.open("user")
	w.text("uid", p.Subject)
	if p.Subject == "" {
		w.text("name", or(p.Rung, "unknown"))
	}
	if p.Rung == "" {
		w.enum("type", unknown)
	} else {
		w.enum("type", label{99, p.Rung}) // OCSF's own types say user or service, which a token does not
	}
	if p.Tenant != "" {
		w.open("org")
		w.text("uid", p.Tenant)
		w.close()
	}
	w.close()
	if p.Issuer != "" {
		w.open("session")
		w.text("issuer", p.Issuer)
		w.close()
	}
	if f.schema == Compat {
		w.text("invoked_by", p.Client)
	} else {
		w.text("app_uid", p.Client)
	}
	if v.action != unknown {
		w.list("authorizations")
		w.element()
		if v.action == denied {
			w.text("decision", "denied")
		} else {
			w.text("decision", "allowed")
		}
		if e.Policy != "" {
			w.open("policy")
			w.text("uid", e.Policy)
			w.close()
		}
		w.close()
		w.end()
	}
	w.close()
}

// api appends what was asked for and answered. The operation is the method, which
// is a closed set to whoever filters by it; the tool is the resource.
func (f *Format) api(w *writer, r *audit.Record, e *audit.Event, service string) {
	w.open("api")
	w.text("operation", or(e.Method, "unknown"))
	f.named(w, service)

	w.open("request")
	w.text("uid", or(e.ID, r.ID()))
	if a := &e.Arguments; a.Bytes != 0 {
		w.open("data")
		w.size("bytes", a.Bytes)
		w.texts("keys", a.Keys)
		w.size("more", a.More)
		w.text("hmac", a.HMAC)
		if len(a.Clear) > 0 {
			w.open("clear")
			for _, v := range a.Clear {
				w.member(v.Path, v.JSON)
			}
			w.close()
		}
		w.texts("redacted", a.Redacted)
		w.close()
	}
	w.close()

	if e.Kind == audit.Outcome {
		w.open("response")
		w.text("error", e.Code)
		w.text("error_message", e.Reason)
		w.open("data")
		w.bool("is_error", e.IsError)
		w.size("bytes", e.Result.Bytes)
		w.text("digest", e.Result.Digest)
		w.close()
		w.close()
	}
	w.close()
}

// named appends the server as a service.
func (f *Format) named(w *writer, service string) {
	w.open("service")
	w.text("name", service)
	w.text("version", f.release)
	w.close()
}

// endpoints appends where the call came from, and for an outgoing one where it
// went.
func endpoints(w *writer, e *audit.Event, service string) {
	if !e.Outgoing {
		endpoint(w, "src_endpoint", e)
		return
	}
	w.open("src_endpoint")
	w.text("name", service)
	w.close()
	endpoint(w, "dst_endpoint", e)
}

// endpoint appends the other side. Standard input and output have no address, so
// they are an endpoint by name.
func endpoint(w *writer, name string, e *audit.Event) {
	w.open(name)
	defer w.close()
	address := e.Source.Address
	if address == "" && e.Principal.Rung == "address" {
		address = e.Principal.Subject
	}
	ip, port := netaddr.Parse(address)
	if !ip.IsValid() {
		w.text("name", or(address, e.Source.Transport, "unknown"))
		return
	}
	w.text("ip", ip.String())
	w.count("port", uint64(port))
}

// resources appends the tool, prompt or resource that was asked for.
func resources(w *writer, e *audit.Event) {
	if e.Name == "" {
		return
	}
	w.list("resources")
	w.element()
	w.text("name", e.Name)
	w.text("type", resourceType(e))
	w.text("version", e.Tool.Version)
	if e.Tool != (audit.Tool{}) {
		w.open("data")
		w.text("definition_digest", e.Tool.Digest)
		w.text("code_digest", e.Tool.Code)
		w.count("manifest", e.Tool.Manifest)
		w.close()
	}
	w.close()
	w.end()
}

// resourceType says what the name names. That of an outgoing call is of the call
// it is made for, and what that is the event does not say.
func resourceType(e *audit.Event) string {
	if e.Outgoing {
		return ""
	}
	switch e.Method {
	case "tools/call":
		return "mcp.tool"
	case "prompts/get":
		return "mcp.prompt"
	case "resources/read", "resources/subscribe", "resources/unsubscribe":
		return "mcp.resource"
	case "completion/complete":
		return "mcp.reference"
	}
	return ""
}
