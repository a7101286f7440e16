package mcpsec

import (
	"context"
	"fmt"
	"slices"
	"strings"

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
		offered := f.resources()
		wanted.ResourceSubscriptions = slices.DeleteFunc(slices.Clone(uris), func(uri string) bool {
			return !f.maySubscribe(ctx, call, uri, offered)
		})
	}
	params.Notifications = &wanted
	return &mcp.SubscriptionsListenRequest{Session: r.Session, Params: &params, Extra: r.Extra}
}

// maySubscribe decides about one subscription as about resources/subscribe.
func (f *flight) maySubscribe(ctx context.Context, call *Call, uri string, offered everything) bool {
	sub := &flight{parent: ctx, guard: f.guard, req: f.req, frame: f.frame}
	c := &sub.call
	*c = *call
	c.flight, c.ID, c.Parent, c.Method, c.Name = sub, newID(f.guard.now()), call.ID, methodSubscribe, uri
	c.Arguments = nil
	sub.run = func(context.Context, *Call) (mcp.Result, error) { return &decided{}, nil }
	sub.checkSubscription(uri, offered)
	_, err := f.guard.outer(sub, c)
	return err == nil
}

// checkListen bounds the work that one message asks for.
func (f *flight) checkListen(p *mcp.SubscriptionsListenParams) {
	if p != nil && p.Notifications != nil && len(p.Notifications.ResourceSubscriptions) > maxSubscriptions {
		f.reject(codeMalformed.Deny(fmt.Sprintf("more than %d subscriptions at once", maxSubscriptions)))
	}
}

// checkSubscription refuses a subscription to what the server cannot offer: the
// SDK takes any URI and remembers it.
func (f *flight) checkSubscription(uri string, offered everything) {
	f.checkURI(uri)
	listed := slices.ContainsFunc(offered.Resources, func(r *mcp.Resource) bool { return r.URI == uri })
	if !listed && !slices.ContainsFunc(offered.Templates, func(t *mcp.ResourceTemplate) bool {
		literal, _, _ := strings.Cut(t.URITemplate, "{")
		return literal != "" && strings.HasPrefix(uri, literal)
	}) {
		f.reject(codeUnknownResource.Deny("unknown resource"))
	}
}

// resources lists what the server offers now; nothing if it cannot be asked.
func (f *flight) resources() everything {
	ss, ok := f.req.GetSession().(*mcp.ServerSession)
	if !ok || f.guard.sdk == nil {
		return everything{}
	}
	all, err := listEverything(f.parent, f.guard.sdk, ss)
	if err != nil {
		return everything{}
	}
	return all
}
