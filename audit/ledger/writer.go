package ledger

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
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
)

// A writer is the state of the goroutine that writes.
type writer struct {
	disk    disk
	path    string
	first   uint64    // of the segment
	began   time.Time // of the segment
	off     int64     // what is safe of it
	tree    tree      // of what is safe
	hash    *leafHasher
	open    map[string]uint64
	carry   *batch // taken from producers and not yet written
	out     []byte
	marks   []mark
	signed  uint64 // size that the last checkpoint covers
	signAt  time.Time
	sizes   []segmentSize // of all segments, the oldest first
	failing bool
	told    []byte // reports of the ledger itself that are to be written
	toldEnd []int
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
	if b.waiters != nil {
		b.waiters.err = err
		close(b.waiters.done)
	}
	b.reset()
	l.mu.Lock()
	l.spare = b
	l.fault = err
	if l.grown != nil && err == nil {
		close(l.grown)
		l.grown = nil
	}
	l.mu.Unlock()
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
	if signed != "" {
		w.signed, w.signAt = t.size, now.Add(checkpointEvery)
	}
	l.mu.Lock()
	l.written += uint64(len(w.out))
	l.at = position{w.first, w.off}
	l.mu.Unlock()
	if signed != "" {
		l.opts.OnCheckpoint(signed)
	}
	if cap(w.out) > keepBuffer {
		w.out = nil
	}
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
	w := &l.w
	n, err := w.disk.WriteAt(w.out, w.off)
	if err == nil && n < len(w.out) {
		err = io.ErrShortWrite
	}
	if err == nil {
		if err = w.disk.Sync(); err == nil {
			w.grow()
			return nil
		}
	} else if fault := w.disk.Truncate(w.off); fault == nil && isFull(err) {
		return err // a new segment would not fit either
	}
	_ = w.disk.Truncate(w.off) // if it fails: the next header says where this one ends
	if fault := l.abandon(); fault != nil {
		return errors.Join(err, fault)
	}
	if n, err = w.disk.WriteAt(w.out, w.off); err == nil && n < len(w.out) {
		err = io.ErrShortWrite
	}
	if err == nil {
		err = w.disk.Sync()
	}
	if err != nil {
		return errors.Join(err, w.disk.Truncate(w.off))
	}
	w.grow()
	return nil
}

func (w *writer) grow() {
	w.off += int64(len(w.out))
	w.sizes[len(w.sizes)-1].bytes = w.off
}

// isFull reports whether an error says that there is no space, or no more allowed.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG)
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
		if it.class == Require || len(w.carry.objects)+len(object) > l.opts.QueueBytes {
			lost.add(it.class, "the log could not be written", now)
			continue
		}
		w.carry.add(&Entry{object, it.class, it.opens, it.closes})
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
		left := uint64(len(w.carry.items))
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

// prepare makes sure that there is a segment to write to: the one in use, if it is
// still the file it was, and otherwise the next.
func (l *Ledger) prepare() error {
	w := &l.w
	now := l.now()
	if w.disk == nil {
		return l.abandon()
	}
	if due := !now.Before(w.signAt); due || w.failing {
		if why := l.disturbed(); why != "" {
			l.opts.OnFault(fmt.Errorf("ledger: %s: %s", w.path, why))
			l.tell(&report{Time: now, Event: eventRecovery, Reason: "the file in use was " + why, Detail: filepath.Base(w.path)})
			return l.abandon()
		}
	}
	if w.tree.size > w.first && (w.off >= l.opts.SegmentBytes || now.Sub(w.began) >= l.opts.SegmentAge) {
		if err := l.rotate(now); err != nil {
			l.opts.OnFault(fmt.Errorf("ledger: %s: the next segment cannot be begun, so this one goes on: %w", w.path, err))
			w.began = now // once an hour
		}
	}
	return l.prune()
}

// disturbed says what another program did to the segment in use.
func (l *Ledger) disturbed() string {
	w := &l.w
	there, err := os.Lstat(w.path)
	if errors.Is(err, fs.ErrNotExist) {
		return "removed or renamed"
	}
	here, err2 := w.disk.Stat()
	if err != nil || err2 != nil {
		return "" // nothing is known; the write will tell
	}
	switch {
	case !os.SameFile(there, here):
		return "replaced"
	case here.Size() < w.off:
		return "truncated"
	case here.Size() > w.off && !w.failing:
		return "written to by another program"
	}
	return ""
}

