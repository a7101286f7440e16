package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/audit/ledger"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// A remote is a destination in memory that can be told to fail.
type remote struct {
	mu      sync.Mutex
	got     []Record
	tries   int
	closed  int
	deliver func(r *remote, records []Record) ([]Rejection, error)
	news    chan struct{}
}

func newRemote() *remote { return &remote{news: make(chan struct{}, 1)} }

func (r *remote) Deliver(_ context.Context, records []Record) ([]Rejection, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer func() {
		select {
		case r.news <- struct{}{}:
		default:
		}
	}()
	r.tries++
	if r.deliver != nil {
		if rejected, err := r.deliver(r, records); rejected != nil || err != nil {
			return rejected, err
		}
	}
	for _, record := range records {
		record.Line = bytes.Clone(record.Line)
		r.got = append(r.got, record)
	}
	return nil, nil
}

func (r *remote) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed++
	return nil
}

// records returns what has arrived, each once, and fails if the order is wrong.
func (r *remote) records(t *testing.T) []Record {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := map[string]bool{}
	var all []Record
	next := uint64(0)
	for _, record := range r.got {
		if record.Checkpoint != "" || seen[record.ID()] {
			continue
		}
		if record.Seq < next {
			t.Errorf("record %d came after record %d", record.Seq, next-1)
		}
		next = record.Seq + 1
		seen[record.ID()] = true
		all = append(all, record)
	}
	return all
}

// until waits for a state of the remote.
func (r *remote) until(t *testing.T, what string, reached func() bool) {
	t.Helper()
	timeout := time.After(patience)
	tick := time.NewTicker(10 * time.Millisecond) // for what the shipper counts after the news
	defer tick.Stop()
	for {
		r.mu.Lock()
		done := reached()
		r.mu.Unlock()
		if done {
			return
		}
		select {
		case <-r.news:
		case <-tick.C:
		case <-timeout:
			t.Fatalf("still waiting for %s", what)
		}
	}
}

func calls(t *testing.T, l *Logger, n int) {
	t.Helper()
	for range n {
		if _, err := run(l, sample(), fine); err != nil {
			t.Fatal(err)
		}
	}
}

func TestEveryRecordAndCheckpointArrives(t *testing.T) {
	t.Parallel()
	dir, to := folder(t), newRemote()
	l := made(t, Dir(dir), Ship("siem", to, BatchOf(7, 1<<20)))
	calls(t, l, 100)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	all := to.records(t)
	if len(all) != 200 || all[0].ID() == all[1].ID() || !strings.HasSuffix(all[199].ID(), ":199") {
		t.Errorf("%d records", len(all))
	}
	if _, err := Decode(all[0].Line); err != nil {
		t.Error(err)
	}
	last := to.got[len(to.got)-1]
	if last.Checkpoint == "" || last.Seq != 200 || to.closed != 1 {
		t.Errorf("the last is %+v, closed %d times", last, to.closed)
	}
}

