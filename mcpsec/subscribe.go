package mcpsec

import (
	"context"
	"fmt"
	"slices"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// maxSubscriptions bounds the resources of one subscriptions/listen.
const maxSubscriptions = 256

// hear narrows what a listener subscribes to: the SDK subscribes from inside
// subscriptions/listen, where no middleware sees it.
func (f *flight) hear(ctx context.Context, call *Call, r *mcp.SubscriptionsListenRequest) mcp.Request {
	if r.Params == nil || r.Params.Notifications == nil {
		return r
	}
	params := *r.Params
	wanted := *params.Notifications
	wanted.ResourceSubscriptions = nil
	if uris := r.Params.Notifications.ResourceSubscriptions; len(uris) > 0 {
		wanted.ResourceSubscriptions = f.mayHearOf(ctx, call, uris)
	}
	params.Notifications = &wanted
	return &mcp.SubscriptionsListenRequest{Session: r.Session, Params: &params, Extra: r.Extra}
}

// mayHearOf returns those of the resources to which the caller may subscribe, each
// once. It stops when the caller has left or is refused for asking too much.
func (f *flight) mayHearOf(ctx context.Context, call *Call, uris []string) (may []string) {
	offered := f.resources()
	asked := make(map[string]bool, len(uris))
	for _, uri := range uris {
		if asked[uri] {
			continue
		}
		asked[uri] = true
		err := f.decideSubscription(ctx, call, uri, offered)
		if d := AsDenial(err); ctx.Err() != nil || d != nil && d.Kind == Throttled {
			break
		}
		if err == nil {
			may = append(may, uri)
		}
	}
	return may
}

// decideSubscription decides about one subscription as about resources/subscribe.
func (f *flight) decideSubscription(ctx context.Context, call *Call, uri string, offered everything) error {
	sub := &flight{parent: ctx, guard: f.guard, req: f.req, frame: f.frame}
	c := &sub.call
	*c = *call
	c.flight, c.ID, c.Parent, c.Method, c.Name = sub, newID(f.guard.now()), call.ID, methodSubscribe, uri
	c.Arguments = nil
	sub.run = sub.onlyDecided
	sub.checkSubscription(uri, offered)
	_, err := f.guard.outer(sub, c)
	return err
}

// checkListen bounds the work that one message asks for.
func (f *flight) checkListen(p *mcp.SubscriptionsListenParams) {
	if p != nil && p.Notifications != nil && len(p.Notifications.ResourceSubscriptions) > maxSubscriptions {
		f.reject(codeMalformed.Deny(fmt.Sprintf("more than %d subscriptions at once", maxSubscriptions)))
	}
}

// checkSubscription refuses a subscription to what nobody could read: the SDK takes any URI
// and remembers it.
func (f *flight) checkSubscription(uri string, offered everything) {
	f.checkURI(uri)
	listed := slices.ContainsFunc(offered.Resources, func(r *mcp.Resource) bool { return r.URI == uri })
	if !listed && !f.guard.catalog.produces(offered.Templates, uri) {
		f.reject(codeUnknownResource.Deny("unknown resource"))
	}
}

// resources lists what the server offers to be read now; nothing if it cannot be asked.
func (f *flight) resources() everything {
	ss, ok := f.req.GetSession().(*mcp.ServerSession)
	if !ok || f.guard.sdk == nil {
		return everything{}
	}
	resources, err := listResources(f.parent, f.guard.sdk, ss)
	if err != nil {
		return everything{}
	}
	templates, err := listTemplates(f.parent, f.guard.sdk, ss)
	if err != nil {
		return everything{}
	}
	f.guard.catalog.learn(resources, templates)
	return everything{Resources: resources, Templates: templates}
}
