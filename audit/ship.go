package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mcpsec/mcpsec-go/audit/ledger"
	"github.com/mcpsec/mcpsec-go/internal/regular"
	"github.com/mcpsec/mcpsec-go/internal/strictjson"
)

// A ShipOption changes how [Ship] delivers. The zero ShipOption is an error.
type ShipOption func(*cargo) error

// Required keeps what the destination has not taken from being removed when the
// ledger reaches its size limit ([KeepAtMost]). Then calls are refused until it has:
// no record is lost to this destination. Without it, what was removed first is
// counted, and a Gap event says so.
func Required() ShipOption {
	return func(c *cargo) error {
		c.required = true
		return nil
	}
}

// BatchOf bounds what is delivered at once, in records and in bytes of their lines.
// Without it that is 500 records and 1 MiB.
func BatchOf(records, bytes int) ShipOption {
	return func(c *cargo) error {
		if records < 1 || bytes < 1 {
			return fmt.Errorf("BatchOf(%d, %d): deliver at least 1 record of 1 byte", records, bytes)
		}
		c.records, c.bytes = records, bytes
		return nil
	}
}

// Interval keeps batches that are not full apart, so that a trickle of calls does not
// make a request each. Without it that is one second; 0 delivers at once.
func Interval(d time.Duration) ShipOption {
	return func(c *cargo) error {
		if d < 0 {
			return fmt.Errorf("Interval(%v): must not be negative", d)
		}
		c.interval = d
		return nil
	}
}

// LastMinute is how long [Logger.Close] waits for the destination to take the last
// records. Without it that is 5 seconds. What is left then is delivered when the
// ledger is opened again.
func LastMinute(d time.Duration) ShipOption {
	return func(c *cargo) error {
		c.lastMinute = d
		return nil
	}
}

// cargo is one destination and how to deliver to it.
type cargo struct {
	name           string
	to             Destination
	required       bool
	records, bytes int
	interval       time.Duration
	lastMinute     time.Duration
}

