package otel

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	logscol "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	metricscol "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	tracecol "go.opentelemetry.io/proto/otlp/collector/trace/v1"

	"github.com/mcpsec/mcpsec-go/audit"
)

func TestOneCallInAllSignals(t *testing.T) {
	t.Parallel()
	c := &collector{}
	d := c.start(t, Config{Resource: map[string]string{"service.name": "files-server"}})
	e := outcome("call-1", audit.Refused)
	e.Code, e.Control, e.Reason = "ratelimit.exceeded", "ratelimit", "too many calls"
	e.Trace = audit.Trace{ID: "4bf92f3577b34da6a3ce929d0e0e4736", Span: "00f067aa0ba902b7", Flags: "01"}
	e.Session = "19d2-secret-session"
	r := recordOf(7, e)
	if rejected, err := d.Deliver(t.Context(), []audit.Record{r}); err != nil || rejected != nil {
		t.Fatal(rejected, err)
	}
	if got := c.resource.GetValue().GetStringValue(); got != "files-server" {
		t.Errorf("service.name %q", got)
	}

	l := c.logs[0]
	if l.GetBody().GetStringValue() != string(r.Line) || l.GetSeverityText() != "WARN" || l.GetEventName() != "mcpsec.audit.outcome" ||
		l.GetTimeUnixNano() != uint64(noon.UnixNano()) || hex.EncodeToString(l.GetTraceId()) != e.Trace.ID {
		t.Errorf("log record %v", l)
	}
	want := map[string]string{
		"mcpsec.record.id": "files:7", "mcpsec.event": "outcome", "mcpsec.call.id": "call-1", "mcpsec.decision": "refused",
		"mcpsec.code": "ratelimit.exceeded", "mcpsec.control": "ratelimit", "mcp.method.name": "tools/call", "gen_ai.tool.name": "search",
		"gen_ai.operation.name": "execute_tool", "network.transport": "tcp", "error.type": "ratelimit.exceeded",
		"client.address": "203.0.113.7", "client.port": "51234",
	}
	s := c.spans[0]
	equal(t, "span", values(s.GetAttributes()), want)
	if s.GetName() != "tools/call search" || s.GetKind() != tracepb.Span_SPAN_KIND_SERVER || s.GetStatus().GetCode() != tracepb.Status_STATUS_CODE_ERROR ||
		s.GetStatus().GetMessage() != "too many calls" || s.GetEndTimeUnixNano()-s.GetStartTimeUnixNano() != uint64(250*time.Millisecond) ||
		hex.EncodeToString(s.GetParentSpanId()) != e.Trace.Span || s.GetFlags() != 0x301 || !slices.Equal(s.GetSpanId(), l.GetSpanId()) {
		t.Errorf("span %v", s)
	}
	want["mcpsec.principal.rung"], want["mcpsec.principal.issuer"], want["mcpsec.principal.subject"] = "token", "https://idp.example.com", "alice"
	equal(t, "log record", values(l.GetAttributes()), want)

	h := c.metrics[0]
	p := h.GetHistogram().GetDataPoints()[0]
	if h.GetName() != "mcp.server.operation.duration" || h.GetUnit() != "s" || p.GetSum() != 0.25 || p.GetCount() != 1 || p.GetBucketCounts()[5] != 1 ||
		h.GetHistogram().GetAggregationTemporality() != metricspb.AggregationTemporality_AGGREGATION_TEMPORALITY_DELTA {
		t.Errorf("histogram %v", h)
	}
	equal(t, "histogram", values(p.GetAttributes()), map[string]string{
		"mcp.method.name": "tools/call", "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "_OTHER",
		"network.transport": "tcp", "error.type": "ratelimit.exceeded",
	})
	// Who holds a session id may be able to use the session.
	for _, m := range []proto.Message{s, h} {
		if text := fmt.Sprint(m); strings.Contains(text, "secret-session") || strings.Contains(text, "alice") {
			t.Errorf("told too much: %s", text)
		}
	}
}

