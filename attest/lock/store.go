package lock

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/mcpsec/mcpsec-go/internal/regular"
)

// pendingSuffix names the file of what waits for review, beside the lock file.
const pendingSuffix = ".pending"

const (
	lockTries = 100
	lockPause = 50 * time.Millisecond
)

// A store is a file on disk, read again whenever it was replaced. It is safe for
// concurrent use, also by several processes.
type store struct {
	path string
	ways []How

	mu   sync.Mutex
	info fs.FileInfo // of what was read; nil if there was no file
	file *File       // never changed once it is here
}

func approvedIn(path string) *store { return &store{path: path, ways: []How{OnFirstUse, Reviewed}} }
func pendingIn(path string) *store {
	return &store{path: path + pendingSuffix, ways: []How{refused}}
}

// load returns what is in the file, which is not to be changed; nothing if there is
// no file. The writers of this package replace the file, so that another one has
// another identity.
func (s *store) load() (*File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	info, err := os.Stat(s.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &File{Servers: make(map[string]*Server)}, nil
	case err != nil:
		return nil, err
	case s.info != nil && os.SameFile(info, s.info) && info.Size() == s.info.Size() && info.ModTime().Equal(s.info.ModTime()):
		return s.file, nil
	}
	file, err := s.read()
	if err != nil {
		return nil, err
	}
	s.info, s.file = info, file
	return file, nil
}

// read decodes the file that is there now.
func (s *store) read() (*File, error) {
	data, err := regular.ReadFile(s.path, MaxSize)
	if errors.Is(err, fs.ErrNotExist) {
		return &File{Servers: make(map[string]*Server)}, nil
	}
	if err != nil {
		return nil, err
	}
	file, err := decode(data, s.ways...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.path, err)
	}
	return file, nil
}

// update changes the file while nobody else does. The change is applied to what is in
// the file at that moment; if it says that nothing changed, nothing is written.
func (s *store) update(ctx context.Context, change func(*File) (bool, error)) error {
	unlock, err := s.exclude(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	file, err := s.read()
	if err != nil {
		return err
	}
	changed, err := change(file)
	if err != nil || !changed {
		return err
	}
	data, err := file.Encode()
	if err != nil {
		return fmt.Errorf("%s: %w", s.path, err)
	}
	// The file is that of all servers: what one of them sent must not make it one that
	// nobody can read. A definition is deeper here than it was on the wire.
	if _, err := decode(data, s.ways...); err != nil {
		return fmt.Errorf("%s could not be read again: %w", s.path, err)
	}
	if err := regular.Replace(s.path, data, 0o644); err != nil {
		return fmt.Errorf("writing %s: %w", s.path, err)
	}
	return nil
}

// exclude waits until no other process and no other goroutine changes files of the
// folder. The lock is one on the folder, so that no further file lies about.
func (s *store) exclude(ctx context.Context) (unlock func(), err error) {
	dir := filepath.Dir(s.path)
	for range lockTries {
		unlock, err = tryLock(dir)
		if !errors.Is(err, errHeld) {
			break
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(lockPause):
		}
	}
	if err != nil {
		return nil, fmt.Errorf("locking %s: %w", dir, err)
	}
	return unlock, nil
}

var errHeld = errors.New("another process holds the lock")
