package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/audit/ledger"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// kept reads every event of a ledger that has been closed, after verifying it.
func kept(t *testing.T, dir string) []*Event {
	t.Helper()
	r, err := ledger.Verify(context.Background(), dir, ledger.VerifyOptions{})
	if err != nil || len(r.Faults) > 0 {
		t.Fatalf("the ledger is not sound: %+v %v", r, err)
	}
	s, err := ledger.Scan(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var all []*Event
	for {
		line, err := s.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if line.Kind != ledger.Record {
			continue
		}
		e, err := Decode(line.Text)
		if err != nil {
			t.Fatalf("%v in %s", err, line.Text)
		}
		all = append(all, e)
	}
}

func folder(t *testing.T) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "audit")
}

// made makes a Logger that must be usable.
func made(t *testing.T, opts ...Option) *Logger {
	t.Helper()
	l := New(append(opts, OnFault(func(error) {}))...)
	if err := l.Check(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// run takes a call through a Logger alone.
func run(l *Logger, call *mcpsec.Call, h mcpsec.Handler) (mcp.Result, error) {
	return l.Wrap(h)(context.Background(), call)
}

func fine(context.Context, *mcpsec.Call) (mcp.Result, error) { return &mcp.CallToolResult{}, nil }

// refuse takes a call through a Logger around a control that refuses it.
func refuse(l *Logger, call *mcpsec.Call, d mcpsec.Denial) {
	h := (&outside{l}).Wrap(func(context.Context, *mcpsec.Call) (mcp.Result, error) { return nil, &d })
	_, _ = h(context.Background(), call)
}

func TestCallsThatACrashCutOffAreClosedAsUnknown(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	l := made(t, Dir(dir))
	call := *sample()
	call.ID = "cut off"
	a := &account{Context: t.Context()}
	l.begin(&a.event, &call, time.Now())
	if err := l.attempt(t.Context(), a, &call); err != nil {
		t.Fatal(err)
	}
	if _, err := run(l, sample(), fine); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = made(t, Dir(dir))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	all := kept(t, dir)
	last := all[len(all)-1]
	if len(all) != 4 || last.Decision != Unknown || last.Kind != Outcome || last.ID != "cut off" || last.Name != call.Name ||
		last.Principal.Subject != "auth0|alice" || last.Arguments.HMAC != all[0].Arguments.HMAC {
		t.Errorf("%d events, the last %+v", len(all), last)
	}
	l = made(t, Dir(dir))
	_ = l.Close()
	if again := kept(t, dir); len(again) != 4 {
		t.Errorf("closed again: %d events", len(again))
	}
}

func TestRefusalIsOnTheDiskBeforeTheCallerHears(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	l := made(t, Dir(dir))
	refuse(l, sample(), mcpsec.Denial{Code: "test.no"})
	text, err := os.ReadFile(filepath.Join(dir, "audit-00000000000000000000.jsonl"))
	if err != nil || !strings.Contains(string(text), `"test.no"`) {
		t.Errorf("%v %s", err, text)
	}
}

func TestFloodOfRefusals(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	l := made(t, Dir(dir), Refusals(5, time.Hour))
	for i := range 1000 {
		call := *sample()
		call.ID, call.Name = fmt.Sprint(i), fmt.Sprintf("guess-%d", i)
		refuse(l, &call, mcpsec.Denial{Code: "guard.unknown_tool"})
	}
	other := *sample()
	other.Principal.Subject = "bob"
	refuse(l, &other, mcpsec.Denial{Code: "guard.unknown_tool"})
	refuse(l, sample(), mcpsec.Denial{Code: "test.other"})
	_, _ = run(l, sample(), fine)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	counts := map[string]uint64{}
	for _, e := range kept(t, dir) {
		switch e.Kind { //nolint:exhaustive // no others come
		case Suppressed:
			counts["suppressed"] += e.Count
			if e.Principal.Subject != "auth0|alice" || e.Code != "guard.unknown_tool" || e.First.After(e.Last) {
				t.Errorf("suppressed: %+v", e)
			}
		case Outcome:
			counts[string(e.Decision)+" "+e.Principal.Subject+" "+e.Code]++
		}
	}
	if got := fmt.Sprint(counts); got != "map[allowed auth0|alice :1 refused auth0|alice guard.unknown_tool:5 refused auth0|alice test.other:1 refused bob guard.unknown_tool:1 suppressed:995]" {
		t.Error(got)
	}
}

// Whoever has many names cannot fill the disk either, and every refusal is counted.
func TestFloodOfPrincipals(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	l := made(t, Dir(dir), Refusals(1, time.Hour))
	const callers = 5000
	for i := range callers {
		call := *sample()
		call.Principal.Subject = fmt.Sprint(i)
		refuse(l, &call, mcpsec.Denial{Code: "test.no"})
	}
	if n := len(l.flood.kinds); n > floodKeys+1 {
		t.Errorf("%d kinds are kept", n)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	one, many := 0, uint64(0)
	for _, e := range kept(t, dir) {
		if e.Kind == Suppressed {
			many += e.Count
		} else {
			one++
		}
	}
	if one != floodTotal || uint64(one)+many != callers {
		t.Errorf("%d one by one and %d together", one, many)
	}
}

// A refusal of what has begun closes its attempt, however many there are.
func TestFloodLeavesNoAttemptOpen(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	l := made(t, Dir(dir), Refusals(1, time.Hour))
	late := mcpsec.ControlFunc(func(next mcpsec.Handler) mcpsec.Handler {
		return func(ctx context.Context, call *mcpsec.Call) (mcp.Result, error) {
			if _, err := next(ctx, call); err != nil {
				return nil, err
			}
			return nil, &mcpsec.Denial{Code: "test.result"}
		}
	})
	h := (&outside{l}).Wrap(late((&beside{l}).Wrap(fine)))
	for i := range 10 {
		call := *sample()
		call.ID = fmt.Sprint(i)
		_, _ = h(t.Context(), &call)
	}
	_ = l.Close()
	if all := kept(t, dir); len(all) != 20 {
		t.Errorf("%d events", len(all))
	}
}

// A control that answers before its handler ran must not let it run unrecorded.
func TestHandlerThatBeginsAfterItsAnswer(t *testing.T) {
	t.Parallel()
	var m memory
	l := made(t, To(&m))
	var wg sync.WaitGroup
	answered := make(chan struct{})
	ran := false
	early := mcpsec.ControlFunc(func(next mcpsec.Handler) mcpsec.Handler {
		return func(ctx context.Context, call *mcpsec.Call) (mcp.Result, error) {
			wg.Go(func() {
				<-answered
				_, _ = next(ctx, call)
			})
			return &mcp.CallToolResult{}, nil
		}
	})
	h := (&outside{l}).Wrap(early((&beside{l}).Wrap(func(context.Context, *mcpsec.Call) (mcp.Result, error) {
		ran = true
		return &mcp.CallToolResult{}, nil
	})))
	_, _ = h(t.Context(), sample())
	close(answered)
	wg.Wait()
	if ran || len(m.lines) != 1 {
		t.Errorf("ran %v, %s", ran, &m)
	}
}

func TestClasses(t *testing.T) {
	t.Parallel()
	yes := true
	annotated := func(a *mcp.ToolAnnotations) *Event {
		var e Event
		(&Logger{}).begin(&e, &mcpsec.Call{Method: "tools/call", Tool: &mcpsec.Tool{Definition: &mcp.Tool{Annotations: a}}}, time.Now())
		return &e
	}
	for name, c := range map[string]struct {
		e    *Event
		want Class
	}{
		"refusal":                {&Event{Kind: Outcome, Decision: Refused, Method: "tools/list"}, Require},
		"credential issued":      {&Event{Kind: Outcome, Credentials: make([]mcpsec.Credential, 1)}, Require},
		"destructive tool":       {annotated(&mcp.ToolAnnotations{DestructiveHint: &yes}), Require},
		"destructive, read only": {annotated(&mcp.ToolAnnotations{DestructiveHint: &yes, ReadOnlyHint: true}), Bounded},
		"tool without a word":    {annotated(nil), Bounded},
		"list":                   {&Event{Method: "tools/list"}, BestEffort},
		"ping":                   {&Event{Method: "ping"}, BestEffort},
		"notification":           {&Event{Method: "notifications/progress"}, BestEffort},
		"resource":               {&Event{Method: "resources/read"}, Bounded},
		"log":                    {&Event{Kind: Log, Decision: Refused}, BestEffort},
		"count of refusals":      {&Event{Kind: Suppressed, Decision: Refused}, Bounded},
	} {
		if got := Classify(c.e); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestHandlerTakesLogRecords(t *testing.T) {
	t.Parallel()
	var m memory
	l := made(t, To(&m))
	log := slog.New(NewHandler(l, nil)).With("service", "notes").WithGroup("request")
	log.Debug("not this")
	log.Warn("a line\nand \x1b[31manother", "path", "/x", slog.Group("who", "name", "alice"), "key", "AKIAIOSFODNN7EXAMPLE")
	all := parse(t, m.String())
	if len(all) != 1 {
		t.Fatal(m.String())
	}
	r := all[0]
	if r.Event != "log" || r.Level != "WARN" || r.Reason != "a line\nand \x1b[31manother" ||
		r.Notes["service"] != "notes" || r.Notes["request.path"] != "/x" || r.Notes["request.who.name"] != "alice" {
		t.Errorf("%+v", r)
	}
	if strings.Contains(m.String(), "AKIAIOSFODNN7EXAMPLE") || strings.Count(m.String(), "\n") > 0 {
		t.Error(m.String())
	}
}

func TestSecretsStayOut(t *testing.T) {
	t.Parallel()
	const held = "correct horse battery staple"
	dir := folder(t)
	l := made(t, Dir(dir), LogArguments("search_documents", "/query", "/password", "/filter"),
		HeldSecrets(func(yield func([]byte) bool) { yield([]byte(held)) }))
	call := *sample()
	call.Arguments = []byte(`{"query":"audit","password":"hunter2hunter2","filter":{"token":"ghp_0123456789abcdefghijABCDEFGHIJ012345"},"note":"` + held + `"}`)
	call.Principal.Subject = "alice " + held
	call.Tool = &mcpsec.Tool{Definition: &mcp.Tool{InputSchema: json.RawMessage(`{"type":"object"}`)}}
	refuse(l, &call, mcpsec.Denial{Code: "test.no", Reason: "the key AKIAIOSFODNN7EXAMPLE is refused", Detail: held})
	_ = l.Close()
	e := kept(t, dir)[0]
	line := string(e.AppendJSON(nil))
	for _, secret := range []string{held, "hunter2", "ghp_", "AKIAIOSFODNN7EXAMPLE"} {
		if strings.Contains(line, secret) {
			t.Errorf("%q is in %s", secret, line)
		}
	}
	if fmt.Sprint(e.Arguments.Clear) != `[{/query "audit"}]` || len(e.Arguments.Redacted) != 2 || !strings.HasPrefix(e.Arguments.HMAC, "hmac-sha256:") {
		t.Errorf("%+v", e.Arguments)
	}
}

// A secret that the bound of a text divides is blanked before it is cut.
func TestSecretAcrossTheCut(t *testing.T) {
	t.Parallel()
	const secret = "ghp_0123456789abcdefghijABCDEFGHIJ012345"
	var m memory
	l := made(t, To(&m))
	call := *sample()
	call.Name = strings.Repeat("x", maxURI-30) + " " + secret
	call.Session = strings.Repeat("x", maxName-30) + " " + secret
	refuse(l, &call, mcpsec.Denial{Code: "test.no", Reason: strings.Repeat("x", maxText-30) + " " + secret, Detail: strings.Repeat("x", maxText-5) + " " + secret})
	if strings.Contains(m.String(), "ghp_") {
		t.Error(m.String())
	}
}

func TestArgumentHMAC(t *testing.T) {
	t.Parallel()
	k, other := newArgumentKey("k1", make([]byte, 32)), newArgumentKey("k2", []byte(strings.Repeat("x", 32)))
	base := k.sum([]byte(`{"a":1,"b":[1.0,"é"]}`))
	for text, same := range map[string]bool{
		`{ "b" : [1, "\u00e9"], "a" : 1.0 }`: true,
		`{"a":1,"b":[1.0,"e"]}`:              false,
		`{"a":1,"b":["é",1.0]}`:              false,
	} {
		if got := k.sum([]byte(text)); (got == base) != same {
			t.Errorf("%s: %s, base %s", text, got, base)
		}
	}
	if other.sum([]byte(`{}`))[len("hmac-sha256:k1:"):] == k.sum([]byte(`{}`))[len("hmac-sha256:k1:"):] {
		t.Error("the key makes no difference")
	}
}

func TestArgumentKeyIsKept(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	for range 2 {
		l := made(t, Dir(dir))
		_, _ = run(l, sample(), fine)
		_ = l.Close()
	}
	all := kept(t, dir)
	if all[0].Arguments.HMAC == "" || all[0].Arguments.HMAC != all[2].Arguments.HMAC {
		t.Errorf("%q and %q", all[0].Arguments.HMAC, all[2].Arguments.HMAC)
	}
	if err := os.WriteFile(filepath.Join(dir, argumentKeyFile), []byte("short\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := New(Dir(dir)).Check(); err == nil || !strings.Contains(err.Error(), "64 hexadecimal digits") {
		t.Errorf("a spoilt key: %v", err)
	}
}

func TestResultDigest(t *testing.T) {
	t.Parallel()
	text := func(s ...string) *mcp.CallToolResult {
		r := &mcp.CallToolResult{}
		for _, s := range s {
			r.Content = append(r.Content, &mcp.TextContent{Text: s})
		}
		return r
	}
	a := resultOf(text("ab", "c"))
	if a.Bytes != 3 || a != resultOf(text("ab", "c")) || a == resultOf(text("a", "bc")) || a == resultOf(text("abc")) {
		t.Errorf("%+v", a)
	}
	failed := text("ab", "c")
	failed.IsError = true
	if a == resultOf(failed) {
		t.Error("isError makes no difference")
	}
	if long := resultOf(text(strings.Repeat("x", 3*chunk+1))); long.Bytes != 3*chunk+1 {
		t.Errorf("%+v", long)
	}
	if none := resultOf(&mcp.ListToolsResult{}); none != (Result{}) {
		t.Errorf("%+v", none)
	}
}