func equal(t *testing.T, what string, got, want map[string]string) {
	t.Helper()
	for key, v := range want {
		if got[key] != v {
			t.Errorf("%s: %s is %q, not %q", what, key, got[key], v)
		}
	}
	for key, v := range got {
		if _, ok := want[key]; !ok {
			t.Errorf("%s: unexpected %s=%q", what, key, v)
		}
	}
}

// What is encoded here as data is, byte for byte, what the collector's own types encode.
func TestDataHasTheEncodingOfTheRequests(t *testing.T) {
	t.Parallel()
	d := destination(t, Config{Endpoint: "https://collector.example"})
	r := recordOf(1, outcome("1", audit.Allowed))
	rejected := make(refusals)
	entries := []entry{d.read(0, &r, rejected)}
	encode := proto.MarshalOptions{Deterministic: true}
	for name, c := range map[string]struct{ ours, theirs proto.Message }{
		"logs":    {d.logs(entries), &logscol.ExportLogsServiceRequest{}},
		"traces":  {d.spans(entries), &tracecol.ExportTraceServiceRequest{}},
		"metrics": {d.metrics(entries), &metricscol.ExportMetricsServiceRequest{}},
	} {
		b, err := encode.Marshal(c.ours)
		if err != nil {
			t.Fatal(err)
		}
		if err := proto.Unmarshal(b, c.theirs); err != nil || len(c.theirs.ProtoReflect().GetUnknown()) > 0 {
			t.Fatalf("%s: %v", name, err)
		}
		again, err := encode.Marshal(c.theirs)
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("%s: differs (%v)", name, err)
		}
	}
}

func TestErrorType(t *testing.T) {
	t.Parallel()
	failed := func(detail string) audit.Event {
		return audit.Event{Kind: audit.Outcome, Decision: audit.Failed, Detail: detail}
	}
	outgoing := failed("JSON-RPC error -32601")
	outgoing.Outgoing = true
	for name, c := range map[string]struct {
		event          audit.Event
		want, wantCode string
	}{
		"allowed":               {audit.Event{Decision: audit.Allowed}, "", ""},
		"attempt":               {audit.Event{Kind: audit.Attempt}, "", ""},
		"refused":               {audit.Event{Decision: audit.Refused, Code: "allowlist.denied"}, "allowlist.denied", ""},
		"refused, without code": {audit.Event{Decision: audit.Refused}, "_OTHER", ""},
		"tool error":            {audit.Event{Decision: audit.Failed, IsError: true}, "tool_error", ""},
		"panic":                 {audit.Event{Decision: audit.Failed, Code: "guard.handler_panic"}, "guard.handler_panic", ""},
		"crash":                 {audit.Event{Decision: audit.Unknown}, "_OTHER", ""},
		"no such tool":          {failed("JSON-RPC error -32602"), "", "-32602"},
		"no such method":        {failed("JSON-RPC error -32601"), "", "-32601"},
		"parse error":           {failed("JSON-RPC error -32700"), "", "-32700"},
		"invalid request":       {failed("JSON-RPC error -32600"), "", "-32600"},
		"no such resource":      {failed("JSON-RPC error -32002"), "", "-32002"},
		"internal error":        {failed("JSON-RPC error -32603"), "-32603", "-32603"},
		"client has no method":  {outgoing, "-32601", "-32601"},
		"cancelled":             {failed("context canceled"), "canceled", ""},
		"timeout":               {failed("context deadline exceeded"), "timeout", ""},
		"any error":             {failed("error of type *fs.PathError"), "_OTHER", ""},
	} {
		if got, code := errorType(&c.event), statusCode(&c.event); got != c.want || code != c.wantCode {
			t.Errorf("%s: error.type %q and status code %q, not %q and %q", name, got, code, c.want, c.wantCode)
		}
	}
}

