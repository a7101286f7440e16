package ratelimit

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"

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
	if l == nil {
		return s
	}
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
			f := p.frozen.Load()
			s.Frozen = len(f.list)
			if f.fault != nil && f.everything == nil {
				s.Frozen++ // everything is
			}
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

	mu     sync.Mutex
	next   time.Time
	closed bool
}

const (
	statusPrefix = "status-"
	maxStatus    = 8 << 20 // bytes
	// staleAfter is when the status of a process that left one behind is removed.
	staleAfter = 24 * time.Hour
	// maxStatusFiles bounds how many processes a directory tells of.
	maxStatusFiles = 1000
)

// statusName is the name of a status file, and of one that was not finished.
var statusName = regexp.MustCompile(`^status-\d+\.json(\.\d+\.tmp)?$`)

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
	if r.closed || now.Before(r.next) && r.next.Sub(now) <= lookEvery {
		return
	}
	r.next = now.Add(lookEvery)
	if raw, err := json.Marshal(r.stats()); err == nil {
		_ = replace(r.path, append(raw, '\n'), false) // no call fails for it; status shows an old time
	}
}

// Close removes the status.
func (r *reporter) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true // a call that is still under way brings no status back
	if err := os.Remove(r.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("ratelimit: %w", err)
	}
	return nil
}

// ReadStats returns what the processes that use a directory last said of themselves,
// newest first. They say it when a call comes, at most once a second. A process that
// was killed has left its last word behind; it is removed after a day. Its error names
// every file that cannot be read; what the others say is returned with it.
func ReadStats(dir string) ([]Stats, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("ratelimit: %w", err)
	}
	var all []Stats
	var faults []error
	for _, e := range entries {
		if !statusName.MatchString(e.Name()) || !strings.HasSuffix(e.Name(), ".json") || len(all)+len(faults) >= maxStatusFiles {
			continue
		}
		s, err := readStatus(filepath.Join(dir, e.Name()))
		if errors.Is(err, fs.ErrNotExist) { // it ended meanwhile
			continue
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("ratelimit: %w: remove the file", err))
			continue
		}
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b Stats) int { return b.Time.Compare(a.Time) })
	return all, errors.Join(faults...)
}

func readStatus(path string) (s Stats, err error) {
	raw, err := regular.ReadFile(path, maxStatus)
	if err != nil {
		return s, err
	}
	if s, err = decodeStats(raw); err != nil {
		return s, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// decodeStats reads the contents of a status file.
func decodeStats(raw []byte) (s Stats, err error) {
	if err := strictjson.Decode(raw, maxStatus, &s); err != nil {
		return Stats{}, err
	}
	for _, b := range s.Breakers {
		if b.Kind != kindTool && b.Kind != kindUpstream {
			return Stats{}, fmt.Errorf("breaker %.40q is of unknown kind %.40q", b.Name, b.Kind)
		}
		switch b.State {
		case gobreaker.StateClosed.String(), gobreaker.StateHalfOpen.String(), gobreaker.StateOpen.String():
		default:
			return Stats{}, fmt.Errorf("breaker %.40q is in unknown state %.40q", b.Name, b.State)
		}
	}
	return s, nil
}

// tidy removes what processes left behind that did not end by themselves.
func tidy(dir string, now time.Time) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return // whoever needs the directory says so
	}
	for _, e := range entries {
		if !statusName.MatchString(e.Name()) {
			continue
		}
		if info, err := e.Info(); err == nil && now.Sub(info.ModTime()) > staleAfter {
			_ = os.Remove(filepath.Join(dir, e.Name())) // the next process tries again
		}
	}
}
