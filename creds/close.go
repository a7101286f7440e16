package creds

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// CloseTimeout bounds how long [Injector.Close] takes.
const CloseTimeout = 5 * time.Second

// Close ends the life of every credential: what is being issued is cancelled, what was
// issued is revoked where the provider is a [Revoker] and overwritten. Calls that still
// have it cannot reveal it any more; if somebody asks for [Injector.Held], it is
// overwritten two minutes after they are over, so that their records are blanked. Then every provider that is an io.Closer is closed: an Injector
// owns the providers it was given. Credentials asked for afterwards are refused.
//
// Close takes at most [CloseTimeout]. Its error names what was not revoked, not
// closed, or did not end by then. Only the first Close does anything.
func (in *Injector) Close() error {
	if in == nil || in.closed.Swap(true) {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), CloseTimeout)
	defer cancel()
	var err error
	if in.cache != nil {
		err = in.cache.close(ctx)
	}
	done := make(chan error, 1)
	go func() { done <- in.closeProviders() }()
	select {
	case fault := <-done:
		return errors.Join(err, fault)
	case <-ctx.Done():
		return errors.Join(err, fmt.Errorf("creds: a provider did not close within %v", CloseTimeout))
	}
}

func (in *Injector) closeProviders() error {
	var faults []error
	closed := make(map[*service]bool)
	for _, b := range in.bindings {
		for _, g := range b.grants {
			s := in.tools[b.tool][g.name()]
			if s == nil || closed[s.service] {
				continue
			}
			closed[s.service] = true
			if err := s.close(); err != nil {
				faults = append(faults, fmt.Errorf("creds: tool %q, credential %q: %w", b.tool, g.name(), err))
			}
		}
	}
	return errors.Join(faults...)
}

func (s *source) close() (err error) {
	defer contain(&err, "its provider")
	if c, ok := s.provider.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// close empties the cache and waits for what works for it.
func (c *cache) close(ctx context.Context) error {
	c.mu.Lock()
	c.closed = true
	c.ground()
	if c.timer != nil {
		c.timer.Stop()
		c.timer = nil
	}
	for _, e := range c.entries {
		c.drop(e)
	}
	for is := range c.live {
		if !is.ended { // lent: the calls that have it end without it
			is.retired, is.outlived = true, c.scrub
			c.end(is)
		}
	}
	clear(c.lingering)
	if c.active == 0 {
		close(c.idle)
	}
	c.mu.Unlock()

	var faults []error
	select {
	case <-c.idle:
	case <-ctx.Done():
		faults = append(faults, fmt.Errorf("creds: requests to providers did not end within %v", CloseTimeout))
	}
	c.giveUp()
	c.mu.Lock()
	defer c.mu.Unlock()
	for is := range c.live {
		if !is.outlived {
			c.wipe(is)
		}
	}
	return errors.Join(append(c.faults, faults...)...)
}

// rest ends the work of a goroutine.
func (c *cache) rest() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.active--; c.closed && c.active == 0 {
		close(c.idle)
	}
}
