package otel

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	logscol "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	metricscol "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	tracecol "go.opentelemetry.io/proto/otlp/collector/trace/v1"

	"github.com/mcpsec/mcpsec-go/audit"
)

func TestEveryRecordArrives(t *testing.T) {
	t.Parallel()
	c := &collector{}
	d := c.start(t, Config{})
	records := append(batch(500),
		recordOf(500, &audit.Event{Kind: audit.Attempt, Time: noon, ID: "x"}),
		recordOf(501, &audit.Event{Kind: "of a later version", Time: noon}),
		audit.Record{Origin: "files", Seq: 502, Line: []byte(`{"seq":502,"damaged`)},
		audit.Record{Origin: "files", Seq: 503, Checkpoint: "files\n503\nroot=\n\n— files sig\n"})
	if rejected, err := d.Deliver(t.Context(), records); err != nil || rejected != nil {
		t.Fatal(rejected, err)
	}
	ids := c.ids()
	for i := range records {
		if ids[records[i].ID()] != 1 {
			t.Errorf("record %s came %d times", records[i].ID(), ids[records[i].ID()])
		}
	}
	if last := c.logs[503]; last.GetEventName() != "mcpsec.audit.checkpoint" || !strings.Contains(last.GetBody().GetStringValue(), `"checkpoint":"files\n503`) {
		t.Errorf("checkpoint %v", last)
	}
	if damaged := c.logs[502]; damaged.GetEventName() != "mcpsec.audit.unreadable" || damaged.GetSeverityText() != "ERROR" {
		t.Errorf("unreadable %v", damaged)
	}
	if len(c.spans) != 500 {
		t.Errorf("%d spans of 500 outcomes", len(c.spans))
	}
}

func TestSignalsChosen(t *testing.T) {
	t.Parallel()
	for signals, want := range map[Signals]string{
		0: "/v1/logs /v1/traces /v1/metrics", Logs: "/v1/logs", Spans: "/v1/traces", Metrics: "/v1/metrics", Logs | Metrics: "/v1/logs /v1/metrics",
	} {
		c := &collector{}
		if _, err := c.start(t, Config{Signals: signals}).Deliver(t.Context(), batch(3)); err != nil || strings.Join(c.paths, " ") != want {
			t.Errorf("%v: %v %v", signals, c.paths, err)
		}
	}
	c := &collector{}
	attempts := []audit.Record{recordOf(0, &audit.Event{Kind: audit.Attempt, Time: noon, ID: "x"})}
	if _, err := c.start(t, Config{Signals: Spans}).Deliver(t.Context(), attempts); err != nil || len(c.paths) != 0 {
		t.Errorf("an empty request was sent: %v %v", c.paths, err)
	}
}

// A receiver that is busy is asked again, not before it wants, and not after the
// deadline.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status  int
		header  func() string
		timeout time.Duration
		waits   time.Duration
		fails   bool
	}{
		"503, 10 s":                    {503, func() string { return "10" }, 30 * time.Second, 10 * time.Second, false},
		"429, 2 s":                     {429, func() string { return "2" }, 30 * time.Second, 2 * time.Second, false},
		"502, at a date":               {502, func() string { return time.Now().Add(7 * time.Second).UTC().Format(http.TimeFormat) }, 30 * time.Second, 7 * time.Second, false},
		"504, no time at all":          {504, func() string { return "0" }, 30 * time.Second, time.Second, false},
		"503, later than the deadline": {503, func() string { return "31" }, 30 * time.Second, 0, true},
		"503, an hour":                 {503, func() string { return "3600" }, 30 * time.Second, 0, true},
		"503, for ever":                {503, func() string { return "999999999999999999" }, 30 * time.Second, 0, true},
		"503 without":                  {503, func() string { return "" }, 30 * time.Second, 0, true},
		"500 is not asked again":       {500, func() string { return "1" }, 30 * time.Second, 0, true},
		"401 is not asked again":       {401, func() string { return "1" }, 30 * time.Second, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				col := &collector{answer: func(w http.ResponseWriter, _ *http.Request, n, _ int) bool {
					if n == 1 {
						w.Header().Set("Retry-After", c.header())
						w.WriteHeader(c.status)
					}
					return n == 1
				}}
				d := col.inMemory(t, Config{})
				ctx, cancel := context.WithTimeout(t.Context(), c.timeout)
				defer cancel()
				start := time.Now()
				rejected, err := d.Deliver(ctx, batch(3))
				if took := time.Since(start); (err != nil) != c.fails || rejected != nil || took != c.waits {
					t.Errorf("%v, %v after %v", rejected, err, took)
				}
				if !c.fails && len(col.ids()) != 3 {
					t.Errorf("%v arrived", col.ids())
				}
			})
		})
	}
}

