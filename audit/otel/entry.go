package otel

import (
	"math"
	"net/netip"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"

	"github.com/mcpsec/mcpsec-go/audit"
)

// An entry is a record on its way into the signals.
type entry struct {
	index  int // in the records given to Deliver
	record *audit.Record
	event  *audit.Event // nil for a checkpoint, and for a line that cannot be read
	body   string       // in the words of Config.Format
}

// clean makes a string fit for the attribute of a receiver that we know nothing of:
// control characters and what is not UTF-8 become U+FFFD. The body has it all.
func clean(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return r == utf8.RuneError || unicode.IsControl(r) }) {
		return s
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return utf8.RuneError
		}
		return r
	}, s)
}

func text(key, value string) *commonpb.KeyValue {
	return &commonpb.KeyValue{Key: key, Value: textValue(clean(value))}
}

func textValue(s string) *commonpb.AnyValue {
	return &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: s}}
}

// attributes are pairs of a key and a value; what is empty is left out.
func attributes(list []*commonpb.KeyValue, pairs ...string) []*commonpb.KeyValue {
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			list = append(list, text(pairs[i], pairs[i+1]))
		}
	}
	return list
}

// describe returns what logs and spans say of an event. It has nothing of the
// principal, the session or the arguments.
func describe(r *audit.Record, e *audit.Event) []*commonpb.KeyValue {
	list := attributes(make([]*commonpb.KeyValue, 0, 24),
		attrRecord, r.ID(), attrEvent, string(e.Kind), attrCall, e.ID, attrParent, e.Parent,
		attrDecision, string(e.Decision), attrCode, e.Code, attrControl, e.Control, attrDigest, e.Tool.Digest,
		attrMethod, e.Method, named[e.Method], target(e),
		attrTransport, transport(e), attrErrorType, errorType(e), attrStatusCode, statusCode(e))
	if named[e.Method] == attrTool {
		list = append(list, text(attrOperation, executeTool))
	}
	if a, err := netip.ParseAddrPort(e.Source.Address); err == nil {
		list = append(list, text(attrClientAddress, a.Addr().String()),
			&commonpb.KeyValue{Key: attrClientPort, Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_IntValue{IntValue: int64(a.Port())}}})
	}
	return list
}

// target is the name of the tool, prompt or resource that a method is about. That of
// a call in the other direction is only the name of the call it was made during.
func target(e *audit.Event) string {
	if named[e.Method] == "" {
		return ""
	}
	return e.Name
}

func transport(e *audit.Event) string {
	switch e.Source.Transport {
	case "stdio":
		return transportIPC
	case "http":
		return transportTCP
	}
	return ""
}

// statusCode is the JSON-RPC error code that a handler answered with, if it is in the
// record.
func statusCode(e *audit.Event) string {
	if code, ok := strings.CutPrefix(e.Detail, "JSON-RPC error "); ok && e.Decision == audit.Failed && e.Code == "" {
		return code
	}
	return ""
}

// errorType classifies an outcome that failed; the empty string says that it did not.
func errorType(e *audit.Event) string {
	switch e.Decision {
	case audit.Failed, audit.Refused, audit.Unknown:
	default:
		return ""
	}
	code := statusCode(e)
	fault, known := codes[code]
	switch {
	case e.Code != "":
		return e.Code
	case e.IsError:
		return toolError
	case known && !fault && !e.Outgoing:
		return ""
	case code != "":
		return code
	case e.Detail == "context canceled":
		return canceled
	case e.Detail == "context deadline exceeded":
		return timeout
	}
	return other
}

// nanos is a time as OTLP has it. What it cannot hold is 0, unknown.
func nanos(t time.Time) uint64 {
	if t.Before(time.Unix(0, 0)) || t.After(time.Unix(0, math.MaxInt64)) {
		return 0
	}
	return uint64(t.UnixNano())
}