func TestSpanNamesAndKinds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		event audit.Event
		want  string
		kind  tracepb.Span_SpanKind
	}{
		"tool":     {audit.Event{Method: "tools/call", Name: "search"}, "tools/call search", tracepb.Span_SPAN_KIND_SERVER},
		"prompt":   {audit.Event{Method: "prompts/get", Name: "greet"}, "prompts/get greet", tracepb.Span_SPAN_KIND_SERVER},
		"resource": {audit.Event{Method: "resources/read", Name: "file:///etc/passwd"}, "resources/read", tracepb.Span_SPAN_KIND_SERVER},
		"list":     {audit.Event{Method: "tools/list"}, "tools/list", tracepb.Span_SPAN_KIND_SERVER},
		"sampling": {audit.Event{Method: "sampling/createMessage", Name: "search", Outgoing: true}, "sampling/createMessage", tracepb.Span_SPAN_KIND_CLIENT},
		"escape":   {audit.Event{Method: "tools/call", Name: "a\x1b[2J\nb"}, "tools/call a\ufffd[2J\ufffdb", tracepb.Span_SPAN_KIND_SERVER},
	} {
		s := span(&entry{record: &audit.Record{}, event: &c.event})
		if s.GetName() != c.want || s.GetKind() != c.kind {
			t.Errorf("%s: %q of kind %v", name, s.GetName(), s.GetKind())
		}
	}
}

func TestIdsComeFromTheCall(t *testing.T) {
	t.Parallel()
	call, again := &audit.Event{ID: "a"}, &audit.Event{ID: "a"}
	one, two := identify(call), identify(again)
	if !slices.Equal(one.span, two.span) || !slices.Equal(one.trace, two.trace) || len(one.span) != 8 || len(one.trace) != 16 {
		t.Error("the same call has other ids")
	}
	round := identify(&audit.Event{ID: "a", Round: 1})
	if slices.Equal(one.span, round.span) || !slices.Equal(one.trace, round.trace) {
		t.Error("a second round is a span of its own in the same trace")
	}
	child := identify(&audit.Event{ID: "b", Parent: "a"})
	if !slices.Equal(child.parent, one.span) || !slices.Equal(child.trace, one.trace) || child.remote {
		t.Error("a call made during another is not below it")
	}
	for _, bad := range []audit.Trace{
		{ID: strings.Repeat("0", 32), Span: "00f067aa0ba902b7"}, {ID: "4bf9", Span: "00f067aa0ba902b7"},
		{ID: strings.Repeat("x", 32), Span: "x"}, {ID: strings.Repeat("4b", 17)},
	} {
		if got := identify(&audit.Event{ID: "a", Trace: bad}); !slices.Equal(got.trace, one.trace) || got.parent != nil {
			t.Errorf("%v was taken for a trace", bad)
		}
	}
}

func TestSeverity(t *testing.T) {
	t.Parallel()
	for want, events := range map[logspb.SeverityNumber][]audit.Event{
		5:  {{Kind: audit.Log, Level: "DEBUG"}},
		9:  {{Kind: audit.Attempt}, {Decision: audit.Allowed}, {Kind: audit.Log, Level: "INFO"}, {Kind: audit.Log, Level: "LOUD"}, {Kind: "novel"}},
		13: {{Decision: audit.Refused}, {Kind: audit.Suppressed}, {Kind: audit.Recovery}, {Kind: audit.Pruned}, {Kind: audit.Log, Level: "WARN"}},
		17: {{Decision: audit.Failed}, {Decision: audit.Unknown}, {Kind: audit.Gap}, {Kind: audit.Log, Level: "ERROR"}},
		24: {{Kind: audit.Log, Level: "ERROR+1000"}},
		1:  {{Kind: audit.Log, Level: "DEBUG-1000"}},
	} {
		for i := range events {
			if got := severity(&events[i]); got != want {
				t.Errorf("%s %s %s: severity %d, not %d", events[i].Kind, events[i].Decision, events[i].Level, got, want)
			}
		}
	}
}

