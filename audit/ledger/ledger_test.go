package ledger

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestRecordsSurviveReopening(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	for round := range 4 {
		l := start(t, dir, Options{})
		put(t, l, round*100, round*100+100)
		stop(t, l)
	}
	r := sound(t, dir, 400)
	if r.Signed != 400 || r.Checkpoints < 4 {
		t.Errorf("signed %d of 400 records in %d checkpoints", r.Signed, r.Checkpoints)
	}
	for _, name := range []string{privateKeyFile, lockFile, segmentName(0)} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v", name, info.Mode(), err)
		}
	}
}

func TestSegmentsRotateAndPrune(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	l := start(t, dir, Options{SegmentBytes: 4 << 10, MaxBytes: 20 << 10})
	for i := range 40 {
		put(t, l, i*10, i*10+10)
	}
	stop(t, l)
	r, err := Verify(t.Context(), dir, VerifyOptions{})
	if err != nil || len(r.Faults) > 0 {
		t.Fatal(r, err)
	}
	if r.Segments < 3 || r.First == 0 || r.Bytes > 40<<10 {
		t.Errorf("not pruned: %+v", r)
	}
	if !strings.Contains(text(t, dir), `"event":"pruned"`) {
		t.Error("no record says that segments were pruned")
	}
	if err := os.Remove(filepath.Join(dir, segmentName(r.First))); err != nil {
		t.Fatal(err)
	}
	if r, err = Verify(t.Context(), dir, VerifyOptions{}); err != nil || len(r.Faults) == 0 {
		t.Errorf("a segment more than was pruned is missing, and nothing is said: %+v %v", r, err)
	}
}

func TestOneProcessWritesToAFolder(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	start(t, dir, Options{})
	if _, err := Open(dir, Options{}); err == nil || !strings.Contains(err.Error(), "another ledger") {
		t.Errorf("opened twice: %v", err)
	}
}

func TestScannerFollowsAWriter(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	l := start(t, dir, Options{SegmentBytes: 2 << 10})
	s, err := l.Scan(0)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	next := uint64(0)
	drain := func() {
		for {
			line, err := s.Next()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if line.Kind == Garbage {
				t.Fatalf("garbage: %q", line.Text)
			}
			if line.Kind == Record {
				if line.Seq != next || !strings.Contains(string(line.Text), fmt.Sprintf(`"id":"%d"`, next)) {
					t.Fatalf("record %d, want %d: %s", line.Seq, next, line.Text)
				}
				next++
			}
		}
	}
	mark := uint64(0)
	for i := range 50 {
		put(t, l, i*7, i*7+7)
		drain()
		if next != uint64(i*7+7) {
			t.Fatalf("read up to %d of %d", next, i*7+7)
		}
		if mark, err = l.Wait(t.Context(), mark); err != nil {
			t.Fatal(err)
		}
	}
	stop(t, l)
	drain()
	if _, err := l.Wait(t.Context(), 1<<60); !errors.Is(err, ErrClosed) {
		t.Errorf("Wait on a closed ledger: %v", err)
	}
}

func TestUnfinishedCallsAreFound(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	calls := func(record []byte) (opens, closes string) {
		_, after, _ := strings.Cut(string(record), `"id":"`)
		id, _, _ := strings.Cut(after, `"`)
		if strings.Contains(string(record), `"event":"attempt"`) {
			return id, ""
		}
		return "", id
	}
	attempt := func(id string) *Entry {
		return &Entry{Object: fmt.Appendf(nil, `{"event":"attempt","id":%q}`, id), Class: Require, Opens: id}
	}
	l := start(t, dir, Options{Calls: calls, SegmentBytes: 1})
	for _, id := range []string{"a", "b", "c"} { // a segment each
		if err := l.Append(t.Context(), attempt(id)); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Append(t.Context(), &Entry{Object: object("b"), Class: Require, Closes: "b"}); err != nil {
		t.Fatal(err)
	}
	stop(t, l)
	l = start(t, dir, Options{Calls: calls})
	got := fmt.Sprint(l.Unfinished())
	if got != "[{a 0} {c 2}]" {
		t.Errorf("unfinished: %s", got)
	}
}

func TestProofsOfEveryRecord(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	l := start(t, dir, Options{SegmentBytes: 2 << 10})
	put(t, l, 0, 67)
	stop(t, l)
	for seq := range uint64(67) {
		p, err := Prove(t.Context(), dir, seq, nil)
		if err != nil {
			t.Fatal(seq, err)
		}
		back, err := ParseProof(p.Text())
		if err != nil {
			t.Fatal(err)
		}
		if err := back.Check(l.Key().Verifier()); err != nil {
			t.Errorf("record %d: %v", seq, err)
		}
		back.Record = append(back.Record[:len(back.Record)-2:len(back.Record)-2], '!', '}')
		if back.Check(l.Key().Verifier()) == nil {
			t.Errorf("record %d was changed and is still proved", seq)
		}
	}
}

func TestAppendIsRefusedAfterClose(t *testing.T) {
	t.Parallel()
	l := start(t, folder(t), Options{})
	stop(t, l)
	if err := l.Append(t.Context(), &Entry{Object: object("x")}); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
}

func TestManyProducers(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	l := start(t, dir, Options{SegmentBytes: 64 << 10})
	var wg sync.WaitGroup
	for p := range 16 {
		wg.Go(func() {
			for i := range 200 {
				if err := l.Append(context.Background(), &Entry{Object: object(fmt.Sprint(p, i)), Class: Class(i % 3)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	stop(t, l)
	sound(t, dir, 3200)
}