// What the receiver asked for outlasts one delivery, but not for ever.
func TestRetryAfterIsRemembered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &collector{answer: func(w http.ResponseWriter, _ *http.Request, n, _ int) bool {
			if n == 1 {
				w.Header().Set("Retry-After", "86400")
				w.WriteHeader(http.StatusTooManyRequests)
			}
			return n == 1
		}}
		d := c.inMemory(t, Config{})
		start := time.Now()
		tries := 0
		for {
			tries++
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			_, err := d.Deliver(ctx, batch(3))
			cancel()
			if err == nil {
				break
			}
			time.Sleep(10 * time.Second) //nolint:forbidigo // the clock is the test's own
		}
		if took := time.Since(start); took != maxRest || c.requests != 4 {
			t.Errorf("%d tries in %v, %d requests", tries, took, c.requests)
		}
	})
}

func TestPartialSuccessIsCounted(t *testing.T) {
	t.Parallel()
	partial := func(logs, spans, points int64) *collector {
		return &collector{answer: func(w http.ResponseWriter, r *http.Request, _, _ int) bool {
			switch r.URL.Path {
			case "/v1/logs":
				reply(w, &logscol.ExportLogsServiceResponse{PartialSuccess: &logscol.ExportLogsPartialSuccess{
					RejectedLogRecords: logs, ErrorMessage: "alice's secret is too long",
				}})
			case "/v1/traces":
				reply(w, &tracecol.ExportTraceServiceResponse{PartialSuccess: &tracecol.ExportTracePartialSuccess{RejectedSpans: spans}})
			default:
				reply(w, &metricscol.ExportMetricsServiceResponse{PartialSuccess: &metricscol.ExportMetricsPartialSuccess{RejectedDataPoints: points}})
			}
			return true
		}}
	}
	for name, c := range map[string]struct {
		logs, spans, points int64
		want                int
		reason              string
	}{
		"a warning only":      {0, 0, 0, 0, ""},
		"some logs":           {3, 0, 0, 3, "took a batch of 10 but for 3, without saying which; this log record may be one of them"},
		"all logs":            {10, 0, 0, 10, "rejected its log record"},
		"more than there are": {1 << 40, 0, 0, 10, "rejected its log record"},
		"spans":               {0, 2, 0, 2, "this span may be"},
		"measurements":        {0, 0, 1, 1, "this measurement may be"},
		"all three":           {4, 2, 1, 4, "; "},
	} {
		rejected, err := partial(c.logs, c.spans, c.points).start(t, Config{}).Deliver(t.Context(), batch(10))
		if err != nil || len(rejected) != c.want {
			t.Errorf("%s: %v %v", name, rejected, err)
			continue
		}
		for i, r := range rejected {
			if i > 0 && r.Index <= rejected[i-1].Index || strings.Contains(r.Reason, "secret") {
				t.Errorf("%s: %v", name, rejected)
			}
		}
		if c.want > 0 && !strings.Contains(rejected[c.want-1].Reason, c.reason) {
			t.Errorf("%s: %q", name, rejected[c.want-1].Reason)
		}
	}
	if _, err := partial(-1, 0, 0).start(t, Config{}).Deliver(t.Context(), batch(10)); err == nil {
		t.Error("a negative number was taken for one")
	}
}

