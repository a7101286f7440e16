package ratelimit

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mcpsec/mcpsec-go/internal/regular"
	"github.com/mcpsec/mcpsec-go/internal/strictjson"
)

// Stats is what a Limiter is doing at a time. It names tools and upstreams, and no
// principal.
type Stats struct {
	Time      time.Time      `json:"time"`
	PID       int            `json:"pid"`
	Buckets   int            `json:"buckets"`   // of rates in use or not yet swept, of MaxKeys
	Accounts  int            `json:"accounts"`  // of budgets, the same
	InFlight  int            `json:"inFlight"`  // calls running
	Waiting   int            `json:"waiting"`   // calls in the queue
	Listeners int            `json:"listeners"` // open subscription streams
	Frozen    int            `json:"frozen"`    // targets of the switch
	Breakers  []BreakerState `json:"breakers"`  // by kind and name; a tool has one from its first call on
}

// Stats returns what the Limiter is doing.
func (l *Limiter) Stats() Stats {
	s := Stats{Time: time.Now().UTC(), PID: os.Getpid(), Breakers: []BreakerState{}}
	for _, part := range l.parts {
		switch p := part.(type) {
		case *rate:
			s.Buckets = p.table.count()
		case *budgets:
			s.Accounts = p.ledger.count()
		case *inFlight:
			s.InFlight, s.Waiting = p.calls.count()
			s.Listeners, _ = p.listeners.count()
		case *breakers:
			s.Breakers = p.snapshot()
		case freezer:
			s.Frozen = len(p.frozen.Load().list)
		default:
		}
	}
	return s
}

func (t *table) count() (n int) {
	for i := range t.shards {
		t.shards[i].mu.Lock()
		n += t.shards[i].used
		t.shards[i].mu.Unlock()
	}
	return n
}

func (l *ledger) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.accounts)
}

func (g *gate) count() (inside, waiting int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.total, g.queue.waiting
}

// A reporter writes the Stats of a Limiter to a file in the directory of its switch,
// at most once a second and when a call comes.
type reporter struct {
	path  string
	stats func() Stats
	now   func() time.Time

	mu   sync.Mutex
	next time.Time
	err  error
}

const (
	statusPrefix = "status-"
	maxStatus    = 8 << 20 // bytes
	// staleAfter is when the status of a process that left one behind is removed.
	staleAfter = 24 * time.Hour
	// maxStatusFiles bounds how many processes a directory tells of.
	maxStatusFiles = 1000
)

func newReporter(dir string, stats func() Stats) *reporter {
	return &reporter{path: filepath.Join(dir, fmt.Sprintf("%s%d.json", statusPrefix, os.Getpid())), stats: stats, now: time.Now}
}

// report writes the status if it is time to. Whoever finds another at it goes on.
func (r *reporter) report() {
	if !r.mu.TryLock() {
		return
	}
	defer r.mu.Unlock()
	now := r.now()
	if now.Before(r.next) && r.next.Sub(now) <= lookEvery {
		return
	}
	r.next = now.Add(lookEvery)
	raw, err := json.Marshal(r.stats())
	if err == nil {
		err = replace(r.path, append(raw, '\n'), false)
	}
	r.err = err
}

// Close removes the status.
func (r *reporter) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := os.Remove(r.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("ratelimit: %w", err)
	}
	return nil
}

// ReadStats returns what the processes that use a directory last said of themselves,
// newest first. They say it when a call comes, at most once a second. A process that
// was killed has left its last word behind; it is removed after a day.
func ReadStats(dir string) ([]Stats, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("ratelimit: %w", err)
	}
	var all []Stats
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), statusPrefix) || !strings.HasSuffix(e.Name(), ".json") || len(all) >= maxStatusFiles {
			continue
		}
		s, err := readStatus(filepath.Join(dir, e.Name()))
		if errors.Is(err, fs.ErrNotExist) { // it ended meanwhile
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("ratelimit: %w: remove the file", err)
		}
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b Stats) int { return b.Time.Compare(a.Time) })
	return all, nil
}

func readStatus(path string) (s Stats, err error) {
	f, _, err := regular.Open(path, maxStatus, nil)
	if err != nil {
		return s, err
	}
	raw, err := io.ReadAll(io.LimitReader(f, maxStatus+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return s, fmt.Errorf("%s: %w", path, err)
	}
	if s, err = decodeStats(raw); err != nil {
		return s, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// decodeStats reads the contents of a status file.
func decodeStats(raw []byte) (s Stats, err error) {
	err = strictjson.Decode(raw, maxStatus, &s)
	return s, err
}

// tidy removes what processes left behind that did not end by themselves.
func tidy(dir string, now time.Time) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return // whoever needs the directory says so
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), statusPrefix) {
			continue
		}
		if info, err := e.Info(); err == nil && now.Sub(info.ModTime()) > staleAfter {
			_ = os.Remove(filepath.Join(dir, e.Name())) // the next process tries again
		}
	}
}
