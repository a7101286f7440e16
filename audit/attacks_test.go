package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/audit/ledger"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// What a review tried. Each of these once worked.

// patience bounds what takes no time unless the machine is busy, and never ends if there is
// a fault.
const patience = time.Minute

// within fails the test if do takes longer than that.
func within(t *testing.T, what string, do func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		do()
	}()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatalf("%s: hangs for more than %v", what, patience)
	}
}

func destructive() *mcpsec.Call {
	yes := true
	call := *sample()
	call.Tool = &mcpsec.Tool{Name: "drop", Definition: &mcp.Tool{Name: "drop", Annotations: &mcp.ToolAnnotations{DestructiveHint: &yes}}}
	return &call
}

// decisions counts the outcomes of a closed ledger, and what it says was lost.
func decisions(t *testing.T, dir string) (by map[Decision]int, lost, suppressed uint64) {
	t.Helper()
	by = make(map[Decision]int)
	for _, e := range kept(t, dir) {
		switch e.Kind { //nolint:exhaustive // no others matter
		case Outcome:
			by[e.Decision]++
		case Gap:
			lost += e.Count
		case Suppressed:
			suppressed += e.Count
		}
	}
	return by, lost, suppressed
}

type badClose struct{ *remote }

func (badClose) Close() error { return errors.New("connection was reset") }

func TestFaultsThatAreLoggedIntoTheRecordItself(t *testing.T) {
	t.Parallel()
	var log atomic.Pointer[slog.Logger]
	l := New(Dir(folder(t)), Ship("siem", badClose{newRemote()}), OnFault(func(err error) {
		if log := log.Load(); log != nil {
			log.Error("audit", "err", err.Error())
		}
	}))
	log.Store(slog.New(NewHandler(l, nil)))
	calls(t, l, 1)
	within(t, "Close", func() { _ = l.Close() })
}

// A message of the program is worth no waiting, whatever the classifier says: the
// goroutine that writes may be the one that logs.
func TestMessagesAreNeverWaitedFor(t *testing.T) {
	t.Parallel()
	var class Class
	m := &memory{fail: func(e *Event) error {
		class = e.class
		return nil
	}}
	l := made(t, To(m), ClassifyWith(func(*Event) Class { return Require }))
	slog.New(NewHandler(l, nil)).Info("x")
	if class != BestEffort || len(m.lines) != 1 {
		t.Errorf("class %v, %d lines", class, len(m.lines))
	}
}

type chatty struct{ log *atomic.Pointer[slog.Logger] }

func (c chatty) Record(context.Context, *Event) error {
	c.log.Load().Error("down")
	return errors.New("down")
}
func (chatty) Close() error { return nil }

func TestSinkThatLogsWhatItRecords(t *testing.T) {
	t.Parallel()
	var log atomic.Pointer[slog.Logger]
	l := made(t, To(chatty{&log}))
	log.Store(slog.New(NewHandler(l, nil)))
	within(t, "a call", func() { _, _ = run(l, sample(), fine) })
}

func TestCallerWhoLeavesLeavesNoAttemptOpen(t *testing.T) {
	t.Parallel()
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	for name, c := range map[string]struct {
		ctx  context.Context
		call *mcpsec.Call
		more []Option
	}{
		"gone before it began":    {gone, destructive(), nil},
		"another sink refuses it": {context.Background(), sample(), []Option{To(&memory{fail: func(*Event) error { return errors.New("down") }})}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := folder(t)
			l := made(t, append(c.more, Dir(dir), Refusals(1, time.Hour))...)
			for i := range 50 {
				call := *c.call
				call.ID = fmt.Sprint("id", i)
				_, _ = l.Wrap(fine)(c.ctx, &call)
			}
			_ = l.Close()
			_ = made(t, Dir(dir)).Close()
			if by, _, _ := decisions(t, dir); by[Unknown] > 0 {
				t.Errorf("%d refused calls stayed open", by[Unknown])
			}
		})
	}
}

