package state

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"time"
)

// Errors that callers tell apart.
var (
	// ErrRollback: the manifest is older than one that was accepted before, or than the
	// minimum, or is another of the same sequence.
	ErrRollback = errors.New("rollback")
	// ErrLost: what was remembered has gone or is not to be trusted.
	ErrLost = errors.New("the rollback state is lost")
	// ErrClock: the clock has gone back.
	ErrClock = errors.New("the clock went back")
)

// A Seen is one verified manifest, as it is to be remembered.
type Seen struct {
	Server   string // serverName, 1 to 256 bytes
	Sequence uint64 // from 1 on
	Digest   string // of the signed statement, SHA-256, hexadecimal in lower case
	// Log is "ORIGIN#INDEX" of an entry in a transparency log, or empty.
	Log string
	// Time is when the signature existed according to a trusted timestamp, or zero.
	Time time.Time
}

// A Store is the memory of a host, in a file. Processes and goroutines that use one take
// turns.
type Store struct {
	path, key string
	now       func() time.Time
}

// Open returns the store in the file of the path, which need not exist. The key is in the
// file of the second path, which belongs to this store alone; the empty text is the path
// with ".key" at its end. A third file, with ".lock" at its end, keeps processes apart.
// The folder must exist and not be writable for others.
func Open(path, key string) (*Store, error) {
	if path == "" {
		return nil, errors.New("state: no path")
	}
	if key == "" {
		key = path + ".key"
	}
	s := &Store{path: filepath.Clean(path), key: filepath.Clean(key), now: time.Now}
	if s.path == s.key {
		return nil, fmt.Errorf("state: %s is to be both state and key", path)
	}
	for _, p := range []string{s.path, s.key} {
		if err := checkFolder(filepath.Dir(p)); err != nil {
			return nil, fmt.Errorf("state: %w", err)
		}
	}
	return s, nil
}

// clockSlack is how far a clock may go back: by as much clocks are corrected.
const clockSlack = 5 * time.Minute

// Accept remembers a manifest, or refuses it because of what is remembered. minimum is the
// lowest sequence that the operator accepts at all; one above zero also lets a store that
// has lost its files begin anew. When Accept returns nil, the manifest will be remembered
// also after a loss of power.
func (s *Store) Accept(ctx context.Context, seen Seen, minimum uint64) error {
	_, err := s.judge(ctx, seen, minimum, true)
	return err
}

// Judge is [Store.Accept] without remembering. It reports whether a manifest of the server
// has been accepted before.
func (s *Store) Judge(ctx context.Context, seen Seen, minimum uint64) (known bool, err error) {
	return s.judge(ctx, seen, minimum, false)
}

func (s *Store) judge(ctx context.Context, seen Seen, minimum uint64, keep bool) (known bool, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("state: %w", err)
		}
	}()
	if err := seen.check(); err != nil {
		return false, err
	}
	if seen.Sequence < minimum {
		return false, fmt.Errorf("%w: sequence %d of %s, the minimum is %d", ErrRollback, seen.Sequence, quote(seen.Server), minimum)
	}
	turn, err := lock(ctx, s.path+".lock")
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, turn.end()) }()
	taken, err := turn.taken()
	if err != nil {
		return false, err
	}
	m, err := s.load(taken, minimum > 0)
	if err != nil {
		return false, err
	}
	_, known = slices.BinarySearchFunc(m.file.Servers, seen.Server, compareName)
	if err := m.judge(seen, s.now()); err != nil || !keep {
		return known, err
	}
	if err := s.save(m); err != nil {
		return known, err
	}
	return known, turn.take()
}

// load reads both files. taken says that both were written before, and anew that lost
// files are as good as none.
func (s *Store) load(taken, anew bool) (*memory, error) {
	k, keyErr := readKey(s.key)
	raw, err := read(s.path)
	gone, keyGone := errors.Is(err, fs.ErrNotExist), errors.Is(keyErr, fs.ErrNotExist)
	switch {
	case keyErr != nil && !keyGone:
		return nil, lost(s.key, keyErr)
	case err != nil && !gone:
		return nil, lost(s.path, err)
	case gone && k.Generation == 0 && !taken: // the first use, or it was cut off
		return newMemory(k)
	case (gone || keyGone) && anew:
		return newMemory(k)
	case gone && keyGone:
		return nil, lost(s.path, errors.New("the file has gone, and so has its key"))
	case gone:
		return nil, lost(s.path, errors.New("the file has gone, and its key is there"))
	case keyGone:
		return nil, lost(s.key, errors.New("the file has gone, and the state is there"))
	}
	m, err := decode(raw, k)
	if err != nil {
		return nil, lost(s.path, err)
	}
	return m, nil
}

func lost(path string, err error) error {
	return fmt.Errorf("%w: %s: %w: find out who did that; then remove the state and pin the lowest sequence to accept", ErrLost, path, err)
}

// judge decides about a manifest and, if it passes, remembers it.
func (m *memory) judge(seen Seen, now time.Time) error {
	const layout = time.RFC3339
	if now.Before(m.file.Clock.Add(-clockSlack)) {
		return fmt.Errorf("%w: it says %s and has said %s: set it, or, if it was wrong then, remove the state and pin the lowest sequence to accept",
			ErrClock, now.UTC().Format(layout), m.file.Clock.Format(layout))
	}
	if now.Before(seen.Time.Add(-clockSlack)) {
		return fmt.Errorf("%w: it says %s and a trusted timestamp %s", ErrClock, now.UTC().Format(layout), seen.Time.UTC().Format(layout))
	}
	for _, t := range []time.Time{now, seen.Time} {
		if t.After(m.file.Clock) {
			m.file.Clock = t.UTC().Truncate(time.Second)
		}
	}
	i, found := slices.BinarySearchFunc(m.file.Servers, seen.Server, compareName)
	if !found {
		if len(m.file.Servers) >= maxServers {
			return fmt.Errorf("%d servers are remembered already: use one state file a server", maxServers)
		}
		m.file.Servers = slices.Insert(m.file.Servers, i, record{seen.Server, seen.Sequence, seen.Digest, seen.Log})
		return nil
	}
	last := &m.file.Servers[i]
	if err := last.follow(seen); err != nil {
		return fmt.Errorf("%w: server %s: %w", ErrRollback, quote(seen.Server), err)
	}
	last.Sequence, last.Digest = seen.Sequence, seen.Digest
	if seen.Log != "" {
		last.Log = seen.Log
	}
	return nil
}

// follow refuses what cannot come after what was seen last.
func (last *record) follow(seen Seen) error {
	switch {
	case seen.Sequence < last.Sequence:
		return fmt.Errorf("sequence %d is older than %d, which was accepted before", seen.Sequence, last.Sequence)
	case seen.Sequence == last.Sequence && seen.Digest != last.Digest:
		return fmt.Errorf("two manifests have sequence %d: sha256:%s was accepted before, this is sha256:%s", seen.Sequence, last.Digest, seen.Digest)
	}
	origin, index, _ := splitLog(seen.Log)
	lastOrigin, lastIndex, _ := splitLog(last.Log)
	if seen.Sequence > last.Sequence && origin != "" && origin == lastOrigin && index <= lastIndex {
		return fmt.Errorf("sequence %d is entry %d of the log %s, and sequence %d was entry %d", seen.Sequence, index, quote(origin), last.Sequence, lastIndex)
	}
	return nil
}
