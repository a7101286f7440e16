package ledger

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
)

// prune gives up the oldest segments when the log has outgrown its cap. A record
// says so before they go: a crash in between must not look like a theft.
func (l *Ledger) prune() error {
	w := &l.w
	if l.opts.MaxBytes <= 0 {
		return nil
	}
	if err := l.removePruned(); err != nil {
		return err
	}
	var total int64
	for _, s := range w.sizes[w.doomed:] {
		total += s.bytes
	}
	for w.doomed < len(w.sizes)-1 && total > l.opts.MaxBytes {
		oldest, next := w.sizes[w.doomed], w.sizes[w.doomed+1].first
		if l.opts.Hold() < next {
			return fmt.Errorf("%w: its oldest segment is still needed by a destination that has not taken it", ErrFull)
		}
		total -= oldest.bytes
		w.doomed++
		l.tell(&report{
			Time: l.now(), Event: eventPruned, Count: next - oldest.first, Reason: "the log has reached its size limit",
			Notes: map[string]string{"next": fmt.Sprint(next)},
		})
	}
	return nil
}

// removePruned removes the segments that a record in the log says are gone.
func (l *Ledger) removePruned() error {
	w := &l.w
	for ; w.pruned > 0; w.pruned-- {
		err := l.media.remove(filepath.Join(l.dir, segmentName(w.sizes[0].first)))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		w.sizes = w.sizes[1:]
		w.doomed--
	}
	return nil
}

// ErrFull says that the log has reached Options.MaxBytes and may remove nothing.
var ErrFull = errors.New("the log has reached its size limit")