// A caller who can choose a label can make as many series as he likes.
func TestCallersChooseNoLabels(t *testing.T) {
	t.Parallel()
	d := destination(t, Config{Endpoint: "https://collector.example"})
	var entries []entry
	for i := range 3000 {
		e := outcome(strconv.Itoa(i), audit.Failed)
		n := strconv.Itoa(i)
		e.Detail, e.Name = "JSON-RPC error "+n, "invented-"+n
		e.Principal.Subject, e.Session, e.Client, e.Source.Address = n, n, n, "10.0.0.1:"+n
		switch i % 3 {
		case 1:
			e.Method = "invented/" + n
		case 2:
			e.Method, e.Name, e.Decision = "resources/read", "file:///"+n, audit.Allowed
		}
		entries = append(entries, entry{record: &audit.Record{}, event: e})
	}
	for _, m := range d.metrics(entries).(*metricspb.MetricsData).GetResourceMetrics()[0].GetScopeMetrics()[0].GetMetrics() {
		if n := len(m.GetHistogram().GetDataPoints()) + len(m.GetSum().GetDataPoints()); n > 3 {
			t.Errorf("%s has %d series:\n%v", m.GetName(), n, m)
		}
	}
	// Names become labels when they are known to exist, up to a bound.
	for i := range maxTargets + 100 {
		e := outcome("1", audit.Allowed)
		e.Name = "tool-" + strconv.Itoa(i)
		if got := d.known(e); (got == e.Name) != (i < maxTargets) {
			t.Fatalf("tool %d is %q", i, got)
		}
	}
	e := outcome("1", audit.Failed)
	if e.Name = "tool-0"; d.known(e) != "tool-0" {
		t.Error("a known tool that fails has lost its name")
	}
}

func TestMeasurements(t *testing.T) {
	t.Parallel()
	d := destination(t, Config{Endpoint: "https://collector.example"})
	var entries []entry
	take := func(e *audit.Event) { entries = append(entries, entry{record: &audit.Record{}, event: e}) }
	for i, l := range []time.Duration{0, 10 * time.Millisecond, 10*time.Millisecond + 1, 400 * time.Second, -time.Second} {
		e := outcome("1", audit.Allowed)
		e.Latency, e.Time = l, noon.Add(time.Duration(i)*time.Second)
		take(e)
	}
	crashed := outcome("2", audit.Unknown)
	crashed.Latency = time.Hour
	take(crashed)
	ask := outcome("3", audit.Allowed)
	ask.Method, ask.Outgoing = "elicitation/create", true
	take(ask)
	take(&audit.Event{Kind: audit.Gap, Time: noon, Count: 41})
	take(&audit.Event{Kind: audit.Gap, Time: noon, Count: math.MaxUint64})
	take(&audit.Event{Kind: audit.Suppressed, Time: noon, Count: 12})

	got := make(map[string]*metricspb.Metric)
	for _, m := range d.metrics(entries).(*metricspb.MetricsData).GetResourceMetrics()[0].GetScopeMetrics()[0].GetMetrics() {
		got[m.GetName()] = m
	}
	p := got["mcp.server.operation.duration"].GetHistogram().GetDataPoints()[0]
	counts := make([]uint64, 15)
	counts[0], counts[1], counts[14] = 3, 1, 1
	if !slices.Equal(p.GetBucketCounts(), counts) || p.GetCount() != 5 || p.GetMin() != 0 || p.GetMax() != 400 ||
		!slices.Equal(p.GetExplicitBounds(), []float64{0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300}) ||
		p.GetStartTimeUnixNano() != uint64(noon.UnixNano()) || p.GetTimeUnixNano() != uint64(noon.Add(4*time.Second).UnixNano()) {
		t.Errorf("histogram %v", p)
	}
	if n := got["mcp.client.operation.duration"].GetHistogram().GetDataPoints()[0].GetCount(); n != 1 {
		t.Errorf("%d operations of the client", n)
	}
	for name, want := range map[string]int64{"mcpsec.audit.lost": math.MaxInt64, "mcpsec.audit.suppressed": 12} {
		if n := got[name].GetSum().GetDataPoints()[0].GetAsInt(); n != want || !got[name].GetSum().GetIsMonotonic() {
			t.Errorf("%s is %d", name, n)
		}
	}
	total := int64(0)
	for _, p := range got["mcpsec.audit.records"].GetSum().GetDataPoints() {
		total += p.GetAsInt()
	}
	if total != int64(len(entries)) {
		t.Errorf("%d records counted of %d", total, len(entries))
	}
}