func TestRestartOfAFullLedger(t *testing.T) {
	t.Parallel()
	dir, down := folder(t), newRemote()
	down.deliver = func(*remote, []Record) ([]Rejection, error) { return nil, errors.New("down") }
	opts := func(to Destination) []Option {
		return []Option{Dir(dir), KeepAtMost(20_000), Segment(4_000, time.Hour), Ship("siem", to, Required(), LastMinute(time.Millisecond))}
	}
	l := made(t, opts(down)...)
	call := *sample()
	call.ID = "cut off"
	a := &account{Context: t.Context()}
	l.begin(&a.event, &call, time.Now())
	if err := l.attempt(t.Context(), a, &call); err != nil {
		t.Fatal(err)
	}
	full := false
	for i := 0; i < 500 && !full; i++ {
		_, err := run(l, destructive(), fine)
		full = err != nil
	}
	if !full {
		t.Fatal("never full")
	}
	_ = l.Close()
	up := newRemote()
	made(t, opts(up)...)
	up.until(t, "the backlog", func() bool { return len(up.got) > 0 })
}

// What a destination rejects of the record's own accounts calls for no further ones.
func TestRejectedAccountsOfRejections(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	l := made(t, Dir(dir), Ship("siem", newRemote()))
	s := l.shipping.ships[0]
	line := func(e *Event) Record { return Record{Line: e.AppendJSON(nil)} }
	own := &ship{cargo: s.cargo, ledger: l.ledger, onFault: func(error) {}, batch: []Record{
		{Checkpoint: "x"}, line(&Event{Kind: Gap, Time: time.Unix(1, 0)}), line(&Event{Kind: Log, Time: time.Unix(1, 0)}), line(&Event{Kind: Outcome, Time: time.Unix(1, 0)}),
	}}
	own.account([]Rejection{{0, "x"}, {1, "x"}, {2, "x"}, {3, "x"}, {3, "x"}, {-1, "x"}, {99, "x"}})
	_ = l.Close()
	if _, lost, _ := decisions(t, dir); lost != 1 || own.state.Rejected != 4 {
		t.Errorf("%d lost, %d rejected", lost, own.state.Rejected)
	}
}

func TestRejectionsOfTheLastMinute(t *testing.T) {
	t.Parallel()
	dir, to := folder(t), newRemote()
	var up atomic.Bool
	to.deliver = func(_ *remote, rs []Record) ([]Rejection, error) {
		if !up.Load() {
			return nil, errors.New("down")
		}
		rejected := []Rejection{}
		for i := range rs {
			if rs[i].Checkpoint == "" {
				rejected = append(rejected, Rejection{i, "too large"})
			}
		}
		return rejected, nil
	}
	l := made(t, Dir(dir), Ship("siem", to, LastMinute(10*time.Second)))
	calls(t, l, 5)
	to.until(t, "a try", func() bool { return to.tries > 0 })
	up.Store(true)
	_ = l.Close()
	_ = made(t, Dir(dir), Ship("siem", newRemote())).Close()
	if _, lost, _ := decisions(t, dir); lost != l.Shipping()[0].Rejected || lost == 0 {
		t.Errorf("%d rejected, %d on record as lost", l.Shipping()[0].Rejected, lost)
	}
}

