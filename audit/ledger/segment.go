package ledger

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// prepare makes sure that there is a segment to write to: the one in use, if it is
// still the file it was, and otherwise the next.
func (l *Ledger) prepare() error {
	w := &l.w
	now := l.now()
	if w.disk == nil {
		return l.begin(now, w.before)
	}
	if due := !now.Before(w.signAt); due || w.failing {
		if why := l.disturbed(); why != "" {
			l.opts.OnFault(fmt.Errorf("ledger: %s: %s", w.path, why))
			l.tell(&report{Time: now, Event: eventRecovery, Reason: "the file in use was " + why, Detail: filepath.Base(w.path)})
			if err := l.abandon(); err != nil {
				return err
			}
			return l.begin(now, w.before)
		}
	}
	due := w.off >= l.opts.SegmentBytes || now.Sub(w.began) >= l.opts.SegmentAge
	if due && w.tree.size > w.first && !now.Before(w.rotateAt) {
		if err := l.rotate(now); err != nil {
			l.opts.OnFault(fmt.Errorf("ledger: %s: the next segment cannot be begun, so this one goes on: %w", w.path, err))
			w.rotateAt = now.Add(rotatePause)
			if w.disk == nil { // it was given up
				return err
			}
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

// abandon leaves a segment that can no longer be trusted. What of it is safe counts,
// as the header of the next one says.
func (l *Ledger) abandon() error {
	w := &l.w
	_ = w.disk.Close() // its fault is known
	w.disk = nil
	if w.first < w.tree.size {
		w.before = w.off
		return nil
	}
	// Nothing in it counts, and the name is needed.
	w.sizes = w.sizes[:len(w.sizes)-1]
	if err := l.media.remove(w.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// begin creates a segment for the records to come. The one before counts up to a
// byte, or with 0 to its end.
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
	if errors.Is(err, fs.ErrExist) { // begun and never used, or not this ledger's
		if err = l.aside(path, "a file that stood in the place of the next segment was moved aside"); err == nil {
			d, err = l.media.create(path)
		}
	}
	if err != nil {
		return err
	}
	line := h.line()
	for len(line) > maxLine { // of long names
		h.Open = h.Open[(len(h.Open)+1)/2:]
		line = h.line()
	}
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
	w.disk, w.path, w.first, w.began, w.off, w.before = d, path, w.tree.size, now, int64(len(line)), before
	w.sizes = append(w.sizes, segmentSize{w.first, w.off})
	l.mu.Lock()
	l.at = position{w.first, w.off}
	l.mu.Unlock()
	return nil
}

// maxOpen bounds the open calls a header tells of.
const maxOpen = 8192
