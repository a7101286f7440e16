package attest

import (
	"context"
	"slices"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// What the SDK has in its registry is asked for anew where no handler of the guard's tells
// who ran: whoever registers a name again leaves the definition that was sealed as it was.

const registeredAgain = "registered again after it was attested"

// unasked is the finding of a registry that cannot be looked at.
func unasked(err error) *finding {
	return &finding{code: codeNotSealed, reason: "this cannot be attested", detail: err.Error()}
}

// checkRegistered makes sure that the SDK would still use the attested definition, and so
// its handler.
func (s *sealedTool) checkRegistered(ctx context.Context, call *mcpsec.Call) *finding {
	now, err := call.Offered(ctx)
	if err != nil {
		return unasked(err)
	}
	i := slices.IndexFunc(now.Tools, func(t *mcpsec.Tool) bool { return t.Name == s.name })
	if i >= 0 && now.Tools[i].Definition != s.live {
		return s.trip(now.Tools[i].Definition)
	}
	return nil // or it is gone, and the SDK says so
}

// checkRegistered does the same for a prompt, resource or template.
func (e *sealedItem) checkRegistered(live any) *finding {
	if live == e.live {
		return nil
	}
	return e.wire.trip(codeMismatch, "this definition is not the reviewed one", e.kind+" "+e.name+" was "+registeredAgain)
}

// promptOf checks the prompt that the SDK would use for a call.
func (s *seal) promptOf(ctx context.Context, call *mcpsec.Call) *finding {
	if f := s.prompts.named(call.Name); f != nil {
		return f
	}
	now, err := call.Offered(ctx)
	if err != nil {
		return unasked(err)
	}
	if i := slices.IndexFunc(now.Prompts, func(p *mcp.Prompt) bool { return p.Name == call.Name }); i >= 0 {
		return s.prompts[call.Name].checkRegistered(now.Prompts[i])
	}
	return nil
}

// resourceOf checks the resource that the SDK would use for a call: the one of that URI,
// and otherwise one of the templates, all of which must then be attested ones.
func (s *seal) resourceOf(ctx context.Context, call *mcpsec.Call) *finding {
	if f := s.resource(call.Name); f != nil {
		return f
	}
	now, err := call.Offered(ctx)
	if err != nil {
		return unasked(err)
	}
	if i := slices.IndexFunc(now.Resources, func(r *mcp.Resource) bool { return r.URI == call.Name }); i >= 0 {
		if e := s.resources[call.Name]; e != nil {
			return e.checkRegistered(now.Resources[i])
		}
		return &finding{code: codeNotOffered, reason: "not offered"} // in the way of a template
	}
	for _, t := range now.Templates {
		e := s.templates[t.URITemplate]
		if e == nil {
			return &finding{code: codeNotOffered, reason: "not offered"}
		}
		if f := e.checkRegistered(t); f != nil {
			return f
		}
	}
	return nil
}