var shipName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,63}$`)

// Ship delivers the ledger's records, in their order, to another system, at least
// once: what is not acknowledged comes again, after a pause that grows up to 30
// seconds, for as long as it takes and over restarts. No call waits for it. The name
// tells destinations apart, and their cursors in the ledger's folder: lower-case
// letters, digits, "-" and "_". The Logger owns the destination from here on.
func Ship(name string, to Destination, opts ...ShipOption) Option {
	return func(c *config) error {
		s := cargo{name: name, to: to, records: 500, bytes: 1 << 20, interval: time.Second, lastMinute: 5 * time.Second}
		faults := []error{}
		if !shipName.MatchString(name) {
			faults = append(faults, fmt.Errorf("the name %q is none: use up to 64 of a-z, 0-9, - and _", name))
		}
		if to == nil {
			faults = append(faults, errors.New("the destination is nil"))
		}
		for i, opt := range opts {
			if opt == nil {
				faults = append(faults, fmt.Errorf("option %d is the zero ShipOption", i+1))
			} else {
				faults = append(faults, opt(&s))
			}
		}
		for _, other := range c.cargo {
			if other.name == name {
				faults = append(faults, errors.New("two destinations have this name"))
			}
		}
		if err := errors.Join(faults...); err != nil {
			if to != nil {
				_ = guarded(to.Close) // it was given nothing
			}
			return fmt.Errorf("audit.Ship %s: %w", name, err)
		}
		c.cargo = append(c.cargo, s)
		return nil
	}
}

// A Shipping is the state of one destination.
type Shipping struct {
	Name     string
	Next     uint64    // number of the first record that it has not taken
	Rejected uint64    // records that it will never take, since the start
	Missed   uint64    // records that were removed before it took them, since the start
	Since    time.Time // since when nothing has arrived; zero if nothing fails
	Err      error     // why
}

// Shipping returns the state of each destination.
func (l *Logger) Shipping() []Shipping {
	if l.shipping == nil {
		return nil
	}
	var all []Shipping
	for _, s := range l.shipping.ships {
		s.mu.Lock()
		all = append(all, s.state)
		s.mu.Unlock()
	}
	return all
}

// A fleet is all deliveries.
type fleet struct {
	ships []*ship
	quit  chan struct{}
	once  sync.Once
	group sync.WaitGroup
}

// A ship takes records to one destination, on a goroutine of its own.
type ship struct {
	cargo
	fleet   *fleet
	ledger  *ledger.Ledger
	path    string // of the cursor
	onFault func(error)

	running bool
	unsaved bool // the cursor on the disk is old
	landed  atomic.Bool
	fresh   bool   // has never taken anything
	closed  bool   // the ledger is: nothing more comes
	untold  uint64 // lost after that
	scanner *ledger.Scanner
	batch   []Record
	size    int    // of the batch, in bytes
	full    bool   // the last batch was as large as one may be
	marks   uint64 // size that the last delivered checkpoint covers

	mu    sync.Mutex
	state Shipping
}

func newFleet(all []cargo, onFault func(error)) *fleet {
	f := &fleet{quit: make(chan struct{})}
	for _, c := range all {
		s := &ship{cargo: c, fleet: f, onFault: onFault}
		s.state.Name = c.name
		f.ships = append(f.ships, s)
	}
	return f
}

// hold returns the first record that a required destination has not taken.
func (f *fleet) hold() uint64 {
	first := uint64(math.MaxInt64)
	for _, s := range f.ships {
		if s.required {
			s.mu.Lock()
			first = min(first, s.state.Next)
			s.mu.Unlock()
		}
	}
	return first
}

func (f *fleet) start(l *ledger.Ledger, dir string) error {
	var faults []error
	for _, s := range f.ships {
		s.ledger, s.path = l, filepath.Join(dir, "cursor-"+s.name+".json")
		faults = append(faults, s.resume())
	}
	if err := errors.Join(faults...); err != nil {
		return err
	}
	for _, s := range f.ships {
		s.running = true
		f.group.Go(s.run)
	}
	return nil
}

// close ends all deliveries, after the ledger was closed.
func (f *fleet) close() {
	f.once.Do(func() { close(f.quit) })
	landed := make(chan struct{})
	go func() { f.group.Wait(); close(landed) }()
	longest := time.Duration(0)
	for _, s := range f.ships {
		longest = max(longest, s.lastMinute)
	}
	select {
	case <-landed:
	case <-time.After(longest + time.Second):
		for _, s := range f.ships {
			if !s.landed.Load() {
				s.onFault(fmt.Errorf("audit: %s does not return although its time is up, and is left behind", s.name))
			}
		}
	}
	for _, s := range f.ships {
		if !s.running {
			_ = guarded(s.to.Close) // it was given nothing
		}
	}
}

// A cursor is how far a destination has come, as a file in the ledger's folder.
type cursor struct {
	Origin     string `json:"origin"`
	Next       uint64 `json:"next"`
	Checkpoint uint64 `json:"checkpoint"`
	// Lost is how many records the last process lost too late to say so in the ledger.
	Lost uint64 `json:"lost,omitempty"`
}

func (s *ship) resume() error {
	text, err := regular.ReadFile(s.path, 1<<12)
	if errors.Is(err, fs.ErrNotExist) {
		s.fresh = true
		return nil
	}
	if err != nil {
		return err
	}
	var c cursor
	if err := strictjson.Decode(text, 1<<12, &c); err != nil {
		return fmt.Errorf("%s: %w: remove it to deliver everything again", s.path, err)
	}
	if c.Origin != s.ledger.Origin() {
		s.fresh = true
		s.onFault(fmt.Errorf("audit: %s begins anew: its cursor, at record %d, is of another ledger, %q", s.name, c.Next, c.Origin))
		return nil
	}
	if size := s.ledger.Size(); c.Next > size || c.Checkpoint > size {
		s.fresh = true
		s.onFault(fmt.Errorf("audit: %s begins anew: its cursor, at record %d, is ahead of the ledger's %d records: one of them was put back", s.name, c.Next, size))
		return nil
	}
	s.state.Next, s.marks = c.Next, c.Checkpoint
	if c.Lost > 0 {
		s.ledger.CountLost(Bounded, "lost by "+s.name+" while the ledger was closed", c.Lost)
		return s.save() // said once
	}
	return nil
}

// save keeps the cursor. One that is lost makes records come twice and loses none,
// so nothing waits for the disk.
func (s *ship) save() error {
	s.mu.Lock()
	c := cursor{s.ledger.Origin(), s.state.Next, s.marks, s.untold}
	s.mu.Unlock()
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	temp := s.path + ".new"
	if err := os.WriteFile(temp, append(text, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(temp, s.path)
}

const (
	deliverTimeout = 30 * time.Second
	firstPause     = 500 * time.Millisecond
	longestPause   = 30 * time.Second
	lastPause      = 100 * time.Millisecond // once the ledger is closed
)

// run delivers until the ledger is closed and read to its end, or time is up.
func (s *ship) run() {
	defer s.landed.Store(true)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s.fleet.group.Go(func() {
		select {
		case <-s.fleet.quit:
			defer time.AfterFunc(s.lastMinute, cancel).Stop()
			<-ctx.Done()
		case <-ctx.Done():
		}
	})
	defer func() {
		if s.scanner != nil {
			_ = s.scanner.Close() // nothing was written
		}
		if err := guarded(s.to.Close); err != nil {
			s.onFault(fmt.Errorf("audit: closing %s: %w", s.name, err))
		}
	}()
	mark, pause := uint64(0), firstPause
	for ctx.Err() == nil {
		more, err := s.deliver(ctx)
		switch {
		case err != nil:
			s.failed(err)
			if !s.rest(ctx, pause/4, pause) {
				return
			}
			pause = min(2*pause, longestPause)
		case more:
			pause = firstPause
			if !s.full && !s.closed && !s.rest(ctx, s.interval, s.interval) {
				return
			}
		case s.closed:
			return
		default:
			if mark, err = s.ledger.Wait(ctx, mark); err != nil {
				s.closed = true // what was written last is still to be read
			}
		}
	}
}

// rest waits between two deliveries, for a time within the bounds that differs from
// try to try. Close cuts it short.
func (s *ship) rest(ctx context.Context, least, most time.Duration) bool {
	timer := time.NewTimer(least + rand.N(most-least+1)) //nolint:gosec // to spread load, not to keep a secret
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.fleet.quit:
		select {
		case <-timer.C:
		case <-time.After(min(most, lastPause)):
		case <-ctx.Done():
		}
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

func (s *ship) failed(err error) {
	s.mu.Lock()
	first := s.state.Err == nil
	if first {
		s.state.Since = time.Now()
	}
	s.state.Err = err
	s.mu.Unlock()
	if first {
		s.onFault(fmt.Errorf("audit: %s takes nothing, and what it misses is kept: %w", s.name, err))
	}
}

// deliver takes the next batch to the destination. It reports whether there was one.
func (s *ship) deliver(ctx context.Context) (more bool, err error) {
	if s.batch == nil {
		if err := s.load(); err != nil || s.batch == nil {
			return false, err
		}
	}
	rejected, err := s.hand(ctx)
	if err != nil {
		return false, err
	}
	s.account(rejected)
	s.mu.Lock()
	for i := range s.batch {
		if r := &s.batch[i]; r.Checkpoint == "" {
			s.state.Next = r.Seq + 1
		} else {
			s.marks = max(s.marks, r.Seq)
		}
	}
	s.state.Err, s.state.Since = nil, time.Time{}
	s.mu.Unlock()
	s.full = len(s.batch) >= s.records || s.size >= s.bytes
	s.batch = nil
	switch err := s.save(); {
	case err != nil && !s.unsaved:
		s.onFault(fmt.Errorf("audit: the cursor of %s cannot be kept, so a restart delivers again: %w", s.name, err))
		s.unsaved = true
	case err == nil:
		s.unsaved = false
	}
	return true, nil
}

// hand gives the batch to the destination and contains it.
func (s *ship) hand(ctx context.Context) (rejected []Rejection, err error) {
	ctx, cancel := context.WithTimeout(ctx, deliverTimeout)
	defer cancel()
	defer contain(&err)
	return s.to.Deliver(ctx, s.batch)
}

// load reads the next batch.
func (s *ship) load() error {
	if s.scanner == nil {
		if err := s.seek(); err != nil {
			return err
		}
	}
	s.size = 0
	for len(s.batch) < s.records && s.size < s.bytes {
		line, err := s.scanner.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil { // perhaps the segment was removed: begin again where the ledger now does
			fault := s.scanner.Close()
			s.scanner, s.batch = nil, nil
			if errors.Is(err, fs.ErrNotExist) {
				return fault
			}
			return errors.Join(err, fault)
		}
		switch line.Kind { //nolint:exhaustive // headers are no news, and garbage is for Verify to judge
		case ledger.Record:
			if next := s.next(); line.Seq > next {
				s.missed(line.Seq - next)
			}
			s.fresh = false
			s.batch = append(s.batch, Record{Origin: s.ledger.Origin(), Seq: line.Seq, Line: append([]byte(nil), line.Text...)})
			s.size += len(line.Text)
		case ledger.Checkpoint:
			if line.Seq > s.marks {
				s.batch = append(s.batch, Record{Origin: s.ledger.Origin(), Seq: line.Seq, Checkpoint: line.Checkpoint})
				s.size += len(line.Checkpoint)
			}
		}
	}
	return nil
}

// next returns the number of the record that belongs behind the batch.
func (s *ship) next() uint64 {
	for _, r := range slices.Backward(s.batch) {
		if r.Checkpoint == "" {
			return r.Seq + 1
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state.Next
}

func (s *ship) seek() (err error) {
	s.scanner, err = s.ledger.Scan(s.next())
	return err
}

// missed counts what was removed before it could be delivered.
func (s *ship) missed(count uint64) {
	s.mu.Lock()
	s.state.Next += count
	if !s.fresh {
		s.state.Missed += count
	}
	s.mu.Unlock()
	if s.fresh {
		return // it begins with what is there
	}
	s.countLost("removed before "+s.name+" took them", count)
}

// countLost has the ledger say what was lost. Once it is closed, the cursor keeps the
// number for the next start.
func (s *ship) countLost(why string, count uint64) {
	if !s.ledger.CountLost(Bounded, why, count) {
		s.untold += count
	}
}

// account records what the destination will never take. What it rejects of such
// accounts is counted only: one would call for the next.
func (s *ship) account(rejected []Rejection) {
	var told uint64
	why := ""
	seen := make([]bool, len(s.batch))
	for _, r := range rejected {
		if r.Index < 0 || r.Index >= len(s.batch) || seen[r.Index] {
			continue
		}
		seen[r.Index] = true
		s.mu.Lock()
		s.state.Rejected++
		s.mu.Unlock()
		if s.batch[r.Index].Checkpoint != "" {
			continue // no record is lost, and the report would call for the next checkpoint
		}
		e, err := Decode(s.batch[r.Index].Line)
		if err == nil && (e.Kind == Gap || e.Kind == Log) { // the report itself, or OnFault's message of it
			continue
		}
		told++
		why = r.Reason
	}
	if told > 0 {
		s.countLost("rejected by "+s.name, told)
		s.onFault(fmt.Errorf("audit: %s will never take %d of %d records: %s", s.name, told, len(s.batch), why))
	}
}
