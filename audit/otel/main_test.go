package otel

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	logscol "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	metricscol "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	tracecol "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"github.com/mcpsec/mcpsec-go/audit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// recordOf makes the line that a ledger has of an event.
func recordOf(seq uint64, e *audit.Event) audit.Record {
	line := fmt.Sprintf(`{"seq":%d,"prev":"%016x",`, seq, 0) + string(e.AppendJSON(nil))[1:]
	return audit.Record{Origin: "files", Seq: seq, Line: []byte(line)}
}

var noon = time.Date(2026, 11, 22, 12, 0, 0, 123456789, time.UTC)

func outcome(id string, d audit.Decision) *audit.Event {
	return &audit.Event{
		Kind: audit.Outcome, Time: noon, ID: id, Method: "tools/call", Name: "search", Decision: d, Latency: 250 * time.Millisecond,
		Principal: audit.Principal{Rung: "token", Issuer: "https://idp.example.com", Subject: "alice"},
		Source:    audit.Source{Transport: "http", Address: "203.0.113.7:51234"},
	}
}

// batch is n outcomes with the ids call-0, call-1, ...
func batch(n int) []audit.Record {
	records := make([]audit.Record, n)
	for i := range records {
		records[i] = recordOf(uint64(i), outcome("call-"+strconv.Itoa(i), audit.Allowed))
	}
	return records
}

var hostile = []string{
	"plain", "two\nlines", "nul\x00byte", "esc\x1b[2J", "tab\there", `"}],"injected":true`, `back\slash\u0041`, "U+2028\u2028end",
	"bidi\u202eevil", "c1\u0085next", "bad\xff\xfeutf8", "cut\xe2\x80", "tag\U000e0041", "emoji😀", strings.Repeat("x", 5000), "\ufffd",
}

// A collector is an OTLP receiver that decodes with the official types, and answers
// as a test wants.
type collector struct {
	// answer may take the place of an ordinary answer: it reports whether it did. n
	// counts the requests, from 1; items are those in this one.
	answer func(w http.ResponseWriter, r *http.Request, n, items int) bool

	mu       sync.Mutex
	requests int
	paths    []string
	headers  []http.Header
	logs     []*logspb.LogRecord // accepted
	spans    []*tracepb.Span
	metrics  []*metricspb.Metric
	resource *commonpb.KeyValue
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests++
	c.paths = append(c.paths, r.URL.Path)
	c.headers = append(c.headers, r.Header)
	body, err := c.body(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusTeapot)
		return
	}
	var (
		items    int
		keep     func()
		response proto.Message
	)
	switch r.URL.Path {
	case "/v1/logs":
		var m logscol.ExportLogsServiceRequest
		err, response = proto.UnmarshalOptions{}.Unmarshal(body, &m), &logscol.ExportLogsServiceResponse{}
		list := m.GetResourceLogs()[0].GetScopeLogs()[0].GetLogRecords()
		items, keep = len(list), func() {
			c.logs = append(c.logs, list...)
			c.resource = m.GetResourceLogs()[0].GetResource().GetAttributes()[0]
		}
	case "/v1/traces":
		var m tracecol.ExportTraceServiceRequest
		err, response = proto.Unmarshal(body, &m), &tracecol.ExportTraceServiceResponse{}
		list := m.GetResourceSpans()[0].GetScopeSpans()[0].GetSpans()
		items, keep = len(list), func() { c.spans = append(c.spans, list...) }
	case "/v1/metrics":
		var m metricscol.ExportMetricsServiceRequest
		err, response = proto.Unmarshal(body, &m), &metricscol.ExportMetricsServiceResponse{}
		list := m.GetResourceMetrics()[0].GetScopeMetrics()[0].GetMetrics()
		items, keep = len(list), func() { c.metrics = append(c.metrics, list...) }
	default:
		http.NotFound(w, r)
		return
	}
	if err != nil {
		http.Error(w, "malformed", http.StatusTeapot)
		return
	}
	if c.answer != nil && c.answer(w, r, c.requests, items) {
		return
	}
	keep()
	reply(w, response)
}

func (*collector) body(r *http.Request) ([]byte, error) {
	if r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/x-protobuf" {
		return nil, fmt.Errorf("%s of %s", r.Method, r.Header.Get("Content-Type"))
	}
	z, err := gzip.NewReader(r.Body)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

func reply(w http.ResponseWriter, m proto.Message) {
	b, err := proto.Marshal(m)
	if err != nil {
		http.Error(w, err.Error(), http.StatusTeapot)
		return
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
	_, _ = w.Write(b)
}

// ids are those of the log records that were accepted.
func (c *collector) ids() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	ids := make(map[string]int)
	for _, l := range c.logs {
		ids[values(l.GetAttributes())["mcpsec.record.id"]]++
	}
	return ids
}

// values are attributes as a map.
func values(list []*commonpb.KeyValue) map[string]string {
	m := make(map[string]string)
	for _, kv := range list {
		if _, twice := m[kv.GetKey()]; twice {
			m["twice"] = kv.GetKey()
		}
		switch v := kv.GetValue().GetValue().(type) {
		case *commonpb.AnyValue_StringValue:
			m[kv.GetKey()] = v.StringValue
		case *commonpb.AnyValue_IntValue:
			m[kv.GetKey()] = strconv.FormatInt(v.IntValue, 10)
		}
	}
	return m
}

// start serves the collector on a loopback port and returns a destination for it.
func (c *collector) start(t *testing.T, conf Config) *Destination {
	t.Helper()
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	conf.Endpoint = server.URL
	return destination(t, conf)
}

func destination(t *testing.T, conf Config) *Destination {
	t.Helper()
	d, err := New(conf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// inMemory connects a destination to the collector without a network, for tests with
// a clock of their own.
func (c *collector) inMemory(t *testing.T, conf Config) *Destination {
	t.Helper()
	conf.Endpoint = "https://collector.example:4318"
	d := destination(t, conf)
	d.client.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
		if err := r.Context().Err(); err != nil {
			return nil, err
		}
		w := httptest.NewRecorder()
		c.ServeHTTP(w, r)
		return w.Result(), nil
	})
	return d
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
