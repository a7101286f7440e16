package audit

import (
	"encoding/json"
	"path/filepath"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// sample is a call as a busy server sees it.
func sample() *mcpsec.Call {
	return &mcpsec.Call{
		ID: "01a202ca-e31f-7623-b4c6-0d4f90fdba55", Method: "tools/call", Name: "search_documents",
		Arguments: json.RawMessage(`{"query":"audit logging in Go","limit":20,"filter":{"lang":"en","tags":["go","log"]}}`),
		Principal: mcpsec.Principal{Rung: mcpsec.Token, Issuer: "https://idp.example.com", Subject: "auth0|alice", Client: "claude-desktop"},
		Tool:      &mcpsec.Tool{Digest: "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", Version: "1.4.2"},
		Session:   "4bf92f3577b34da6a3ce929d0e0e4736", Client: "claude-desktop",
	}
}

// eventOf is what a Logger without options makes of a call.
func eventOf(call *mcpsec.Call, now time.Time) *Event {
	var e Event
	(&Logger{}).begin(&e, call, now)
	return &e
}

// pair makes the two events of a call.
func pair(call *mcpsec.Call, now time.Time) (attempt, outcome *Event) {
	attempt, outcome = eventOf(call, now), eventOf(call, now)
	attempt.Kind = Attempt
	outcome.settle(call, &mcp.CallToolResult{}, nil)
	outcome.stamp(now, now)
	return attempt, outcome
}

// One operation is both events of a call, made of it and not recorded.
func BenchmarkEvents(b *testing.B) {
	call, now := sample(), time.Now()
	b.ReportAllocs()
	for b.Loop() {
		e := eventOf(call, now)
		e.settle(call, &mcp.CallToolResult{}, nil)
		e.stamp(now, now)
	}
}

// One operation is one event, encoded only.
func BenchmarkAppendJSON(b *testing.B) {
	_, e := pair(sample(), time.Now())
	buf := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		buf = e.AppendJSON(buf[:0])
	}
	b.SetBytes(int64(len(buf)))
}

// The whole control around a trivial handler, and the guard without it.
func BenchmarkGuardedCall(b *testing.B) {
	run := func(b *testing.B, controls ...mcpsec.Control) {
		b.Helper()
		g, err := mcpsec.New(controls...)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = g.Close() })
		h, err := mcpsec.Wrap(g, "tool", ok)
		if err != nil {
			b.Fatal(err)
		}
		ctx, req := b.Context(), request("tool", `{"query":"audit logging in Go","limit":20}`)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := h(ctx, req); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run("bare", func(b *testing.B) { run(b) })
	b.Run("audited", func(b *testing.B) { run(b, New(Dir(filepath.Join(b.TempDir(), "audit")))) })
}

// One operation is one event, read back.
func BenchmarkDecode(b *testing.B) {
	_, e := pair(sample(), time.Now())
	line := e.AppendJSON(nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(line); err != nil {
			b.Fatal(err)
		}
	}
}