// A batch that is too large is sent in parts, and only what is too large by itself is
// rejected.
func TestTooLargeIsSplit(t *testing.T) {
	t.Parallel()
	c := &collector{answer: func(w http.ResponseWriter, r *http.Request, _, items int) bool {
		tooLarge := items > 30 && r.URL.Path != "/v1/metrics"
		if tooLarge {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
		}
		return tooLarge
	}}
	rejected, err := c.start(t, Config{}).Deliver(t.Context(), batch(500))
	if err != nil || rejected != nil || len(c.spans) != 500 {
		t.Fatal(rejected, err, len(c.spans))
	}
	for id, n := range c.ids() {
		if n != 1 {
			t.Errorf("%s came %d times", id, n)
		}
	}
	if n := len(c.ids()); n != 500 {
		t.Errorf("%d of 500 arrived", n)
	}
	for i, l := range c.logs { // their order is kept
		if got := values(l.GetAttributes())["mcpsec.record.id"]; got != fmt.Sprintf("files:%d", i) {
			t.Fatalf("%s is number %d", got, i)
		}
	}
}

func TestPoisonDoesNotTakeOthersAlong(t *testing.T) {
	t.Parallel()
	for _, status := range []int{400, 413, 422} {
		c := &collector{}
		d := c.inMemory(t, Config{Signals: Logs})
		next := d.client.Transport
		records := batch(500)
		poison := outcome("poison", audit.Allowed)
		records[123] = recordOf(123, poison)
		d.format = marking{}
		posts := 0
		d.client.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
			posts++
			body, err := r.GetBody()
			if err != nil {
				return nil, err
			}
			r2 := r.Clone(r.Context())
			r2.Body = body
			plain, err := c.body(r2)
			if err != nil {
				return nil, err
			}
			if strings.Contains(string(plain), "POISON") {
				w := httptest.NewRecorder()
				w.WriteHeader(status)
				_, _ = w.WriteString("cannot take POISON of alice")
				return w.Result(), nil
			}
			return next.RoundTrip(r)
		})
		rejected, err := d.Deliver(t.Context(), records)
		if err != nil || len(rejected) != 1 || rejected[0].Index != 123 || strings.Contains(rejected[0].Reason, "alice") ||
			!strings.Contains(rejected[0].Reason, fmt.Sprintf("HTTP status %d", status)) {
			t.Fatal(status, rejected, err)
		}
		if n := len(c.ids()); n != 499 || posts > 20 {
			t.Errorf("%d: %d of 499 arrived, with %d requests", status, n, posts)
		}
	}
}

// marking is JSON with a mark on one record.
type marking struct{}

func (marking) MediaType() string { return "application/json" }
func (marking) AppendRecord(b []byte, r *audit.Record) ([]byte, error) {
	if strings.Contains(string(r.Line), `"id":"poison"`) {
		b = append(b, "POISON "...)
	}
	return append(b, r.Line...), nil
}

// A receiver that calls everything malformed costs a bounded number of requests.
func TestRefusalOfEverythingIsBounded(t *testing.T) {
	t.Parallel()
	c := &collector{answer: func(w http.ResponseWriter, _ *http.Request, _, _ int) bool {
		w.WriteHeader(http.StatusBadRequest)
		return true
	}}
	rejected, err := c.start(t, Config{}).Deliver(t.Context(), batch(500))
	if err != nil || len(rejected) != 500 || c.requests > 3*(2*maxSplits+1) {
		t.Errorf("%d rejected, %v, %d requests", len(rejected), err, c.requests)
	}
}

