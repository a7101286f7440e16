package https

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"
)

const (
	// sweepEvery is how often everything that is open is looked at.
	sweepEvery = time.Second
	// maxTasks bounds the goroutines that write comments.
	maxTasks = 256
)

// background starts what runs until Shutdown, once: the watchers of certificates, keys and
// revocations, and the sweeper.
func (s *Server) background() {
	s.start.Do(func() {
		type watch = func(ctx context.Context, changed func(), fault func(error)) error
		watches := map[string]watch{"Certificates": s.config.Certificates.Watch}
		if s.config.Clients != nil {
			watches["Clients"] = s.config.Clients.Watch
		}
		if s.config.Peers != nil {
			watches["Peers"] = s.config.Peers.Watch
		}
		if s.config.Tokens != nil {
			watches["Tokens"] = s.config.Tokens.Watch
		}
		for name, watch := range watches {
			s.spawn(func() { s.watch(name, watch) })
		}
		s.spawn(s.sweep)
	})
}

// watch runs a watcher again if it ends before its time.
func (s *Server) watch(name string, watch func(ctx context.Context, changed func(), fault func(error)) error) {
	fault := func(err error) { s.log.Error("https: Config."+name, "error", err) }
	for s.ctx.Err() == nil {
		if err := watch(s.ctx, s.changed, fault); err != nil && s.ctx.Err() == nil {
			fault(err)
		}
		select {
		case <-s.ctx.Done():
		case <-time.After(5 * time.Second):
		}
	}
}

// changed says that somebody may no longer be let in.
func (s *Server) changed() {
	s.gate.renew()
	s.changes.Add(1)
	select {
	case s.wake <- struct{}{}:
	default: // it will look anyway
	}
}

func (s *Server) sweep() {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.ctx.Done():
			s.tell(s.now().Add(tellEvery))
			return
		case <-tick.C:
		case <-s.wake:
		}
		s.round()
	}
}

// round sweeps once. What goes wrong with one stream is not to end the watch over all.
func (s *Server) round() {
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("https: a panic while streams were looked at", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		}
	}()
	s.tell(s.now())
	s.streams.Sweep()
}

func (s *Server) tell(now time.Time) {
	s.dropped.tell(s.log, now)
	s.astray.tell(s.log, now)
}

// later runs a short task in the background, unless there are too many.
func (s *Server) later(do func()) bool {
	select {
	case s.busy <- struct{}{}:
	default:
		return false
	}
	s.spawn(func() {
		defer func() { <-s.busy }()
		do()
	})
	return true
}

// spawn runs what Shutdown waits for.
func (s *Server) spawn(do func()) {
	s.mu.Lock()
	s.running++
	s.mu.Unlock()
	go func() {
		defer func() {
			if p := recover(); p != nil {
				s.log.Error("https: a panic in the background", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.running--; s.running == 0 && s.idle != nil {
				close(s.idle)
				s.idle = nil
			}
		}()
		do()
	}()
}

// settled returns a channel that is closed when nothing runs in the background.
func (s *Server) settled() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running == 0 {
		none := make(chan struct{})
		close(none)
		return none
	}
	if s.idle == nil {
		s.idle = make(chan struct{})
	}
	return s.idle
}