func TestTimesThatOTLPCannotHold(t *testing.T) {
	t.Parallel()
	for _, at := range []time.Time{{}, time.Unix(-1, 0), time.Date(3000, 1, 1, 0, 0, 0, 0, time.UTC)} {
		if got := nanos(at); got != 0 {
			t.Errorf("%v is %d", at, got)
		}
	}
}

func FuzzMapping(f *testing.F) {
	for _, h := range hostile {
		f.Add(h, h, int64(1000))
	}
	d, err := New(Config{Endpoint: "https://collector.example"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, a, b string, latency int64) {
		e := outcome(a, audit.Failed)
		e.Name, e.Principal.Subject, e.Reason, e.Detail, e.Method, e.Latency = b, a, b, a, "tools/call", time.Duration(latency)
		r := recordOf(1, e)
		rejected := make(refusals)
		n := d.read(0, &r, rejected)
		if n.event == nil || len(rejected) > 0 {
			t.Fatal("not read", rejected)
		}
		var logs logscol.ExportLogsServiceRequest
		var spans tracecol.ExportTraceServiceRequest
		var metrics metricscol.ExportMetricsServiceRequest
		for ours, theirs := range map[proto.Message]proto.Message{
			d.logs([]entry{n}): &logs, d.spans([]entry{n}): &spans, d.metrics([]entry{n}): &metrics,
		} {
			encoded, err := proto.Marshal(ours)
			if err != nil {
				t.Fatal(err)
			}
			if err := proto.Unmarshal(encoded, theirs); err != nil {
				t.Fatal(err)
			}
		}
		l := logs.GetResourceLogs()[0].GetScopeLogs()[0].GetLogRecords()[0]
		if l.GetBody().GetStringValue() != string(r.Line) {
			t.Error("the body is not the record")
		}
		got := values(l.GetAttributes())
		for key, want := range map[string]string{"gen_ai.tool.name": b, "mcpsec.principal.subject": a, "mcpsec.call.id": a} {
			want = strings.Map(func(r rune) rune {
				if unicode.IsControl(r) {
					return '\ufffd'
				}
				return r
			}, string([]rune(want)))
			if got[key] != want {
				t.Errorf("%s is %q, not %q", key, got[key], want)
			}
		}
		s := spans.GetResourceSpans()[0].GetScopeSpans()[0].GetSpans()[0]
		if s.GetStartTimeUnixNano() > s.GetEndTimeUnixNano() {
			t.Errorf("the span begins after its end")
		}
	})
}

func BenchmarkMapping(b *testing.B) {
	d, err := New(Config{Endpoint: "https://collector.example"})
	if err != nil {
		b.Fatal(err)
	}
	records := batch(500)
	b.ReportAllocs()
	for b.Loop() {
		rejected := make(refusals)
		entries := make([]entry, len(records))
		for i := range records {
			entries[i] = d.read(i, &records[i], rejected)
		}
		for _, m := range []proto.Message{d.logs(entries), d.spans(entries), d.metrics(entries)} {
			if _, err := d.encode(m); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(records)), "ns/record")
}
