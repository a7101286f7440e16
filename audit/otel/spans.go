package otel

import (
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// spans makes the request body for the spans of entries, which are outcomes.
func (d *Destination) spans(entries []entry) proto.Message {
	list := make([]*tracepb.Span, len(entries))
	for i := range entries {
		list[i] = span(&entries[i])
	}
	return &tracepb.TracesData{ResourceSpans: []*tracepb.ResourceSpans{{
		Resource:   d.resource,
		ScopeSpans: []*tracepb.ScopeSpans{{Scope: scope, Spans: list}},
	}}}
}

func span(n *entry) *tracepb.Span {
	e := n.event
	id := identify(e)
	s := &tracepb.Span{
		TraceId: id.trace, SpanId: id.span, ParentSpanId: id.parent, Flags: id.flags | remoteKnown,
		Name: clean(e.Method), Kind: tracepb.Span_SPAN_KIND_SERVER,
		StartTimeUnixNano: nanos(e.Time.Add(-max(0, e.Latency))), EndTimeUnixNano: nanos(e.Time),
		Attributes: describe(n.record, e),
	}
	if id.remote {
		s.Flags |= remoteYes
	}
	if e.Outgoing {
		s.Kind = tracepb.Span_SPAN_KIND_CLIENT
	}
	// A URI would make a name of its own of each resource.
	if name := target(e); name != "" && named[e.Method] != attrURI {
		s.Name += " " + clean(name)
	}
	if errorType(e) != "" {
		s.Status = &tracepb.Status{Code: tracepb.Status_STATUS_CODE_ERROR, Message: clean(e.Reason)}
	}
	return s
}
