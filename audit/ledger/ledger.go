package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// A Class says what a record is worth when it cannot be written at once.
type Class int

const (
	// Require makes Append return once the record survives a loss of power, or with
	// an error: what it reports must not happen.
	Require Class = iota
	// Bounded makes Append return once the record is in the queue, which it waits for
	// no longer than 50 ms. While the log cannot be written it returns an error, or
	// with Options.DropBounded counts the record as lost.
	Bounded
	// BestEffort makes Append never wait. What the queue has no room for is counted as
	// lost.
	BestEffort
)

// String returns "require", "bounded" or "best-effort".
func (c Class) String() string {
	switch c {
	case Require:
		return "require"
	case Bounded:
		return "bounded"
	case BestEffort:
		return "best-effort"
	}
	return fmt.Sprintf("Class(%d)", int(c))
}

// An Entry is what a producer appends.
type Entry struct {
	// Object is one JSON object of one line, with at least one member and none
	// named seq or prev. Append copies it.
	Object []byte
	Class  Class
	// Opens and Closes name a call that begins or ends with this record. A ledger
	// that is opened after a crash tells which never ended: see [Ledger.Unfinished].
	Opens, Closes string
	// Stands is how many records are lost with this one; 0 means 1.
	Stands uint64
}

func (e *Entry) weight() uint64 { return max(e.Stands, 1) }

// Errors of Append. What else it returns says why the log cannot be written.
var (
	ErrClosed = errors.New("the ledger is closed")
	ErrBusy   = errors.New("the ledger's queue is full: the disk is slower than what is recorded")
)

// boundedWait is how long a Bounded record waits for room.
const boundedWait = 50 * time.Millisecond

// A Ledger is the writing end of a log: one goroutine writes what all others
// append, many records with one write and one fsync. Make one with [Open]; all
// methods are safe for concurrent use.
type Ledger struct {
	opts   Options
	dir    string
	origin string
	key    *Key
	media  media
	now    func() time.Time
	locked *os.File

	lazy, urgent chan struct{} // one poke each
	quit         chan struct{}
	stopped      chan struct{}

	mu      sync.Mutex
	pending *batch
	spare   *batch
	losses  losses
	fault   error         // the log cannot be written
	closed  bool          // nothing more is taken
	ended   bool          // nothing more will be written
	room    chan struct{} // closed when the queue has been taken; nil if nobody waits
	written uint64        // bytes that are safe, of all segments
	grown   chan struct{} // closed when there are more; nil if nobody waits
	size    uint64        // records that are safe
	at      position      // up to where readers may read

	unfinished []Unfinished
	reason     error // of Close

	w writer // the writing goroutine's own
}

// An Unfinished is a call that had begun when the process ended.
type Unfinished struct {
	ID  string
	Seq uint64 // number of the record that opened it
}

// Unfinished returns the calls that had begun and not ended when the log was last
// written, by an earlier process.
func (l *Ledger) Unfinished() []Unfinished { return l.unfinished }

// Origin returns the log's name, which stands in every checkpoint.
func (l *Ledger) Origin() string { return l.origin }

// Key returns the key that signs checkpoints.
func (l *Ledger) Key() *Key { return l.key }

// A batch is what one write takes to the disk.
type batch struct {
	objects []byte // one after the other
	items   []item
	cost    int     // in memory
	waiters *ticket // of those who wait for it; nil without
}

type item struct {
	end           int // of the object in objects
	class         Class
	opens, closes string
	stands        uint64
}

// A ticket is what the Require records of one batch wait for.
type ticket struct {
	done chan struct{}
	err  error
}

func (b *batch) reset() {
	clear(b.items)
	*b = batch{objects: emptied(b.objects), items: b.items[:0]}
}

func (b *batch) add(e *Entry) {
	b.cost += e.cost()
	b.objects = append(b.objects, e.Object...)
	b.items = append(b.items, item{len(b.objects), e.Class, e.Opens, e.Closes, e.weight()})
}

// cost is what an entry takes of the queue: small records are not for nothing.
func (e *Entry) cost() int { return len(e.Object) + len(e.Opens) + len(e.Closes) + itemBytes }

// emptied returns a buffer to fill again. One that a flood has left large is dropped
// once it is little used.
func emptied(b []byte) []byte {
	if cap(b) > keepBuffer && len(b) < cap(b)/4 {
		return nil
	}
	return b[:0]
}

const (
	itemBytes  = 64
	keepBuffer = 4 << 20
	// hurry is how many bytes are written without waiting for more.
	hurry = 256 << 10
)

