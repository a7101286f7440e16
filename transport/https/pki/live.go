package pki

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"
)

// pollEvery is how often files are looked at. Their content is compared, not their times
// and names: mounted secrets change by a link that points elsewhere.
const pollEvery = 2 * time.Second

// A content is what was read of the files behind a value.
type content [][]byte

func (c content) sum() [sha256.Size]byte {
	h := sha256.New()
	for _, part := range c {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(part)))
		h.Write(size[:])
		h.Write(part)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// wipe clears what may be a key.
func (c content) wipe() {
	for _, part := range c {
		clear(part)
	}
}

// A live value comes from files and follows them. A content that is not in order changes
// nothing: the value before it stays.
type live[T any] struct {
	read  func() (content, error)
	parse func(c content, old *T) (*T, error) // old is nil the first time; it may be returned
	clock func() time.Time                    // nil if terms are never set

	now atomic.Pointer[T]

	mu      sync.Mutex // of a reading, and of what follows
	judged  [sha256.Size]byte
	fault   error         // what is wrong with the files now, or nil
	terms   []term        // of what was parsed last, which sets them; never changed
	news    chan struct{} // closed at the next change
	changes uint64
}

// start reads the first value, without which there is none.
func (l *live[T]) start() error {
	l.news = make(chan struct{})
	return l.Reload()
}

// Reload reads the files now. The error says why they are not taken.
func (l *live[T]) Reload() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fault = l.reload()
	return l.fault
}

func (l *live[T]) reload() error {
	c, err := l.read()
	defer c.wipe()
	if err != nil {
		return err
	}
	old, sum := l.now.Load(), c.sum()
	if old != nil && sum == l.judged && l.fault == nil {
		return nil
	}
	next, err := l.parse(c, old)
	if err != nil {
		return err
	}
	l.judged = sum
	if next != old {
		l.now.Store(next)
		l.changes++
		close(l.news)
		l.news = make(chan struct{})
	}
	return nil
}

// Watch follows the files until ctx ends and returns its error. What is wrong with them is
// told once, and again when it is something else; but not what one look finds and the next
// does not, as while files of one change are being written. What is in order now but ends
// soon is told ahead, in the same way.
func (l *live[T]) Watch(ctx context.Context, changed func(), fault func(error)) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	l.mu.Lock()
	news, seen := l.news, l.changes
	l.mu.Unlock()
	var (
		last, told string
		ends       almanac
	)
	for {
		looked := false
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			looked = true
			_ = l.Reload() // its error is in l.fault
		case <-news:
		}
		l.mu.Lock()
		changes, err, terms := l.changes, l.fault, l.terms
		news = l.news
		l.mu.Unlock()
		if changes != seen {
			seen = changes
			changed()
		}
		if !looked {
			continue
		}
		text := textOf(err)
		if err != nil && text == last && text != told {
			told = text
			fault(err)
		}
		if last = text; err == nil {
			told = ""
		}
		if len(terms) == 0 {
			continue
		}
		if err := ends.due(terms, l.clock()); err != nil {
			fault(err)
		}
	}
}

func textOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