// rotate ends the segment with a signature and begins the next.
func (l *Ledger) rotate(now time.Time) error {
	w := &l.w
	if w.signed < w.tree.size {
		if text := l.sign(&w.tree); text != "" {
			w.out = appendCheckpoint(w.out[:0], text)
			if err := l.commit(); err != nil {
				return err
			}
			w.signed = w.tree.size
			l.opts.OnCheckpoint(text)
		}
	}
	if w.first == w.tree.size {
		return nil // the disk failed, and a segment was begun already
	}
	return l.begin(now, 0)
}

// abandon leaves a segment that can no longer be trusted. What of it is safe counts.
func (l *Ledger) abandon() error {
	w := &l.w
	before := w.off
	if w.disk != nil {
		_ = w.disk.Close() // its fault is known
		w.disk = nil
		if w.first == w.tree.size { // nothing in it counts, and the name is needed
			if err := l.media.remove(w.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			w.sizes = w.sizes[:len(w.sizes)-1]
			before = 0
		}
	}
	return l.begin(l.now(), before)
}

// begin creates a segment for the records to come.
func (l *Ledger) begin(now time.Time, before int64) error {
	w := &l.w
	h := headerOf(l.origin, &w.tree, now)
	h.Before = before
	for id, seq := range w.open {
		h.Open = append(h.Open, openCall{id, seq})
	}
	slices.SortFunc(h.Open, func(a, b openCall) int { return int(a.Seq) - int(b.Seq) }) //nolint:gosec // less than 2^63
	h.Open = h.Open[max(0, len(h.Open)-maxOpen):]
	path := filepath.Join(l.dir, segmentName(w.tree.size))
	d, err := l.media.create(path)
	if errors.Is(err, fs.ErrExist) && l.media.remove(path) == nil { // begun and never used
		d, err = l.media.create(path)
	}
	if err != nil {
		return err
	}
	line := h.line()
	n, err := d.WriteAt(line, 0)
	if err == nil && n < len(line) {
		err = io.ErrShortWrite
	}
	if err == nil {
		err = errors.Join(d.Sync(), l.media.syncDir(l.dir))
	}
	if err != nil {
		return errors.Join(err, d.Close(), l.media.remove(path))
	}
	if w.disk != nil {
		_ = w.disk.Close() // everything in it is safe
	}
	w.disk, w.path, w.first, w.began, w.off = d, path, w.tree.size, now, int64(len(line))
	w.sizes = append(w.sizes, segmentSize{w.first, w.off})
	l.mu.Lock()
	l.at = position{w.first, w.off}
	l.mu.Unlock()
	return nil
}

// maxOpen bounds the open calls a header tells of.
const maxOpen = 8192

// sign returns a checkpoint of the tree, or nothing if the key does not answer.
func (l *Ledger) sign(t *tree) string {
	w := &l.w
	text, err := signHead(l.key, head{l.origin, t.size, t.root()})
	if err != nil {
		l.opts.OnFault(fmt.Errorf("ledger: %s: the checkpoint of %d records cannot be signed, and the log goes on without: %w", l.dir, t.size, err))
		w.signAt = l.now().Add(signPause)
		return ""
	}
	return text
}

// prune removes the oldest segments when the log has outgrown its cap.
func (l *Ledger) prune() error {
	w := &l.w
	if l.opts.MaxBytes <= 0 {
		return nil
	}
	var total int64
	for _, s := range w.sizes {
		total += s.bytes
	}
	for len(w.sizes) > 1 && total > l.opts.MaxBytes {
		oldest, next := w.sizes[0], w.sizes[1].first
		if l.opts.Hold() < next {
			return fmt.Errorf("%w: its oldest segment is still needed by a destination that has not taken it", ErrFull)
		}
		if err := l.media.remove(filepath.Join(l.dir, segmentName(oldest.first))); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		total -= oldest.bytes
		w.sizes = w.sizes[1:]
		l.tell(&report{
			Time: l.now(), Event: eventPruned, Count: next - oldest.first, Reason: "the log has reached its size limit",
			Notes: map[string]string{"next": fmt.Sprint(next)},
		})
	}
	return nil
}

// ErrFull says that the log has reached Options.MaxBytes and may remove nothing.
var ErrFull = errors.New("the log has reached its size limit")
