package ledger

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"syscall"
	"time"
)

const (
	// checkpointEvery is how often a growing log is signed.
	checkpointEvery   = time.Second
	checkpointRecords = 10_000
	// retryEvery is how often a log that cannot be written is tried again.
	retryEvery = 250 * time.Millisecond
	// rotatePause is how long a segment goes on when the next cannot be begun.
	rotatePause = time.Minute
)

// A writer is the state of the goroutine that writes.
type writer struct {
	disk  disk
	path  string
	first uint64    // of the segment
	began time.Time // of the segment
	// rotateAt is when the next segment may be tried again.
	rotateAt time.Time
	off      int64 // what is safe of it
	before   int64 // what is safe of the one before, if that was given up; or 0
	tree     tree  // of what is safe
	hash     *leafHasher
	open     map[string]uint64
	carry    *batch // taken from producers and not yet written
	out      []byte
	marks    []mark
	signed   uint64 // size that the last checkpoint covers
	signAt   time.Time
	signing  *signing
	mute     time.Time     // until when a signer that failed is left alone
	sizes    []segmentSize // of all segments, the oldest first
	doomed   int           // of them, those that a record says are pruned
	pruned   int           // of those, those of which the record is safe
	failing  bool
	told     []byte // reports of the ledger itself that are to be written
	toldEnd  []int
}

func newWriter() writer {
	return writer{hash: newLeafHasher(), open: make(map[string]uint64), carry: &batch{}}
}

// A mark is a call that begins or ends in the batch at hand.
type mark struct {
	id   string
	seq  uint64
	open bool
}

type segmentSize struct {
	first uint64
	bytes int64
}

// run is the writing goroutine.
func (l *Ledger) run() {
	defer close(l.stopped)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	linger := time.NewTimer(time.Hour)
	defer linger.Stop()
	for {
		timer.Reset(l.untilDue())
		select {
		case <-l.urgent:
		case <-timer.C:
		case <-l.lazy:
			linger.Reset(l.opts.Linger)
			select {
			case <-l.urgent:
			case <-linger.C:
			case <-l.quit:
			}
		case <-l.quit:
			l.finish()
			return
		}
		l.cycle()
	}
}

// untilDue says when there is something to do even if nobody appends.
func (l *Ledger) untilDue() time.Duration {
	w := &l.w
	switch {
	case w.failing:
		return retryEvery
	case w.signed < w.tree.size:
		return max(0, w.signAt.Sub(l.now()))
	}
	return time.Hour
}

// cycle writes what has been appended.
func (l *Ledger) cycle() {
	w := &l.w
	l.mu.Lock()
	b := l.pending
	l.pending, l.spare = l.spare, nil
	lost := l.losses
	l.losses = losses{}
	if l.room != nil {
		close(l.room)
		l.room = nil
	}
	l.mu.Unlock()

	err := l.write(lost, w.carry, b)
	if err != nil {
		err = l.keep(b, lost, err)
	}
	waiters := b.waiters
	b.reset()
	l.mu.Lock()
	l.spare = b
	l.fault = err
	if l.grown != nil && err == nil {
		close(l.grown)
		l.grown = nil
	}
	l.mu.Unlock()
	if waiters != nil { // who is refused finds the fault
		waiters.err = err
		close(waiters.done)
	}
	if err != nil && !w.failing {
		l.opts.OnFault(fmt.Errorf("ledger: %s: %w", l.dir, err))
	}
	if w.failing && err == nil {
		l.saveReserve()
	}
	w.failing = err != nil
}

// write takes reports, losses and the parts to the disk and makes them safe.
func (l *Ledger) write(lost losses, parts ...*batch) error {
	w := &l.w
	if err := l.prepare(); err != nil {
		return err
	}
	now := l.now()
	t := w.tree
	w.out, w.marks = w.out[:0], w.marks[:0]
	for i, start := 0, 0; i < len(w.toldEnd); i++ {
		l.compose(&t, w.told[start:w.toldEnd[i]], item{})
		start = w.toldEnd[i]
	}
	for _, r := range lost.reasons {
		l.compose(&t, r.object(now), item{})
	}
	for _, part := range parts {
		start := 0
		for _, it := range part.items {
			l.compose(&t, part.objects[start:it.end], it)
			start = it.end
		}
	}
	var signed string
	if t.size > w.signed && (!now.Before(w.signAt) || t.size-w.signed >= checkpointRecords || l.closing()) {
		if signed = l.sign(&t); signed != "" {
			w.out = appendCheckpoint(w.out, signed)
		}
	}
	if len(w.out) == 0 {
		return nil
	}
	if err := l.commit(); err != nil {
		return err
	}
	w.tree = t
	for _, m := range w.marks {
		if m.open {
			w.open[m.id] = m.seq
		} else {
			delete(w.open, m.id)
		}
	}
	if slices.Contains(parts, w.carry) {
		w.carry.reset()
	}
	w.told, w.toldEnd = w.told[:0], w.toldEnd[:0]
	w.pruned = w.doomed
	_ = l.removePruned() // the next write tries again, and says so
	if signed != "" {
		w.signed, w.signAt = t.size, now.Add(checkpointEvery)
	}
	l.mu.Lock()
	l.written += uint64(len(w.out))
	l.size, l.at = t.size, position{w.first, w.off}
	l.mu.Unlock()
	if signed != "" {
		l.opts.OnCheckpoint(signed)
	}
	w.out = emptied(w.out)
	return nil
}

