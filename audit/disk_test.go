package audit

import (
	"errors"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// A tattered disk writes so many bytes and then fails.
type tattered struct {
	mu    sync.Mutex
	space int
	got   strings.Builder
	shut  error
}

func (d *tattered) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := min(len(p), d.space)
	d.space -= n
	d.got.Write(p[:n])
	if n < len(p) {
		return n, syscall.ENOSPC
	}
	return n, nil
}

func (d *tattered) Sync() error  { return d.shut }
func (d *tattered) Close() error { return d.shut }

func (d *tattered) room(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.space = n
}

// The disk fills up in the middle of a record. Records are refused until there is
// room again; then the record that broke off goes on where it did.
func TestDiskFullAndFreeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &tattered{space: 100}
		l := New(To(newFile("audit.jsonl", d)))
		g, err := mcpsec.New(l)
		if err != nil {
			t.Fatal(err)
		}
		h, err := mcpsec.Wrap(g, "tool", ok)
		if err != nil {
			t.Fatal(err)
		}
		call := func() error { _, err := h(t.Context(), request("tool", "{}")); return err }
		if err := call(); err != nil {
			t.Fatal(err) // both records are in the buffer
		}
		<-time.After(flushEvery + 1)
		for range 3 {
			denied(t, call())
		}
		d.room(1 << 20)
		if err := call(); err != nil {
			t.Errorf("there is room again: %v", err)
		}
		if err := g.Close(); err != nil {
			t.Error(err)
		}
		if all := parse(t, d.got.String()); len(all) != 4 {
			t.Errorf("%d records, want those of the two calls that were not refused", len(all))
		}
	})
}

// Without another call, the timer goes on trying.
func TestDiskFreeAgainBeforeTheNextCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &tattered{}
		f := newFile("audit.jsonl", d)
		if err := f.Record(t.Context(), &Event{}); err != nil {
			t.Fatal(err)
		}
		<-time.After(10 * flushEvery)
		d.room(1 << 20)
		<-time.After(2 * flushEvery)
		synctest.Wait()
		if all := parse(t, d.got.String()); len(all) != 1 {
			t.Errorf("%d records", len(all))
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestFullDevice(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	f := newFile("/dev/full", full)
	e := &Event{Kind: Outcome, Reason: strings.Repeat("x", maxText)}
	for range 2 * bufferSize / maxText { // fills the buffer
		if err = f.Record(t.Context(), e); err != nil {
			break
		}
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("got %v", err)
	}
	if again := f.Record(t.Context(), e); !errors.Is(again, syscall.ENOSPC) {
		t.Errorf("next record: %v", again)
	}
	if len(f.buf) > bufferSize {
		t.Errorf("%d bytes are buffered", len(f.buf))
	}
	if err := f.Close(); !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "are lost") {
		t.Errorf("close: %v", err)
	}
}

func TestCloseReportsEveryFault(t *testing.T) {
	f := newFile("audit.jsonl", &tattered{shut: syscall.EIO})
	if err := f.Record(t.Context(), &Event{}); err != nil {
		t.Fatal(err)
	}
	err := f.Close()
	for _, want := range []string{"writing audit.jsonl", "are lost", "syncing audit.jsonl", "closing audit.jsonl"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
}

func TestHugeRecordLeavesNoHugeBuffer(t *testing.T) {
	var d tattered
	d.space = 1 << 30
	f := newFile("audit.jsonl", &d)
	e := &Event{Kind: Outcome, Detail: strings.Repeat("\x00", bufferSize)}
	if err := errors.Join(f.Record(t.Context(), e), f.Record(t.Context(), e), f.Close()); err != nil {
		t.Fatal(err)
	}
	if all := parse(t, d.got.String()); len(all) != 2 {
		t.Errorf("%d records", len(all))
	}
}