// What says nothing about the records rejects none of them.
func TestFaultsThatAreNotTheRecords(t *testing.T) {
	t.Parallel()
	answer := func(status int, media, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", media)
			w.Header().Set("Location", "/secret-place")
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}
	}
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"credentials revoked":      {answer(401, "text/plain", "secret"), "Config.Header"},
		"forbidden":                {answer(403, "text/plain", "secret"), "Config.Header"},
		"another path":             {answer(404, "text/html", "secret"), "Config.Endpoint"},
		"no POST":                  {answer(405, "text/plain", "secret"), "Config.Signals"},
		"broken":                   {answer(500, "text/plain", "secret"), "500"},
		"no gzip":                  {answer(415, "text/plain", "secret"), "415"},
		"moved":                    {answer(308, "text/plain", "secret"), "redirects"},
		"found":                    {answer(302, "text/plain", "secret"), "redirects"},
		"captive portal":           {answer(200, "text/html", "<html>secret</html>"), "OTLP receiver"},
		"garbage":                  {answer(200, "application/x-protobuf", "\xff\xff\xff\xffsecret"), "OTLP receiver"},
		"cut short":                {answer(200, "application/x-protobuf", "\x0a\x05\x08"), "OTLP receiver"},
		"wrong type of field":      {answer(200, "application/x-protobuf", "\x08\x01"), "OTLP receiver"},
		"wrong type of number":     {answer(200, "application/x-protobuf", "\x0a\x02\x0a\x00"), "OTLP receiver"},
		"answers in JSON":          {answer(200, "application/json", `{"partialSuccess":{"rejectedLogRecords":"3"}}`), "OTLP receiver"},
		"endless answer":           {answer(200, "application/x-protobuf", strings.Repeat("\x12\x00", maxAnswer)), "OTLP receiver"},
		"closes without an answer": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(c.answer)
			defer server.Close()
			d := destination(t, Config{Endpoint: server.URL, Header: token})
			rejected, err := d.Deliver(t.Context(), batch(3))
			d.Close()
			if err == nil || rejected != nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "audit/otel: ") {
				t.Errorf("%v, %v", rejected, err)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("told too much: %v", err)
			}
		})
	}
}

func token(context.Context) (http.Header, error) {
	return http.Header{"Authorization": {"Bearer secret"}, "content-type": {"text/plain"}, "X-Tenant": {"a", "b"}}, nil
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	c := &collector{}
	if _, err := c.start(t, Config{Header: token}).Deliver(t.Context(), batch(1)); err != nil {
		t.Fatal(err)
	}
	for _, h := range c.headers {
		if h.Get("Authorization") != "Bearer secret" || len(h.Values("X-Tenant")) != 2 || len(h.Values("Content-Type")) != 1 {
			t.Errorf("headers %v", h)
		}
	}
	broken := errors.New("no token")
	d := c.start(t, Config{Header: func(context.Context) (http.Header, error) { return nil, broken }})
	if _, err := d.Deliver(t.Context(), batch(1)); !errors.Is(err, broken) {
		t.Error(err)
	}
}

// Headers go to nobody that the receiver names.
func TestRedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	thief := &collector{}
	elsewhere := httptest.NewServer(thief)
	defer elsewhere.Close()
	server := httptest.NewServer(http.RedirectHandler(elsewhere.URL+"/v1/logs", http.StatusTemporaryRedirect))
	defer server.Close()
	d := destination(t, Config{Endpoint: server.URL, Header: token})
	if _, err := d.Deliver(t.Context(), batch(1)); err == nil || thief.requests != 0 {
		t.Errorf("%v, %d requests", err, thief.requests)
	}
	d.Close()
}

func TestHangEndsWithTheContext(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-ended }))
	defer server.Close()
	defer close(ended)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	d := destination(t, Config{Endpoint: server.URL})
	if _, err := d.Deliver(ctx, batch(1)); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

// Nobody's deadline is longer than a minute.
func TestHangWithoutDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := destination(t, Config{Endpoint: "https://collector.example"})
		d.client.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		start := time.Now()
		_, err := d.Deliver(t.Context(), batch(1))
		if took := time.Since(start); err == nil || took != time.Minute {
			t.Errorf("%v after %v", err, took)
		}
	})
}

// What fails after the logs were taken comes again with the same ids.
func TestSpansFailAndComeAgain(t *testing.T) {
	t.Parallel()
	c := &collector{answer: func(w http.ResponseWriter, r *http.Request, n, _ int) bool {
		if n == 2 {
			w.WriteHeader(http.StatusInternalServerError)
		}
		return n == 2
	}}
	d := c.start(t, Config{})
	if _, err := d.Deliver(t.Context(), batch(5)); err == nil {
		t.Fatal("spans that were not taken count as delivered")
	}
	if _, err := d.Deliver(t.Context(), batch(5)); err != nil {
		t.Fatal(err)
	}
	for id, n := range c.ids() {
		if n != 2 {
			t.Errorf("%s came %d times", id, n)
		}
	}
	if len(c.spans) != 5 || len(c.metrics) != 2 {
		t.Errorf("%d spans and %d metrics", len(c.spans), len(c.metrics))
	}
}

