package age

import (
	"bytes"
	"context"
	"fmt"
	"time"
)

// A reading is one decryption of the file, for all who came before it began: deriving a
// key from a passphrase takes a second and much memory.
type reading struct {
	done    chan struct{}
	content []byte
	version string
	err     error
	readers int // guarded by Store.mu; the last one to leave overwrites the content
}

// readTimeout bounds waiting for the providers of what opens the file.
const readTimeout = 30 * time.Second

// decrypt returns what is in the file, and which version of it. The caller clears it.
func (s *Store) decrypt(ctx context.Context) (content []byte, version string, err error) {
	s.mu.Lock()
	r := s.next
	if r == nil {
		r = &reading{done: make(chan struct{})}
		s.next = r
		go s.run(context.WithoutCancel(ctx), r)
	}
	r.readers++
	s.mu.Unlock()
	defer s.leave(r)
	select {
	case <-r.done:
	case <-ctx.Done():
		return nil, "", ctx.Err()
	}
	return bytes.Clone(r.content), r.version, r.err
}

// run decrypts when no other does. Whoever comes after it began waits for the next: the
// file may have been replaced meanwhile.
func (s *Store) run(ctx context.Context, r *reading) {
	defer s.leave(r)
	defer close(r.done)
	defer func() {
		if p := recover(); p != nil { // of a provider: here nobody else would contain it
			r.err = fmt.Errorf("it panicked with a %T", p)
		}
	}()
	s.turn <- struct{}{} // at most one other is at work, and it ends
	defer func() { <-s.turn }()
	s.mu.Lock()
	s.next = nil
	idle := r.readers == 0
	r.readers++
	s.mu.Unlock()
	if idle {
		r.err = context.Canceled
		return
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	r.content, r.version, r.err = s.read(ctx)
}

func (s *Store) leave(r *reading) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.readers--; r.readers == 0 {
		clear(r.content)
	}
}
