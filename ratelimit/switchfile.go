package ratelimit

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/mcpsec/mcpsec-go/internal/regular"
)

// The changes there are, as errors name them.
const (
	opFreeze = "freeze"
	opThaw   = "thaw"
)

const (
	freezeFile = "freeze.json"
	lockFile   = "freeze.lock"
	maxState   = 8 << 20           // bytes; room to freeze one more target
	maxRead    = maxState + 64<<10 // and everything
	lookEvery  = time.Second
	// settleFor is how long after its last change a file is read again even if it looks
	// the same: clocks of file systems are coarse.
	settleFor = 2 * time.Second
	// lockTries, lockPause apart, is how long another process may take to write.
	lockTries = 200
	lockPause = 10 * time.Millisecond
)

// OpenSwitch opens the switch of a server from another process: the file freeze.json
// in the directory that the server names with [StateDir], which creates it. What is
// frozen stays so across restarts. All processes that use the directory follow the
// file: a process looks at it no more than once a second, and no later than with the
// first call after that.
//
// A file that cannot be read or understood, and one that has gone, freezes
// everything until it is repaired; here it is an error. The file must not be
// writable for others: whoever can write it can thaw.
func OpenSwitch(dir string) (*Switch, error) { return openSwitch(dir, false) }

func openSwitch(dir string, create bool) (*Switch, error) {
	s := newSwitch()
	s.path = filepath.Join(dir, freezeFile)
	if err := s.open(create); err != nil {
		return nil, fmt.Errorf("ratelimit: %w", err)
	}
	return s, nil
}

func (s *Switch) open(create bool) error {
	dir := filepath.Dir(s.path)
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		return fmt.Errorf("%w: make the directory first", err)
	case !info.IsDir():
		return fmt.Errorf("%s is no directory", dir)
	}
	if err := trusted(dir)(info); err != nil {
		return err
	}
	if create { // looking needs no lock, and so no right to write
		unlock, err := s.lock()
		if err != nil {
			return err
		}
		defer unlock()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := os.Lstat(s.path); errors.Is(err, fs.ErrNotExist) {
		if !create {
			return fmt.Errorf("%w: is this the state directory of a server (ratelimit.StateDir)?", err)
		}
		if err := s.write(nil, false); err != nil {
			return err
		}
	}
	s.load()
	return s.frozen.Load().fault
}

// change changes what is frozen, in the file first if there is one. Processes take
// turns, so that nobody's freeze is lost.
//
// Only a freeze of one more target takes others along that are held: they may be what
// the file had no room for, and must not stand in the way of a thaw, or of everything.
func (s *Switch) change(op string, t Target, edit func([]Freeze) ([]Freeze, error)) (err error) {
	freezing := op == opFreeze
	oneMore := freezing && t.kind != everything
	defer func() {
		if err != nil {
			err = fmt.Errorf("ratelimit: %s: %w", op, err)
		}
	}()
	var fault error
	if s.path != "" {
		unlock, err := s.lock()
		if fault = err; err == nil {
			defer unlock()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.path != "" && fault == nil {
		s.load()
		fault = s.frozen.Load().fault
	}
	if fault != nil && !freezing {
		return fault
	}
	s.memory.Lock()
	old, held := s.frozen.Load(), s.held
	s.memory.Unlock()
	onFile := func(f Freeze) bool { return contains(old.list, f.Target) && !contains(held, f.Target) }
	base := slices.Clone(old.list)
	if !oneMore {
		base = slices.DeleteFunc(base, func(f Freeze) bool { return !onFile(f) && f.Target != t })
	}
	list, err := edit(slices.Clone(base))
	if err != nil {
		return errors.Join(fault, err)
	}
	if s.path != "" && fault == nil {
		fault = s.write(list, oneMore)
	}
	if fault != nil && !freezing {
		return fault
	}
	s.memory.Lock()
	defer s.memory.Unlock()
	// What came meanwhile, or was not taken along, stays held.
	s.held = slices.DeleteFunc(slices.Clone(s.held), func(f Freeze) bool {
		return contains(base, f.Target) || contains(list, f.Target)
	})
	if fault != nil { // the next look at the file must not thaw what it does not know of
		s.held = append(s.held, slices.DeleteFunc(slices.Clone(list), onFile)...)
	}
	s.keep(list, old.fault)
	return fault
}

// refresh looks at the file if it is time to. One call does; the others go on with
// what is known, also while a file system that hangs keeps that one.
func (s *Switch) refresh() {
	if s.path == "" {
		return
	}
	now := s.now().UnixNano()
	next := s.next.Load()
	if now < next && next-now <= int64(lookEvery) || !s.next.CompareAndSwap(next, now+int64(lookEvery)) {
		return
	}
	if !s.mu.TryLock() {
		return
	}
	defer s.mu.Unlock()
	if info, err := os.Stat(s.path); err == nil && s.seen != nil && s.frozen.Load().fault == nil && os.SameFile(info, s.seen) &&
		info.Size() == s.seen.Size() && info.ModTime().Equal(s.seen.ModTime()) && trusted(s.path)(info) == nil && s.now().Sub(info.ModTime()) > settleFor {
		return
	}
	s.load()
}

// load reads the file. s.mu is held.
func (s *Switch) load() {
	list, info, err := s.read()
	s.seen = info
	s.memory.Lock()
	defer s.memory.Unlock()
	if err != nil {
		list = s.frozen.Load().list
		err = fmt.Errorf("everything is frozen, since the state of the switch cannot be read: %w: repair the file, or remove it and start again", err)
	}
	s.keep(list, err)
}

func (s *Switch) read() ([]Freeze, fs.FileInfo, error) {
	f, info, err := regular.Open(s.path, maxRead, trusted(s.path))
	if err != nil {
		return nil, nil, err
	}
	raw, err := io.ReadAll(io.LimitReader(f, maxRead+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", s.path, err)
	}
	list, err := decodeState(raw)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", s.path, err)
	}
	return list, info, nil
}