func TestCursorAheadOfTheLedger(t *testing.T) {
	t.Parallel()
	for name, cursor := range map[string]string{
		"records":        `{"origin":%q,"next":1000000,"checkpoint":0}`,
		"checkpoints":    `{"origin":%q,"next":0,"checkpoint":1000000}`,
		"another ledger": `{"origin":"not %s","next":1,"checkpoint":1}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := folder(t)
			l := made(t, Dir(dir))
			calls(t, l, 2)
			origin := l.ledger.Origin()
			_ = l.Close()
			if err := os.WriteFile(filepath.Join(dir, "cursor-siem.json"), fmt.Appendf(nil, cursor, origin), 0o600); err != nil {
				t.Fatal(err)
			}
			to, told := newRemote(), make(chan error, 9)
			l = New(Dir(dir), Ship("siem", to, Required()), OnFault(func(err error) { told <- err }))
			calls(t, l, 2)
			_ = l.Close()
			if all := to.records(t); len(all) != 8 {
				t.Errorf("%d records arrived", len(all))
			}
			if err := <-told; !strings.Contains(err.Error(), "begins anew") {
				t.Error(err)
			}
		})
	}
}

type hanging struct {
	*remote
	hang, entered chan struct{}
}

func (h hanging) Deliver(context.Context, []Record) ([]Rejection, error) {
	close(h.entered)
	<-h.hang
	return nil, nil
}

func TestDestinationThatNeverReturns(t *testing.T) {
	t.Parallel()
	to := hanging{newRemote(), make(chan struct{}), make(chan struct{})}
	dir, err := os.MkdirTemp("", "audit") //nolint:usetesting // the test's own would be removed while it is written to
	if err != nil {
		t.Fatal(err)
	}
	l := New(Dir(filepath.Join(dir, "audit")), Ship("siem", to, LastMinute(time.Millisecond)), OnFault(func(error) {}))
	calls(t, l, 1)
	<-to.entered
	within(t, "Close", func() { _ = l.Close() })
	within(t, "a call after Close", func() { _, _ = run(l, sample(), fine) })
	close(to.hang)
	l.shipping.group.Wait()
	if err := os.RemoveAll(dir); err != nil {
		t.Error(err)
	}
}

func TestDiskThatHangs(t *testing.T) {
	t.Parallel()
	hang, entered := make(chan struct{}), make(chan struct{}, 9)
	l := made(t, Dir(folder(t)), Anchor(func(string) { // it blocks the goroutine that writes
		entered <- struct{}{}
		<-hang
	}))
	calls(t, l, 1)
	<-entered
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	within(t, "a call whose client has left", func() { _, _ = l.Wrap(fine)(gone, destructive()) })
	within(t, "a refusal", func() { refuse(l, sample(), mcpsec.Denial{Code: "x"}) })
	close(hang)
}

func TestContextOfAnotherControl(t *testing.T) {
	t.Parallel()
	var m memory
	var outer context.Context
	first := mcpsec.At(mcpsec.StageAudit, "first", mcpsec.ControlFunc(func(next mcpsec.Handler) mcpsec.Handler {
		return func(ctx context.Context, call *mcpsec.Call) (mcp.Result, error) {
			outer = ctx
			return next(ctx, call)
		}
	}))
	swap := mcpsec.At(mcpsec.StageInspect, "swap", mcpsec.ControlFunc(func(next mcpsec.Handler) mcpsec.Handler {
		return func(_ context.Context, call *mcpsec.Call) (mcp.Result, error) { return next(outer, call) }
	}))
	_, err := drive(t, ok, `{}`, first, New(To(&m)), swap)
	denied(t, err)
}

func TestClassifierThatPanics(t *testing.T) {
	t.Parallel()
	ran := false
	l := New(To(&memory{}), ClassifyWith(func(*Event) Class { panic("bug") }))
	_, err := drive(t, func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		ran = true
		return &mcp.CallToolResult{}, nil
	}, `{}`, mcpsec.FailOpen(l))
	denied(t, err)
	if ran {
		t.Error("ran without a record")
	}
}

func TestResultThatCannotBeMeasured(t *testing.T) {
	t.Parallel()
	var m memory
	bad := mcpsec.At(mcpsec.StageInspect, "inspect", mcpsec.ControlFunc(func(next mcpsec.Handler) mcpsec.Handler {
		return func(ctx context.Context, call *mcpsec.Call) (mcp.Result, error) {
			_, _ = next(ctx, call)
			return &mcp.CallToolResult{Content: []mcp.Content{(*mcp.TextContent)(nil)}}, nil
		}
	}))
	_, _ = drive(t, ok, `{}`, New(To(&m)), bad)
	if got := m.one(t); got.Decision != "error" {
		t.Error(m.String())
	}
}

// Each refusal is counted once: as recorded, as suppressed, or as lost.
func TestRefusalsAreCountedOnce(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	other := &memory{fail: func(e *Event) error {
		if e.Kind == Suppressed {
			return errors.New("down")
		}
		return nil
	}}
	l := made(t, Dir(dir), To(other), Refusals(1, time.Hour))
	for i := range 101 {
		refuse(l, sample(), mcpsec.Denial{Code: "x", Control: fmt.Sprint("c", i%2)})
	}
	_ = l.Close()
	by, lost, suppressed := decisions(t, dir)
	if by[Refused] != 1 || lost+suppressed != 100 {
		t.Errorf("%d recorded, %d suppressed, %d lost", by[Refused], suppressed, lost)
	}
	for _, e := range kept(t, dir) {
		if e.Kind == Suppressed && e.Control != "" {
			t.Errorf("of two controls it names %s", e.Control)
		}
	}
}

func TestJunkOfOneHidesNoProbeOfAnother(t *testing.T) {
	t.Parallel()
	var m memory
	l := made(t, To(&m), Refusals(20, time.Hour))
	for i := range 21 {
		c := *sample()
		c.Principal, c.Source.Address, c.Name = mcpsec.Principal{}, "192.0.2.1:1", fmt.Sprint("junk", i)
		if i == 20 {
			c.Source.Address, c.Name = "192.0.2.66:1", "delete_everything"
		}
		refuse(l, &c, mcpsec.Denial{Code: "guard.unknown_tool"})
	}
	if !strings.Contains(m.String(), "delete_everything") {
		t.Error(m.String())
	}
}

func TestSecretsInWhatOthersSay(t *testing.T) {
	t.Parallel()
	const held = "correct-horse-battery-staple"
	var m memory
	l := made(t, To(&m), HeldSecrets(func(yield func([]byte) bool) { yield([]byte(held)) }))
	slog.New(NewHandler(l, nil)).Info("login", "password", "hunter2", slog.Group(held, "x", 1))
	e := &Event{Kind: Outcome, Credentials: []mcpsec.Credential{{Role: held, KeyID: "AKIAIOSFODNN7EXAMPLE"}}}
	_ = l.record(t.Context(), e)
	if s := m.String(); strings.Contains(s, "hunter2") || strings.Contains(s, held) || !strings.Contains(s, "AKIAIOSFODNN7EXAMPLE") {
		t.Error(s)
	}
}

func TestWithheldResultLeavesNoTraceOfItself(t *testing.T) {
	t.Parallel()
	var m memory
	bad := &memory{fail: func(e *Event) error {
		if e.Kind == Outcome && e.Decision != Refused {
			return errors.New("down")
		}
		return nil
	}}
	l := made(t, To(&m, bad))
	_, _ = run(l, sample(), func(context.Context, *mcpsec.Call) (mcp.Result, error) {
		return &mcp.CallToolResult{IsError: true, Content: []mcp.Content{&mcp.TextContent{Text: "x"}}}, nil
	})
	if last := m.lines[len(m.lines)-1]; strings.Contains(last, `"is_error":true`) || strings.Contains(last, `"result"`) {
		t.Error(last)
	}
}

func TestAnchorFileThatACrashCutOff(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	path := filepath.Join(t.TempDir(), "anchors")
	for range 2 {
		l := made(t, Dir(dir), AnchorFile(path))
		calls(t, l, 1)
		_ = l.Close()
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, append(text, text[:len(text)/2]...), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l := made(t, Dir(dir), AnchorFile(path))
	calls(t, l, 1)
	_ = l.Close()
	if anchors, err := ledger.ReadAnchors(path); err != nil || len(anchors) < 3 {
		t.Errorf("%d anchors, %v", len(anchors), err)
	}
}

func TestIdsWithQuotesAreClosed(t *testing.T) {
	t.Parallel()
	for _, id := range []string{`a"b`, `a\`, `","event":"attempt","id":"x`} {
		record := (&Event{Kind: Attempt, Time: time.Unix(1, 0), ID: id}).AppendJSON(nil)
		if opens, closes := callsOf(record); opens != id || closes != "" {
			t.Errorf("%q: opens %q, closes %q", id, opens, closes)
		}
		record = (&Event{Kind: Outcome, Time: time.Unix(1, 0), ID: id}).AppendJSON(nil)
		if opens, closes := callsOf(record); closes != id || opens != "" {
			t.Errorf("%q: opens %q, closes %q", id, opens, closes)
		}
	}
}

func TestConsoleShowsMessages(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	l := made(t, Console(&b))
	slog.New(NewHandler(l, nil)).Error("the disk burns", "disk", "sda")
	if got := b.String(); !strings.Contains(got, "ERR") || !strings.Contains(got, "the disk burns") || !strings.Contains(got, "disk=sda") {
		t.Errorf("%q", got)
	}
}

func TestHandlerOfALoggerThatIsNone(t *testing.T) {
	t.Parallel()
	slog.New(NewHandler(&Logger{}, nil)).Info("x") // must not panic
}