// A destination that is away for long, over a restart, misses nothing; no call
// waits for it.
func TestOutageOverARestart(t *testing.T) {
	t.Parallel()
	dir, down := folder(t), newRemote()
	down.deliver = func(*remote, []Record) ([]Rejection, error) { return nil, errors.New("connection refused") }
	l := made(t, Dir(dir), Ship("siem", down, LastMinute(time.Millisecond)))
	calls(t, l, 300)
	down.until(t, "a try", func() bool { return down.tries > 0 })
	if s := l.Shipping()[0]; s.Err == nil || s.Next != 0 || s.Since.IsZero() || s.Name != "siem" {
		t.Errorf("%+v", s)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	up := newRemote()
	l = made(t, Dir(dir), Ship("siem", up))
	calls(t, l, 10)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if all := up.records(t); len(all) != 620 || all[0].Seq != 0 {
		t.Errorf("%d records", len(all))
	}
	// The cursor is kept: nothing comes twice after a good end.
	again := newRemote()
	l = made(t, Dir(dir), Ship("siem", again))
	calls(t, l, 1)
	_ = l.Close()
	if all := again.records(t); len(all) != 2 || all[0].Seq != 620 {
		t.Errorf("%d records", len(all))
	}
}

func TestDestinationThatFailsNowAndThen(t *testing.T) {
	t.Parallel()
	dir, to := folder(t), newRemote()
	to.deliver = func(r *remote, records []Record) ([]Rejection, error) {
		switch r.tries {
		case 2:
			r.got = append(r.got, records[:len(records)/2]...) // part arrived
			return nil, errors.New("reset")
		case 3:
			panic("a bug")
		}
		return nil, nil
	}
	l := made(t, Dir(dir), Ship("siem", to, BatchOf(50, 1<<20)))
	calls(t, l, 100)
	_ = l.Close()
	if all := to.records(t); len(all) != 200 {
		t.Errorf("%d records", len(all))
	}
}

// A record that will never be taken blocks none of the others, and the loss is on
// record, once.
func TestPoisonRecord(t *testing.T) {
	t.Parallel()
	dir, to := folder(t), newRemote()
	to.deliver = func(r *remote, records []Record) (rejected []Rejection, _ error) {
		for i := range records {
			if bytes.Contains(records[i].Line, []byte("poison")) || bytes.Contains(records[i].Line, []byte(`"gap"`)) {
				rejected = append(rejected, Rejection{i, "too large"})
			} else {
				r.got = append(r.got, records[i])
			}
		}
		return append(rejected, Rejection{Index: -1}, Rejection{Index: 1 << 20}), nil // nonsense is passed over
	}
	l := made(t, Dir(dir), Ship("siem", to))
	call := *sample()
	call.Name = "poison"
	_, _ = run(l, &call, fine)
	calls(t, l, 5)
	to.until(t, "the gap", func() bool { return l.Shipping()[0].Rejected >= 3 })
	_ = l.Close()
	gaps := uint64(0)
	for _, e := range kept(t, dir) {
		if e.Kind == Gap {
			gaps += e.Count
			if e.Reason != "rejected by siem" {
				t.Errorf("%+v", e)
			}
		}
	}
	if gaps != 2 {
		t.Errorf("%d records are on record as lost", gaps)
	}
}

// The disk stays bounded while an optional destination is away; what it missed is
// counted. A required one loses nothing: calls are refused instead.
func TestBacklogIsBounded(t *testing.T) {
	t.Parallel()
	for _, required := range []bool{false, true} {
		t.Run(fmt.Sprint("required ", required), func(t *testing.T) {
			t.Parallel()
			dir, to := folder(t), newRemote()
			var up sync.Map
			to.deliver = func(*remote, []Record) ([]Rejection, error) {
				if _, ok := up.Load("up"); !ok {
					return nil, errors.New("away")
				}
				return nil, nil
			}
			opts := []ShipOption{}
			if required {
				opts = append(opts, Required())
			}
			l := made(t, Dir(dir), KeepAtMost(100<<10), Segment(20<<10, time.Hour), Ship("siem", to, opts...),
				ClassifyWith(func(*Event) Class { return Require })) // a batch each, so that the bound is met exactly
			refused := 0
			for range 400 {
				if _, err := run(l, sample(), fine); err != nil {
					if d := mcpsec.AsDenial(err); d == nil || d.Code != "audit.unavailable" {
						t.Fatal(err)
					}
					refused++
				}
			}
			var size int64
			names, _ := filepath.Glob(filepath.Join(dir, "audit-*"))
			for _, name := range names {
				if info, err := os.Stat(name); err == nil {
					size += info.Size()
				}
			}
			if size > 200<<10 {
				t.Errorf("%d bytes on the disk", size)
			}
			if (refused > 0) != required {
				t.Errorf("%d calls refused", refused)
			}
			up.Store("up", true)
			to.until(t, "the backlog", func() bool { return len(to.got) > 0 })
			if err := l.Close(); err != nil && !required {
				t.Fatal(err)
			}
			all := to.records(t)
			if required && all[0].Seq != 0 {
				t.Errorf("a required destination begins with record %d", all[0].Seq)
			}
			if s := l.Shipping()[0]; !required && s.Missed+uint64(len(all)) < 800 {
				t.Errorf("%d missed and %d arrived of 800 and more", s.Missed, len(all))
			}
		})
	}
}

func TestFaultyShipping(t *testing.T) {
	t.Parallel()
	to := newRemote()
	for name, c := range map[string]struct {
		opts []Option
		want string
	}{
		"without a ledger":  {[]Option{To(&memory{}), Ship("siem", to)}, "need audit.Dir"},
		"no destination":    {[]Option{Dir(folder(t)), Ship("siem", nil)}, "destination is nil"},
		"no name":           {[]Option{Dir(folder(t)), Ship("../siem", to)}, "is none"},
		"one name twice":    {[]Option{Dir(folder(t)), Ship("siem", to), Ship("siem", to)}, "two destinations"},
		"zero option":       {[]Option{Dir(folder(t)), Ship("siem", to, nil)}, "zero ShipOption"},
		"empty batches":     {[]Option{Dir(folder(t)), Ship("siem", to, BatchOf(0, 1))}, "BatchOf"},
		"anchor of nothing": {[]Option{Dir(folder(t)), Anchor(nil)}, "audit.Anchor"},
	} {
		if err := New(c.opts...).Check(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	dir := folder(t)
	l := made(t, Dir(dir), Ship("siem", newRemote()))
	calls(t, l, 1)
	_ = l.Close()
	if err := os.WriteFile(filepath.Join(dir, "cursor-siem.json"), []byte(`{"next":1,"next":2}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := New(Dir(dir), Ship("siem", to)).Check(); err == nil || !strings.Contains(err.Error(), "remove it to deliver everything again") {
		t.Errorf("a spoilt cursor: %v", err)
	}
}

func TestAnchorFileHoldsEveryCheckpoint(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	path := filepath.Join(t.TempDir(), "anchors.jsonl")
	var texts []string
	l := made(t, Dir(dir), AnchorFile(path), Anchor(func(text string) { texts = append(texts, text) }))
	calls(t, l, 3)
	_ = l.Close()
	b, err := os.ReadFile(path)
	if err != nil || len(texts) == 0 || bytes.Count(b, []byte("\n")) != len(texts) || !bytes.Contains(b, []byte(l.ledger.Origin())) {
		t.Errorf("%d checkpoints, %v, %s", len(texts), err, b)
	}
}

// A destination that was away for ten minutes at a thousand records a second gets all
// of them, in order, while memory stays flat.
func TestTenMinutesOfBacklog(t *testing.T) {
	const records = 600_000
	dir := folder(t)
	down := newRemote()
	down.deliver = func(*remote, []Record) ([]Rejection, error) { return nil, errors.New("away") }
	l := made(t, Dir(dir), Ship("siem", down, LastMinute(time.Millisecond)))
	e := eventOf(sample(), time.Now())
	for range records {
		for {
			e.class = Bounded
			if err := (store{l.ledger}).Record(t.Context(), e); err == nil {
				break
			} else if !errors.Is(err, ledger.ErrBusy) {
				t.Fatal(err)
			}
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	var next uint64
	var peak uint64
	up := newRemote()
	up.deliver = func(_ *remote, batch []Record) ([]Rejection, error) {
		for i := range batch {
			if r := &batch[i]; r.Checkpoint == "" {
				if r.Seq != next {
					return nil, fmt.Errorf("record %d came where %d belongs", r.Seq, next)
				}
				next++
			}
		}
		if next%50_000 < 500 {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapInuse)
		}
		return []Rejection{}, nil
	}
	l = made(t, Dir(dir), Ship("siem", up))
	up.until(t, "the backlog", func() bool { return next >= records })
	lost := l.ledger.Lost()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if s := l.Shipping()[0]; s.Next < records || lost > 0 || s.Err != nil {
		t.Errorf("%+v, %d lost", s, lost)
	}
	if peak > 96<<20 {
		t.Errorf("the heap grew to %d MiB", peak>>20)
	}
	t.Logf("%d records, heap at most %d MiB", next, peak>>20)
}
