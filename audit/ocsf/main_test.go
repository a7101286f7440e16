package ocsf

import (
	"fmt"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/mcpsec/mcpsec-go/audit"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const origin = "docs-mcp.example.com/audit"

// record makes a line of the ledger of an event.
func record(e *audit.Event, seq uint64) *audit.Record {
	line := fmt.Sprintf(`{"seq":%d,"prev":"%016x",`, seq, 0x0123456789abcdef) + string(e.AppendJSON(nil))[1:]
	return &audit.Record{Origin: origin, Seq: seq, Line: []byte(line)}
}

func format(tb testing.TB, c Config) *Format {
	tb.Helper()
	if c.Service == "" {
		c.Service, c.ServiceVersion = "docs-mcp", "1.4.2"
	}
	f, err := New(c)
	if err != nil {
		tb.Fatal(err)
	}
	f.now = func() time.Time { return noon.Add(time.Second) }
	return f
}

var noon = time.Date(2026, 11, 22, 12, 0, 0, 123456789, time.UTC)

// call is a call over HTTP as a busy server sees it; the functions change it.
func call(kind audit.Kind, change ...func(e *audit.Event)) *audit.Event {
	e := &audit.Event{
		Kind: kind, Time: noon, ID: "01a202ca-e31f-7623-b4c6-0d4f90fdba55",
		Method: "tools/call", Name: "search_documents",
		Principal: audit.Principal{
			Rung: "token", Issuer: "https://idp.example.com", Subject: "auth0|alice", Client: "client-123", Tenant: "acme",
			Actors: []string{"agent:planner", "agent:root"},
		},
		Session: "4bf92f3577b34da6a3ce929d0e0e4736", Client: "claude-desktop",
		Source: audit.Source{Transport: "http", Address: "203.0.113.7:51234"},
		Trace:  audit.Trace{ID: "4bf92f3577b34da6a3ce929d0e0e4736", Span: "00f067aa0ba902b7", Flags: "01"},
		Tool: audit.Tool{
			Digest:  "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
			Version: "1.4.2", Code: "sha256:77aa", Manifest: 12,
		},
		Policy: "sha256:ab12",
		Arguments: audit.Arguments{
			Bytes: 212, Keys: []string{"limit", "query", "token"}, HMAC: "hmac-sha256:k1:2c26b4",
			Clear: []audit.Value{{Path: "/limit", JSON: "20"}}, Redacted: []string{"/token"},
		},
	}
	if kind == audit.Outcome {
		e.Decision, e.Latency = audit.Allowed, 42*time.Millisecond+500*time.Microsecond
		e.Result = audit.Result{Bytes: 4096, Digest: "sha256:9f86"}
		e.Credentials = []mcpsec.Credential{{
			Name: "search", Provider: "aws", Role: "arn:aws:iam::123456789012:role/mcp-search", KeyID: "ASIAIOSFODNN7EXAMPLE",
			Policy: "sha256:77aa", Expires: noon.Add(15 * time.Minute),
		}}
	}
	for _, f := range change {
		f(e)
	}
	return e
}

func stdio(e *audit.Event) {
	e.Principal = audit.Principal{Rung: "process", Subject: "uid:1000"}
	e.Session, e.Source, e.Trace = "", audit.Source{Transport: "stdio"}, audit.Trace{}
}

func refuse(e *audit.Event) {
	e.Decision, e.Code, e.Control = audit.Refused, "ratelimit.exceeded", "ratelimit"
	e.Reason, e.Detail = "too many calls; wait 2s", "PerPrincipal(120, 1m0s)"
	e.Latency, e.Result, e.Credentials = 90*time.Microsecond, audit.Result{}, nil
}

// samples has one event of each kind that the record knows.
var samples = []struct {
	name  string
	event *audit.Event
}{
	{"attempt", call(audit.Attempt)},
	{"allowed", call(audit.Outcome)},
	{"allowed_stdio", call(audit.Outcome, stdio)},
	{"observed", call(audit.Outcome, func(e *audit.Event) {
		e.Findings = []audit.Finding{
			{Control: "inspect", Code: "inspect.hidden_text", Reason: "hidden text", Detail: "U+202E at 17"},
			{Control: "allowlist", Code: "allowlist.store", Failed: true},
		}
		e.Notes = []mcpsec.Note{{Key: "budget.spent", Value: "0.02 USD"}}
	})},
	{"refused", call(audit.Outcome, refuse)},
	{"refused_stdio", call(audit.Outcome, stdio, refuse)},
	{"refused_alarm", call(audit.Outcome, refuse, func(e *audit.Event) {
		e.Code, e.Control, e.Reason = "attest.definition_mismatch", "attest", ""
		e.Detail, e.Truncated = "definition sha256:1111 is not sha256:9f86", true
	})},
	{"error", call(audit.Outcome, func(e *audit.Event) { e.Decision, e.IsError = audit.Failed, true })},
	{"panic_stdio", call(audit.Outcome, stdio, func(e *audit.Event) {
		e.Decision, e.Code, e.Detail = audit.Failed, "guard.handler_panic", "index out of range"
	})},
	{"unknown", call(audit.Outcome, func(e *audit.Event) {
		e.Decision, e.Latency, e.Result, e.Credentials = audit.Unknown, 0, audit.Result{}, nil
	})},
	{"anonymous", call(audit.Outcome, refuse, func(e *audit.Event) {
		e.Principal, e.Tool = audit.Principal{Rung: "anonymous"}, audit.Tool{}
		e.Code, e.Source.Address = "guard.unknown_tool", "[2001:db8::7%eth0]:443"
	})},
	{"list", call(audit.Outcome, func(e *audit.Event) {
		e.Method, e.Name, e.Tool, e.Arguments = "tools/list", "", audit.Tool{}, audit.Arguments{}
	})},
	{"resource", call(audit.Outcome, func(e *audit.Event) {
		e.Method, e.Name, e.Tool = "resources/read", "file:///srv/docs/a%20b.md?x=1", audit.Tool{}
	})},
	{"prompt", call(audit.Outcome, func(e *audit.Event) {
		e.Method, e.Name, e.Tool, e.Round = "prompts/get", "summarise", audit.Tool{}, 1
	})},
	{"sampling", call(audit.Outcome, func(e *audit.Event) {
		e.Method, e.Outgoing, e.Parent, e.ID = "sampling/createMessage", true, e.ID, "01a202ca-e31f-7623-b4c6-0d4f90fdba99"
	})},
	{"elicitation_stdio", call(audit.Attempt, stdio, func(e *audit.Event) {
		e.Method, e.Outgoing, e.Parent = "elicitation/create", true, e.ID
	})},
	{"suppressed", call(audit.Suppressed, refuse, func(e *audit.Event) {
		e.ID, e.Latency, e.Arguments = "", 0, audit.Arguments{}
		e.Count, e.First, e.Last = 1234, noon.Add(-time.Minute), noon
	})},
	{"gap", &audit.Event{
		Kind: audit.Gap, Time: noon, Count: 17, First: noon.Add(-3 * time.Second), Last: noon.Add(-time.Second),
		Reason: "the disk was full", Detail: "write: no space left on device",
	}},
	{"pruned", &audit.Event{Kind: audit.Pruned, Time: noon, Count: 5000, Reason: "the ledger has reached 1 GiB"}},
	{"recovery", &audit.Event{Kind: audit.Recovery, Time: noon, Detail: "cut 214 bytes of a torn record off the last segment"}},
	{"log", &audit.Event{
		Kind: audit.Log, Time: noon, Level: "WARN+2", Reason: "token expires soon",
		Notes: []mcpsec.Note{{Key: "in", Value: "2m0s"}},
	}},
	{"of_a_later_version", call("delegated", func(e *audit.Event) { e.Decision = "postponed" })},
}