func TestReceiverIsVerified(t *testing.T) {
	t.Parallel()
	c := &collector{}
	server := httptest.NewUnstartedServer(c)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	stranger := destination(t, Config{Endpoint: server.URL})
	if _, err := stranger.Deliver(t.Context(), batch(1)); err == nil || !strings.Contains(err.Error(), "certificate") || c.requests != 0 {
		t.Errorf("%v, %d requests", err, c.requests)
	}
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	d := destination(t, Config{Endpoint: server.URL, TLS: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS13}})
	if _, err := d.Deliver(t.Context(), batch(1)); err != nil || c.requests != 3 {
		t.Errorf("%v, %d requests", err, c.requests)
	}
	d.Close()
}

func TestPlainHTTPStaysHere(t *testing.T) {
	t.Parallel()
	for _, endpoint := range []string{"http://192.0.2.1:4318", "http://[2001:db8::1]:4318"} {
		d := destination(t, Config{Endpoint: endpoint})
		if _, err := d.Deliver(t.Context(), batch(1)); err == nil || !strings.Contains(err.Error(), "Config.InsecureHTTP") {
			t.Errorf("%s: %v", endpoint, err)
		}
	}
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	d := destination(t, Config{Endpoint: "https://collector.invalid:4318"})
	if _, err := d.Deliver(ctx, batch(1)); err == nil || !strings.Contains(err.Error(), "collector.invalid") {
		t.Error(err)
	}
}

type unwritable struct{ text string }

func (unwritable) MediaType() string { return "text/plain" }
func (f unwritable) AppendRecord(b []byte, _ *audit.Record) ([]byte, error) {
	if f.text == "" {
		return b, errors.New("no")
	}
	return append(b, f.text...), nil
}

func TestFormatThatBreaksItsPromiseIsRejected(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "bad\xff"} {
		c := &collector{}
		rejected, err := c.start(t, Config{Format: unwritable{text}}).Deliver(t.Context(), batch(2))
		if err != nil || len(rejected) != 2 || len(c.logs) != 0 || len(c.spans) != 2 {
			t.Errorf("%q: %v %v", text, rejected, err)
		}
	}
}

func TestConfigFaultsAllAtOnce(t *testing.T) {
	t.Parallel()
	_, err := New(Config{Endpoint: "collector:4318", TLS: &tls.Config{MinVersion: tls.VersionTLS10}, Signals: 8})
	if err == nil {
		t.Fatal("no fault found")
	}
	for _, field := range []string{"Endpoint", "TLS", "Signals"} {
		if !strings.Contains(err.Error(), "audit/otel: Config."+field+": ") {
			t.Errorf("%s is not named in:\n%v", field, err)
		}
	}
	for _, endpoint := range []string{
		"", "ftp://host", "https://", "https://user:secret@host", "https://host?key=secret", "https://host#secret", "https://ho st/secret", ":secret",
	} {
		if _, err := New(Config{Endpoint: endpoint}); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", endpoint, err)
		}
	}
}

// gRPC is a test's business.
func TestLinksNoGRPC(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	deps := strings.Fields(string(out))
	if len(deps) < 100 {
		t.Fatalf("only %d packages listed", len(deps))
	}
	for _, dep := range deps {
		if strings.HasPrefix(dep, "google.golang.org/grpc") || strings.Contains(dep, "grpc-gateway") || strings.Contains(dep, "otlp/collector") {
			t.Errorf("links %s", dep)
		}
	}
}

// The answers of all three signals are read as the official types have them.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("\x0a\x02\x08\x03"))
	f.Add([]byte("\x0a\x07\x08\x03\x12\x03abc"))
	f.Add([]byte("\x0a\x02\x08\x03\x0a\x02\x08\x04"))
	f.Add([]byte("\xff\xff"))
	f.Fuzz(func(t *testing.T, answer []byte) {
		got, err := rejectedItems(answer)
		if err != nil {
			return
		}
		want, ok := official(answer)
		if ok && (want < 0 || got != uint64(want)) {
			t.Errorf("%d, not %d", got, want)
		}
	})
}