// compose adds the line of one record to what is to be written.
func (l *Ledger) compose(t *tree, object []byte, it item) {
	w := &l.w
	start := len(w.out)
	if it.opens != "" {
		w.marks = append(w.marks, mark{it.opens, t.size, true})
	}
	if it.closes != "" {
		w.marks = append(w.marks, mark{it.closes, t.size, false})
	}
	w.out = appendRecord(w.out, t.size, &t.last, object)
	t.push(w.hash.leaf(w.out[start:]), nil)
	w.out = append(w.out, '\n')
}

// commit writes the composed lines behind what is safe, and makes them safe. When
// the disk does not confirm that, the file is given up: what a failed fsync has
// thrown away, a second one does not bring back. The lines go to a new segment.
func (l *Ledger) commit() error {
	written, err := l.w.save()
	if err == nil {
		return nil
	}
	cut := l.w.disk.Truncate(l.w.off) // if it fails: the next header says where this one ends
	if !written && isFull(err) && cut == nil {
		return err // a new segment would not fit either
	}
	if fault := l.abandon(); fault != nil {
		return errors.Join(err, fault)
	}
	if err := l.begin(l.now(), l.w.before); err != nil {
		return err
	}
	if _, err = l.w.save(); err != nil {
		err = errors.Join(err, l.abandon())
	}
	return err
}

// save writes the composed lines. It reports whether it was the sync that failed.
func (w *writer) save() (written bool, err error) {
	n, err := w.disk.WriteAt(w.out, w.off)
	if err == nil && n < len(w.out) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return false, err
	}
	if err := w.disk.Sync(); err != nil {
		return true, err
	}
	w.off += int64(len(w.out))
	w.sizes[len(w.sizes)-1].bytes = w.off
	return true, nil
}

// isFull reports whether an error says that there is no space, or no more allowed. A
// file that may not grow is none: the next segment may.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// keep holds on to what producers were told is taken, and counts the rest as lost.
// It returns the fault.
func (l *Ledger) keep(b *batch, lost losses, fault error) error {
	w := &l.w
	now := l.now()
	start := 0
	for _, it := range b.items {
		object := b.objects[start:it.end]
		start = it.end
		e := &Entry{object, it.class, it.opens, it.closes, it.stands}
		if it.class == Require || len(w.carry.items) > 0 && w.carry.cost+e.cost() > l.opts.QueueBytes {
			lost.addMany(it.class, "the log could not be written", now, it.stands)
			continue
		}
		w.carry.add(e)
	}
	if isFull(fault) && l.spendReserve() {
		l.tell(&report{
			Time: now, Event: eventGap, Reason: "there is no space",
			Detail: "records are lost from here on; how many, a later record says",
		})
		if err := l.write(losses{}); err != nil && !w.failing {
			l.opts.OnFault(fmt.Errorf("ledger: %s: the last reserve: %w", l.dir, err))
		}
	}
	l.mu.Lock()
	l.losses.merge(lost)
	l.mu.Unlock()
	return fault
}

// tell queues a report of the ledger itself.
func (l *Ledger) tell(r *report) {
	w := &l.w
	w.told = append(w.told, r.object()...)
	w.toldEnd = append(w.toldEnd, len(w.told))
}

// finish writes what is left at Close.
func (l *Ledger) finish() {
	w := &l.w
	l.cycle()
	l.mu.Lock()
	fault, lost := l.fault, l.losses
	l.mu.Unlock()
	if fault == nil && lost.total() > 0 { // lost while the last cycle ran
		l.cycle()
		fault = l.Fault()
	}
	if fault != nil {
		left := uint64(0)
		for _, it := range w.carry.items {
			left += it.stands
		}
		w.carry.reset()
		l.mu.Lock()
		if left > 0 {
			l.losses.addMany(Bounded, "the log could not be written before it was closed", l.now(), left)
		}
		lost, l.losses = l.losses, losses{}
		l.mu.Unlock()
		l.spendReserve()
		if err := l.write(lost); err != nil {
			l.reason = fmt.Errorf("ledger: %s: %d records are lost: %w", l.dir, lost.total(), err)
		} else {
			l.reason = fmt.Errorf("ledger: %s: %d records are lost, as its last record says: %w", l.dir, lost.total(), fault)
		}
	}
	if w.disk != nil {
		l.reason = errors.Join(l.reason, w.disk.Close())
	}
	l.reason = errors.Join(l.reason, unlock(l.locked))
	l.mu.Lock()
	l.ended = true
	if l.grown != nil {
		close(l.grown)
		l.grown = nil
	}
	l.mu.Unlock()
}

func (l *Ledger) closing() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

// sign returns a checkpoint of the tree, or nothing if the key does not answer.
func (l *Ledger) sign(t *tree) string {
	w := &l.w
	if l.now().Before(w.mute) && !l.closing() {
		return ""
	}
	text, err := w.signing.head(head{l.origin, t.size, t.root()})
	if err != nil {
		l.opts.OnFault(fmt.Errorf("ledger: %s: the checkpoint of %d records cannot be signed, and the log goes on without: %w", l.dir, t.size, err))
		w.mute = l.now().Add(signPause)
		w.signAt = w.mute
		return ""
	}
	w.mute = time.Time{}
	return text
}
