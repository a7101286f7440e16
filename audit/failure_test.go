package audit

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

func TestSinkFailure(t *testing.T) {
	broken := func(kind Kind, first bool) func(*Event) error {
		return func(e *Event) error {
			if e.Kind != kind || first && e.Decision == Refused {
				return nil
			}
			return errors.New("disk on fire")
		}
	}
	tests := []struct {
		name   string
		fail   func(*Event) error
		ran    bool
		detail string
	}{
		{"attempt cannot be taken", broken(Attempt, false), false, "nothing has run: disk on fire"},
		{"sink panics on the attempt", func(e *Event) error {
			if e.Kind == Attempt {
				panic("boom")
			}
			return nil
		}, false, "nothing has run: audit: a sink panicked with string"},
		{"outcome cannot be taken", broken(Outcome, true), true, "the handler has run; its result was withheld: disk on fire"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			good, bad := &memory{}, &memory{fail: test.fail}
			ran := false
			res, err := drive(t, func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
				ran = true
				return &mcp.CallToolResult{}, nil
			}, `{}`, New(To(good, bad)))
			denied(t, err)
			if res != nil || ran != test.ran {
				t.Errorf("result %v, ran %v", res, ran)
			}
			for _, m := range []*memory{good, bad} { // the sink that works again hears of it, too
				all := parse(t, m.String())
				got := all[len(all)-1]
				if got.Decision != "refused" || got.Code != "audit.unavailable" || got.Control != "audit" || got.Detail != test.detail {
					t.Errorf("last record: %+v", got)
				}
			}
		})
	}
}

func TestRefusalThatCannotBeRecorded(t *testing.T) {
	m := &memory{fail: func(e *Event) error {
		if e.Code == "test.no" {
			return errors.New("disk on fire")
		}
		return nil
	}}
	_, err := drive(t, ok, `{}`, New(To(m)), refusing(mcpsec.Denial{Code: "test.no"}))
	denied(t, err)
	if got := m.one(t); got.Detail != "the call had been refused with test.no: disk on fire" {
		t.Errorf("got %s", m)
	}
}

// A sink sees the outcome of a call even if the caller has gone away.
func TestOutcomeContextIsNotCancelled(t *testing.T) {
	s := &contextSink{}
	g, err := mcpsec.New(New(To(s)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	h, err := mcpsec.Wrap(g, "tool", func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		cancel()
		return &mcp.CallToolResult{}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h(ctx, request("tool", "{}")); err != nil || !slices.Equal(s.seen, []error{nil, nil}) {
		t.Errorf("%v %v", err, s.seen)
	}
}

type contextSink struct{ seen []error }

func (s *contextSink) Record(ctx context.Context, _ *Event) error {
	s.seen = append(s.seen, ctx.Err())
	return nil
}
func (s *contextSink) Close() error { return nil }

func TestObserveLetsUnrecordedCallsPass(t *testing.T) {
	m := &memory{fail: func(*Event) error { return errors.New("disk on fire") }}
	if _, err := drive(t, ok, `{}`, mcpsec.InMode(mcpsec.Observe, New(To(m)))); err != nil {
		t.Error(err)
	}
}

func TestUnusableOptions(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		l    *Logger
		want []string
	}{
		{"no sink", New(), []string{"no sink"}},
		{"zero option", New(nil, Console(&strings.Builder{})), []string{"option 1 is the zero Option"}},
		{"nothing to", New(To()), []string{"audit.To: no sink"}},
		{"nil sink", New(To(&memory{}, nil)), []string{"audit.To: sink 2 is nil"}},
		{"nil console", New(Console(nil)), []string{"audit.Console"}},
		{"all faults at once", New(nil, Dir(""), To()),
			[]string{"option 1", "path is empty", "no sink given"}},
		{"a folder above that is missing", New(Dir(dir + "/none/audit")), []string{"audit.Dir", "no such file"}},
		{"a file in the folder's place", New(Dir(file)), []string{"audit.Dir", "not a folder"}},
		{"about a ledger that is not there", New(To(&memory{}), KeepAtMost(1<<20)), []string{"need audit.Dir"}},
		{"zero logger", &Logger{}, []string{"audit.New"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := mcpsec.New(test.l)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v does not say %q", err, want)
				}
			}
			h := test.l.Wrap(func(context.Context, *mcpsec.Call) (mcp.Result, error) { return &mcp.CallToolResult{}, nil })
			if _, err := h(t.Context(), &mcpsec.Call{}); mcpsec.AsDenial(err) == nil {
				t.Errorf("an unusable logger lets calls pass: %v", err)
			}
		})
	}
}

func TestFaultyOptionClosesTheSinks(t *testing.T) {
	var m memory
	if l := New(To(&m), nil); l.Check() == nil || m.closed != 1 {
		t.Errorf("check %v, closed %d times", l.Check(), m.closed)
	}
}

func TestTwoLoggersExcludeEachOther(t *testing.T) {
	if _, err := mcpsec.New(New(To(&memory{})), New(To(&memory{}))); err == nil {
		t.Error("no error")
	}
}

func TestCloseRefusesWhatComesAfter(t *testing.T) {
	var m memory
	l := New(To(&m))
	g, err := mcpsec.New(l)
	if err != nil {
		t.Fatal(err)
	}
	h, err := mcpsec.Wrap(g, "tool", func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return &mcp.CallToolResult{}, g.Close() // the answer of this call can no longer be recorded
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = h(t.Context(), request("tool", "{}"))
	denied(t, err)
	_, err = h(t.Context(), request("tool", "{}"))
	denied(t, err)
	if err := l.Close(); err != nil || m.closed != 1 || len(m.lines) != 1 {
		t.Errorf("%v, closed %d times, %s", err, m.closed, &m)
	}
}

func TestCloseWaitsForRecords(t *testing.T) {
	inside, leave := make(chan struct{}), make(chan struct{})
	m := &memory{fail: func(*Event) error {
		close(inside)
		<-leave
		return nil
	}}
	l := New(To(m))
	var calls sync.WaitGroup
	calls.Go(func() {
		_ = l.record(t.Context(), &Event{})
	})
	<-inside
	closed := make(chan struct{})
	calls.Go(func() {
		_ = l.Close()
		close(closed)
	})
	select {
	case <-closed:
		t.Error("Close did not wait")
	default:
	}
	close(leave)
	calls.Wait()
	if len(m.lines) != 1 || m.closed != 1 {
		t.Errorf("%d lines, closed %d times", len(m.lines), m.closed)
	}
}

func TestCodes(t *testing.T) {
	for _, c := range Codes() {
		if !strings.HasPrefix(c.Name, "audit.") || c.Meaning == "" || c.Remedy == "" {
			t.Errorf("%+v", c)
		}
	}
}