// Append adds a record to the log. It returns nil once the record is as safe as its
// class demands. After an error the record is not in the log, with one exception:
// when the context ends first, the record may still arrive.
func (l *Ledger) Append(ctx context.Context, e *Entry) error {
	if err := e.check(); err != nil {
		return err
	}
	wait, err := l.enqueue(ctx, e)
	if wait == nil {
		return err
	}
	select {
	case <-wait.done:
		return wait.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// check refuses what would not be one line that can be read again.
func (e *Entry) check() error {
	if n := len(e.Object); n < 3 || n > maxLine-128 || e.Object[0] != '{' || e.Object[n-1] != '}' {
		return fmt.Errorf("ledger: a record is a JSON object of up to %d bytes", maxLine-128)
	}
	if bytes.IndexByte(e.Object, '\n') >= 0 || bytes.IndexByte(e.Object, 0) >= 0 {
		return errors.New("ledger: a record is a JSON object of one line, without zero bytes")
	}
	return nil
}

// enqueue queues a record once there is room for it. The ticket is what its producer
// waits for; nil for one that does not wait.
func (l *Ledger) enqueue(ctx context.Context, e *Entry) (*ticket, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var until time.Time
	for !l.closed && l.fault == nil && !l.fits(e) {
		if e.Class == BestEffort {
			return nil, l.refuse(e, nil, "the queue was full")
		}
		if err := l.awaitRoom(ctx, e.Class, &until); err != nil {
			return nil, l.refuse(e, err, "the queue was full")
		}
	}
	switch {
	case l.closed:
		return nil, ErrClosed
	case l.fault != nil:
		return nil, l.refuse(e, l.fault, "the log could not be written")
	}
	b := l.pending
	b.add(e)
	if e.Class == Require && b.waiters == nil {
		b.waiters = &ticket{done: make(chan struct{})}
	}
	switch {
	case e.Class == Require || len(b.objects) >= hurry:
		poke(l.urgent)
	case len(b.items) == 1:
		poke(l.lazy)
	}
	if e.Class == Require {
		return b.waiters, nil
	}
	return nil, nil
}

// fits reports whether the queue has room. A record larger than all of it goes alone.
func (l *Ledger) fits(e *Entry) bool {
	return len(l.pending.items) == 0 || l.pending.cost+e.cost() <= l.opts.QueueBytes
}

// awaitRoom gives the lock up until the queue has been taken. Until is when a Bounded
// record gives up.
func (l *Ledger) awaitRoom(ctx context.Context, c Class, until *time.Time) error {
	var timeout <-chan time.Time
	if c == Bounded {
		if until.IsZero() {
			*until = time.Now().Add(boundedWait)
		}
		t := time.NewTimer(time.Until(*until))
		defer t.Stop()
		timeout = t.C
	}
	if l.room == nil {
		l.room = make(chan struct{})
	}
	room := l.room
	l.mu.Unlock()
	defer l.mu.Lock()
	select {
	case <-room:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-timeout:
		return ErrBusy
	}
}

// refuse counts a record that is not taken, and returns the error for its producer.
func (l *Ledger) refuse(e *Entry, err error, why string) error {
	l.losses.addMany(e.Class, why, l.now(), e.weight())
	if e.Class == BestEffort || e.Class == Bounded && l.opts.DropBounded {
		return nil
	}
	return err
}

// CountLost adds to the log's next gap record what a producer, or a reader that
// passes records on, has lost for a reason of its own. It reports false once the
// ledger is closed: then nothing says so any more.
func (l *Ledger) CountLost(class Class, why string, count uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.losses.addMany(class, why, l.now(), count)
	poke(l.lazy)
	return true
}

// Lost returns how many records have been lost and not yet been accounted for in
// the log.
func (l *Ledger) Lost() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.losses.total()
}

// Size returns how many records the log has had: the number of the next.
func (l *Ledger) Size() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.size
}

// Fault returns why the log cannot be written at the moment; nil if it can.
func (l *Ledger) Fault() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fault
}

// Wait returns when more has become safe than the mark says, with the new mark. The
// first mark is 0.
func (l *Ledger) Wait(ctx context.Context, mark uint64) (uint64, error) {
	for {
		l.mu.Lock()
		written, ended := l.written, l.ended
		if l.grown == nil && !ended {
			l.grown = make(chan struct{})
		}
		grown := l.grown
		l.mu.Unlock()
		switch {
		case written > mark:
			return written, nil
		case ended:
			return mark, ErrClosed
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return mark, ctx.Err()
		}
	}
}

// Close writes what is queued, signs a last checkpoint, and gives the folder free.
// Records that come later are refused. It returns why, and how many records, could
// not be written; closing again returns the same.
func (l *Ledger) Close() error {
	l.mu.Lock()
	first := !l.closed
	l.closed = true
	l.mu.Unlock()
	if first {
		close(l.quit)
	}
	<-l.stopped
	return l.reason
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
