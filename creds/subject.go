package creds

import "context"

type subjectKey struct{}

// WithSubject returns a context that carries the token with which the caller
// authenticated, for providers that exchange it (see [Request]). A transport calls it;
// handlers of tools cannot see it, also not through their context.
func WithSubject(ctx context.Context, token Value) context.Context {
	return context.WithValue(ctx, subjectKey{}, token)
}

// subject returns the token with which the caller authenticated. A tool that calls
// another hides it from its context, and its handle has it.
func (h *Handle) subject() Value {
	if token, ok := h.parent.Value(subjectKey{}).(Value); ok {
		return token
	}
	if outer, ok := h.parent.Value(handleKey{}).(*Handle); ok && outer != nil {
		return outer.subject()
	}
	return Value{}
}

// Subject is [WithSubject] for a transport that has the token as text.
func Subject(ctx context.Context, token string) context.Context {
	return WithSubject(ctx, NewValue([]byte(token)))
}
