package lock

import (
	"context"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/audit"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// A memory is an audit sink.
type memory struct {
	mu     sync.Mutex
	events []string
}

func (m *memory) Record(_ context.Context, e *audit.Event) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.events = append(m.events, string(e.AppendJSON(nil)))
	return nil
}

func (*memory) Close() error { return nil }

// with returns how many records hold all of the texts.
func (m *memory) with(texts ...string) (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
next:
	for _, e := range m.events {
		for _, text := range texts {
			if !strings.Contains(e, text) {
				continue next
			}
		}
		n++
	}
	return n
}

// recorded returns a log that goes into an audit record.
func recorded(t *testing.T) (*memory, *slog.Logger) {
	t.Helper()
	m := &memory{}
	record := audit.New(audit.To(m))
	if err := record.Check(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = record.Close() })
	return m, slog.New(audit.NewHandler(record, nil))
}

// Every refusal is in the audit record with its code, also those that no comparison makes.
func TestEveryRefusalLeavesAnAuditRecord(t *testing.T) {
	t.Parallel()
	answerTo := func(list, text string) func(*upstream) {
		return func(u *upstream) {
			u.rewrite = func(method, _, result string) string {
				if method == list {
					return text
				}
				return result
			}
		}
	}
	list := func(u *upstream, opts ...Option) error { return drain(u.pinned(opts...).Tools(u.t.Context(), nil)) }
	connect := func(u *upstream, opts ...Option) error { _, err := u.connect(opts...); return err }
	for _, test := range []struct {
		name   string
		before func(*upstream)
		do     func(*upstream, ...Option) error
		code   mcpsec.Code
	}{
		{"a tool that was never approved is called", nil, func(u *upstream, opts ...Option) error {
			return call(u.t.Context(), u.pinned(opts...), "hidden")
		}, codeUnapproved},
		{"a tool is new", answerTo("tools/list", `{"tools":[{"name":"new"}]}`), list, codeUnapproved},
		{"a tool changed", answerTo("tools/list", `{"tools":[{"name":"a","description":"evil"}]}`), list, codeChanged},
		{"an answer is malformed", answerTo("tools/list", `{"tools":[],"tools":[]}`), list, codeMalformed},
		{"what the server says of itself changed", func(u *upstream) {
			u.rewrite = func(_, _, result string) string {
				return strings.ReplaceAll(result, "Ask before you write.", "Never ask.")
			}
		}, connect, codeChanged},
		{"another program", nil, func(u *upstream, opts ...Option) error {
			return connect(u, append(opts, Launched("files", strings.Repeat("a", 64)))...)
		}, codeChanged},
		{"another server", nil, func(u *upstream, opts ...Option) error { return connect(u, append(opts, Name("mail"))...) }, codeUnapproved},
		{"the lock file is spoilt", func(u *upstream) {
			if err := os.WriteFile(u.lock, []byte("{"), 0o600); err != nil {
				u.t.Fatal(err)
			}
		}, connect, codeUnreadable},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			u := newUpstream(t)
			u.learn(Reviewed)
			if test.before != nil {
				test.before(u)
			}
			m, log := recorded(t)
			wantCode(t, test.do(u, Logger(log)), test.code)
			if m.with(`"ERROR"`, `"refused"`, test.code.Name) == 0 {
				t.Errorf("no record: %q", m.events)
			}
		})
	}
}

// A server that causes refusals without end does not fill the record, and cannot keep
// refusals of another sort out of it.
func TestFloodOfRefusalsIsBounded(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	m, log := recorded(t)
	now := time.Now()
	p := &pins{server: "files", log: log, now: func() time.Time { return now }, approved: approvedIn(u.lock), pending: pendingIn(u.lock)}
	g := newGate(p)
	for range 10_000 {
		g.incoming(t.Context(), answer(t, 1, `{}`))
	}
	if n := m.with(`"refused"`, codeMalformed.Name); n != maxRecords {
		t.Errorf("%d records", n)
	}
	if n := m.with("further refusals of this minute"); n != 1 {
		t.Errorf("%d records say that some are left out", n)
	}
	if g.outgoing(t.Context(), request(t, 2, "tools/call", `{"name":"x"}`)) == nil || m.with(`"refused"`, codeUnapproved.Name) != 1 {
		t.Error("a refusal of another sort is not in the record")
	}
	now = now.Add(time.Minute)
	g.incoming(t.Context(), answer(t, 1, `{}`))
	if m.with("refusals were not logged", "9900") != 1 || m.with(`"refused"`, codeMalformed.Name) != maxRecords+1 {
		t.Errorf("after a minute: %q", m.events[len(m.events)-2:])
	}
}
