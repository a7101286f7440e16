package ledger

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// gate returns a failure function that holds up each sync until it is opened.
func gate(t *testing.T) (fail func(op, name string) error, open func()) {
	t.Helper()
	shut := make(chan struct{})
	open = sync.OnceFunc(func() { close(shut) })
	t.Cleanup(open)
	return func(op, _ string) error {
		if op == "sync" {
			<-shut
		}
		return nil
	}, open
}

// While the disk stands still the queue fills up to its bound, and each class gets
// what it was promised.
func TestQueueIsFull(t *testing.T) {
	t.Parallel()
	dir, f := folder(t), newFaults()
	const queue = 8 << 10
	l := startFaulty(t, dir, Options{QueueBytes: queue}, f)
	fail, open := gate(t)
	f.set(fail)
	taken, lost := 0, uint64(0)
	e := &Entry{Object: object("x"), Class: Bounded}
	for { // some are with the disk, the others in the queue
		err := l.Append(t.Context(), e)
		if errors.Is(err, ErrBusy) {
			lost++
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		taken++
	}
	if most := 3 * queue / e.cost(); taken > most {
		t.Errorf("%d records were taken, and there is room for %d", taken, most)
	}
	for range 10 {
		lost++
		if err := l.Append(t.Context(), &Entry{Object: object("x"), Class: BestEffort}); err != nil {
			t.Error(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	lost++
	if err := l.Append(ctx, &Entry{Object: object("x"), Class: Require}); !errors.Is(err, context.Canceled) {
		t.Errorf("Require does not respect the context: %v", err)
	}
	open()
	must(t, l, "x")
	stop(t, l)
	r, err := Verify(t.Context(), dir, VerifyOptions{})
	if err != nil || len(r.Faults) > 0 || r.Lost != lost {
		t.Errorf("lost %d: %+v %v", lost, r, err)
	}
	if n := strings.Count(readAll(t, dir), `"id":"x"`); n != taken+1 {
		t.Errorf("%d records in the log, want %d", n, taken+1)
	}
}

// A record larger than the queue is not refused for ever.
func TestRecordLargerThanTheQueue(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	l := start(t, dir, Options{QueueBytes: 16})
	for i := range 5 {
		must(t, l, fmt.Sprint(i))
	}
	stop(t, l)
	sound(t, dir, 5)
}

func TestWhatIsNoRecordIsRefused(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	l := start(t, dir, Options{})
	for _, object := range []string{"", "{}", "[1]", `{"a":1`, "{\"a\":\n1}", "{\"a\":\"\x00\"}", `{"a":"` + strings.Repeat("x", maxLine) + `"}`} {
		for class := range Class(3) {
			if err := l.Append(t.Context(), &Entry{Object: []byte(object), Class: class}); err == nil {
				t.Errorf("%.40q was taken", object)
			}
		}
	}
	must(t, l, "a")
	stop(t, l)
	sound(t, dir, 1)
}

// With 4 ms for each sync, 64 callers share them.
func TestSlowDiskIsShared(t *testing.T) {
	t.Parallel()
	dir, f := folder(t), newFaults()
	f.slow = 4 * time.Millisecond
	l := startFaulty(t, dir, Options{}, f)
	const callers, each = 64, 20
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range each {
				if err := l.Append(context.Background(), &Entry{Object: object("x")}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	stop(t, l)
	sound(t, dir, callers*each)
	if n := f.ops["sync"]; n > callers*each/4 {
		t.Errorf("%d syncs for %d records", n, callers*each)
	}
}

// Producers faster than the disk: what the gap records say is what is missing.
func TestProducersFasterThanTheDisk(t *testing.T) {
	t.Parallel()
	dir, f := folder(t), newFaults()
	f.slow = time.Millisecond
	l := startFaulty(t, dir, Options{QueueBytes: 32 << 10, DropBounded: true}, f)
	var appended, refused atomic.Int64
	var wg sync.WaitGroup
	for p := range 6 {
		wg.Go(func() {
			for range 2000 {
				appended.Add(1)
				err := l.Append(context.Background(), &Entry{Object: object("x"), Class: BestEffort - Class(p/5)})
				if err != nil {
					refused.Add(1)
				}
			}
		})
	}
	wg.Wait()
	stop(t, l)
	r, err := Verify(t.Context(), dir, VerifyOptions{})
	if err != nil || len(r.Faults) > 0 {
		t.Fatalf("%+v %v", r, err)
	}
	there := strings.Count(readAll(t, dir), `"id":"x"`)
	if missing := int(appended.Load()) - there; missing != int(r.Lost) || refused.Load() > 0 {
		t.Errorf("%d of %d records are not there, and the log says %d", missing, appended.Load(), r.Lost)
	}
	if r.Lost == 0 {
		t.Error("nothing was lost: this test tests nothing")
	}
}

// The clock is set back a year: numbers go on, the log verifies, and it is signed at
// the end.
func TestClockGoesBack(t *testing.T) {
	t.Parallel()
	dir, clock := folder(t), newClock()
	for _, change := range []time.Duration{0, -365 * 24 * time.Hour, 365 * 24 * time.Hour} {
		l, err := open(dir, Options{SegmentAge: time.Minute}, realMedia, clock.now)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		must(t, l, "a")
		clock.add(change)
		must(t, l, "b")
		stop(t, l)
	}
	if r := sound(t, dir, 6); r.Signed != 6 {
		t.Errorf("%+v", r)
	}
}

// A signer of a test answers as it says.
type testSigner struct {
	crypto.Signer

	asked  atomic.Int64
	answer func(s crypto.Signer, digest []byte, o crypto.SignerOpts) ([]byte, error)
}

func (s *testSigner) Sign(_ io.Reader, digest []byte, o crypto.SignerOpts) ([]byte, error) {
	s.asked.Add(1)
	return s.answer(s.Signer, digest, o)
}

func ecdsaSigner(t *testing.T) crypto.Signer {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// A signer that fails does not hold up the log, is left alone for a while, and what
// it has missed it signs later.
func TestSignerFails(t *testing.T) {
	t.Parallel()
	type signs = func(s crypto.Signer, digest []byte, o crypto.SignerOpts) ([]byte, error)
	sign := func(s crypto.Signer, digest []byte, o crypto.SignerOpts) ([]byte, error) {
		return s.Sign(rand.Reader, digest, o)
	}
	for name, fails := range map[string]signs{
		"error":   func(crypto.Signer, []byte, crypto.SignerOpts) ([]byte, error) { return nil, errors.New("KMS is away") },
		"panic":   func(crypto.Signer, []byte, crypto.SignerOpts) ([]byte, error) { panic("KMS is broken") },
		"garbage": func(crypto.Signer, []byte, crypto.SignerOpts) ([]byte, error) { return []byte("yes"), nil },
		"hangs":   nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hung := make(chan struct{})
			release := sync.OnceFunc(func() { close(hung) })
			if fails == nil {
				fails = func(s crypto.Signer, digest []byte, o crypto.SignerOpts) ([]byte, error) {
					<-hung
					return sign(s, digest, o)
				}
			}
			var broken atomic.Bool
			broken.Store(true)
			s := &testSigner{Signer: ecdsaSigner(t), answer: func(s crypto.Signer, digest []byte, o crypto.SignerOpts) ([]byte, error) {
				if broken.Load() {
					return fails(s, digest, o)
				}
				return sign(s, digest, o)
			}}
			key, err := NewKey("log", s)
			if err != nil {
				t.Fatal(err)
			}
			dir, clock := folder(t), newClock()
			var told atomic.Int64
			l, err := open(dir, Options{Origin: "log", Key: key, OnFault: func(error) { told.Add(1) }}, realMedia, clock.now)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { release(); _ = l.Close() })
			signing := l.w.signing
			signing.timeout = time.Hour // before the first record: nobody reads it yet
			if name == "hangs" {
				signing.timeout = 20 * time.Millisecond
			}
			for i := range 5 {
				must(t, l, fmt.Sprint(i))
				clock.add(2 * time.Second)
			}
			if asked := s.asked.Load(); asked != 1 || told.Load() != 1 {
				t.Errorf("a signer that fails was asked %d times, and %d faults were told", asked, told.Load())
			}
			clock.add(signPause)
			must(t, l, "5")
			if asked := s.asked.Load(); name == "hangs" && asked != 1 || name != "hangs" && asked != 2 {
				t.Errorf("after the pause it was asked %d times", asked)
			}
			broken.Store(false)
			if name == "hangs" {
				release()
				for signing.late != nil && len(signing.late) == 0 {
					<-time.After(time.Millisecond)
				}
				signing.timeout = time.Hour // it answers, whenever it runs
			}
			clock.add(signPause)
			must(t, l, "6")
			stop(t, l)
			if r := sound(t, dir, 7); r.Signed != 7 {
				t.Errorf("what was not signed is not signed later: %+v", r)
			}
		})
	}
}

// A signer that fails is not asked with every write, however many records wait for a
// signature.
func TestSignerFailsInAFlood(t *testing.T) {
	t.Parallel()
	s := &testSigner{Signer: ecdsaSigner(t), answer: func(crypto.Signer, []byte, crypto.SignerOpts) ([]byte, error) {
		return nil, errors.New("KMS is away")
	}}
	key, err := NewKey("log", s)
	if err != nil {
		t.Fatal(err)
	}
	dir, clock := folder(t), newClock()
	l, err := open(dir, Options{Key: key}, realMedia, clock.now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	for i := range 30 {
		put(t, l, i*checkpointRecords/10, (i+1)*checkpointRecords/10)
	}
	if asked := s.asked.Load(); asked != 1 {
		t.Errorf("it was asked %d times", asked)
	}
	stop(t, l)
	sound(t, dir, 3*checkpointRecords)
}

func TestGarbageSignatureIsNotWritten(t *testing.T) {
	t.Parallel()
	s := &testSigner{Signer: ecdsaSigner(t), answer: func(crypto.Signer, []byte, crypto.SignerOpts) ([]byte, error) {
		return []byte("yes"), nil
	}}
	key, err := NewKey("log", s)
	if err != nil {
		t.Fatal(err)
	}
	dir := folder(t)
	l := start(t, dir, Options{Key: key})
	must(t, l, "a")
	stop(t, l)
	if r := sound(t, dir, 1); r.Signed != 0 {
		t.Errorf("%+v", r)
	}
	l = start(t, dir, Options{Key: key}) // it can be opened
	stop(t, l)
}

// An ECDSA key signs, proves, and is read from its text.
func TestECDSAKey(t *testing.T) {
	t.Parallel()
	key, err := NewKey("log", ecdsaSigner(t))
	if err != nil {
		t.Fatal(err)
	}
	dir := folder(t)
	l := start(t, dir, Options{Origin: "log", Key: key})
	put(t, l, 0, 20)
	stop(t, l)
	v, err := ParseVerifier(key.String())
	if err != nil {
		t.Fatal(err)
	}
	p, err := Prove(t.Context(), dir, 7, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Check(v); err != nil {
		t.Error(err)
	}
	if err := p.Check(otherKey(t, "log").Verifier()); err == nil {
		t.Error("proved with another key")
	}
	for _, curve := range []elliptic.Curve{elliptic.P224(), elliptic.P384()} {
		k, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := NewKey("log", k); err == nil {
			t.Errorf("a key on %s was taken", curve.Params().Name)
		}
	}
}

// What is queued at Close is written, all of it, and signed.
func TestCloseWithALongQueue(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	const n = 100_000
	l := start(t, dir, Options{QueueBytes: 64 << 20, Linger: time.Hour})
	for i := range n {
		if err := l.Append(t.Context(), &Entry{Object: []byte(`{"event":"outcome"}`), Class: Class(1 + i%2)}); err != nil {
			t.Fatal(err)
		}
	}
	stop(t, l)
	if r := sound(t, dir, n); r.Signed != n || r.Lost != 0 {
		t.Errorf("%+v", r)
	}
	l = start(t, dir, Options{})
	must(t, l, "a")
	stop(t, l)
	sound(t, dir, n+1)
}

// Close while others append: what was acknowledged is there, the rest refused.
func TestCloseWhileOthersAppend(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	l := start(t, dir, Options{})
	var (
		acked atomic.Int64
		wg    sync.WaitGroup
		begun = make(chan struct{})
		once  sync.Once
	)
	for p := range 8 {
		wg.Go(func() {
			for {
				err := l.Append(context.Background(), &Entry{Object: object("x"), Class: Class(p % 2)})
				if errors.Is(err, ErrClosed) {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				if acked.Add(1) > 100 {
					once.Do(func() { close(begun) })
				}
			}
		})
	}
	<-begun
	stop(t, l)
	wg.Wait()
	sound(t, dir, uint64(acked.Load()))
	if err := l.Close(); err != nil {
		t.Error("closed twice:", err)
	}
}

// A reader that holds what it has not read gets everything, whatever is pruned.
func TestFollowerHoldsWhatItNeeds(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	var next atomic.Uint64
	l := start(t, dir, Options{SegmentBytes: 2 << 10, MaxBytes: 6 << 10, Hold: next.Load})
	const n = 500
	var wg sync.WaitGroup
	wg.Go(func() {
		s, err := l.Scan(0)
		if err != nil {
			t.Error(err)
			return
		}
		defer s.Close()
		mark := uint64(0)
		for ids := 0; ids < n; {
			line, err := s.Next()
			if errors.Is(err, io.EOF) {
				if mark, err = l.Wait(context.Background(), mark); err == nil {
					continue
				}
			}
			if err != nil || line.Kind == Garbage || line.Kind == Record && line.Seq != next.Load() {
				t.Errorf("%+v %v", line, err)
				next.Store(1 << 60) // nothing is held any more
				return
			}
			if line.Kind == Record {
				next.Store(line.Seq + 1)
				if strings.Contains(string(line.Text), `"id":"`) {
					ids++
				}
			}
		}
	})
	full := 0
	for i := range n {
		for {
			err := l.Append(t.Context(), &Entry{Object: object(fmt.Sprint(i))})
			if err == nil {
				break
			}
			if !errors.Is(err, ErrFull) {
				t.Fatal(err)
			}
			full++
			recovers(t, l)
		}
	}
	wg.Wait()
	stop(t, l)
	r, err := Verify(t.Context(), dir, VerifyOptions{})
	if err != nil || len(r.Faults) > 0 || r.First == 0 {
		t.Errorf("%+v %v", r, err)
	}
	t.Logf("refused %d times because the reader was behind", full)
}

// A log that may remove nothing takes nothing.
func TestHoldFillsTheLog(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	l := start(t, dir, Options{SegmentBytes: 1 << 10, MaxBytes: 4 << 10, Hold: func() uint64 { return 0 }})
	var err error
	for i := 0; i < 200 && err == nil; i++ {
		err = l.Append(t.Context(), &Entry{Object: object("x")})
	}
	if !errors.Is(err, ErrFull) {
		t.Errorf("the log grows beyond its bound: %v", err)
	}
	if r, err := Verify(t.Context(), dir, VerifyOptions{}); err != nil || len(r.Faults) > 0 || r.First != 0 || r.Bytes > 8<<10 {
		t.Errorf("%+v %v", r, err)
	}
}
