package https

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/mcpsec/mcpsec-go/mcpsec"
	"github.com/mcpsec/mcpsec-go/transport/https/internal/stream"
)

// readHeader bounds a TLS handshake and the header of a request.
const readHeader = 5 * time.Second

// A patience is how long an end waits, at most, for what takes no time on a machine that is
// not held up.
type patience struct {
	goodbye time.Duration // of a stream to be sent
	words   time.Duration // for answers that are written to leave
	wait    time.Duration // for what was cancelled to return
}

// ErrCutOff is returned by [Server.Shutdown] and [Server.Serve] if something did not end
// in time: calls were cut off, or a handler still runs that does not heed its context.
var ErrCutOff = errors.New("https: not everything ended in time, and was cut off")

func (s *Server) listenAndServe(ctx context.Context, addr string) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("https: %w", err)
	}
	return s.Serve(ctx, l)
}

// Serve serves TLS on a listener, which it closes, until ctx ends; then it shuts down as
// [Server.Shutdown] does, within Limits.Drain. It returns nil after an orderly end,
// ErrCutOff if something was cut off, and otherwise why the listener broke.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	if s.leaving.Load() {
		_ = l.Close() // nothing was accepted
		return http.ErrServerClosed
	}
	s.background()
	n := &serving{Server: s.newHTTPServer(), listener: l, done: make(chan struct{})}
	n.ConnState = n.arrivals.track
	s.mu.Lock()
	s.servers[n] = struct{}{}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.servers, n)
		s.mu.Unlock()
	}()
	var broken error
	go func() {
		defer close(n.done)
		broken = n.ServeTLS(limitListener(l, s.limits.Conns, s.limits.ConnsPer, func(a net.Addr) { s.dropped.add(a.String()) }), "", "")
	}()
	select {
	case <-n.done:
		if s.leaving.Load() {
			return nil // by Shutdown, which says how it went
		}
		return errors.Join(fmt.Errorf("https: %w", broken), s.Shutdown(context.WithoutCancel(ctx)))
	case <-ctx.Done():
		return s.Shutdown(context.WithoutCancel(ctx))
	}
}

// A serving is one listener that is served.
type serving struct {
	*http.Server

	listener net.Listener
	arrivals arrivals
	done     chan struct{} // closed when no more connections are accepted
}

func (s *Server) newHTTPServer() *http.Server {
	l := s.limits
	srv := &http.Server{
		Handler:           http.HandlerFunc(s.serveHTTP),
		TLSConfig:         s.gate.config(),
		ReadHeaderTimeout: readHeader,
		ReadTimeout:       max(l.Read, 0),
		IdleTimeout:       max(l.Idle, 0),
		MaxHeaderBytes:    l.Header,
		ConnContext:       withConnection,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug), // strangers cause it
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          max(l.HTTP2Streams, 0),
			MaxReceiveBufferPerConnection: 256 << 10,
			MaxReceiveBufferPerStream:     64 << 10,
			SendPingTimeout:               30 * time.Second,
			PingTimeout:                   15 * time.Second,
		},
	}
	if l.Write > 0 {
		srv.HTTP2.WriteByteTimeout = l.Write
	}
	return srv
}

// Shutdown ends the server in order: it reports that it is not ready and accepts no more
// connections; answers the first request of those that have just come; takes no more
// requests; tells open streams to connect again, elsewhere; waits for calls under way, at
// most for Limits.Drain or until ctx ends; cancels and cuts off what is left; ends
// sessions, connections, and what runs in the background. It returns ErrCutOff if it had
// to cut anything off. A handler that does not heed its context runs on: nothing can end
// it, but nothing waits for it.
func (s *Server) Shutdown(ctx context.Context) error {
	s.leaving.Store(true)
	if s.limits.Drain >= 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.limits.Drain)
		defer cancel()
	}
	all := s.listeners() // Serve forgets its own as soon as that is closed
	settle(ctx, all)
	s.draining.Store(true)
	closing, closed := context.WithCancel(context.WithoutCancel(ctx))
	defer closed()
	for _, n := range all {
		n.SetKeepAlivesEnabled(false)
		s.spawn(func() { _ = n.Shutdown(closing) }) // it waits for the connections there are
	}
	cut := !s.drain(ctx)
	if cut {
		s.farewell(closing)
	}
	s.streams.Close(stream.Session)
	s.streams.Kill()
	s.flushed(closing, all)
	for _, n := range all {
		_ = n.Close() // which has nothing to say that Serve does not
	}
	closed()
	s.stop()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.patience.wait)
	defer cancel()
	if !s.gone(last) {
		cut = true
	}
	if cut {
		return ErrCutOff
	}
	return nil
}

// settle closes the listeners and waits for what they had accepted: whoever was let in is
// answered once.
func settle(ctx context.Context, all []*serving) {
	ctx, cancel := context.WithTimeout(ctx, readHeader)
	defer cancel()
	for _, n := range all {
		_ = n.listener.Close() // it serves no more in any case
	}
	for _, n := range all {
		select {
		case <-n.done:
			n.arrivals.settle(ctx)
		case <-ctx.Done():
		}
	}
}

func (s *Server) listeners() []*serving {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*serving, 0, len(s.servers))
	for n := range s.servers {
		all = append(all, n)
	}
	return all
}

// flushed waits until the last answers have left: a call is over when its handler returns, and
// net/http sends the end of the answer after that.
func (s *Server) flushed(ctx context.Context, all []*serving) {
	ctx, cancel := context.WithTimeout(ctx, s.patience.words)
	defer cancel()
	for _, n := range all {
		_ = n.Shutdown(ctx) // it waits for connections to have nothing to do, and closes them
	}
}

// drain waits for calls and streams to end; false if they do not.
func (s *Server) drain(ctx context.Context) bool {
	return poll(ctx, func() bool {
		s.streams.Close(stream.Stream) // those that waited for their calls
		return s.none(stream.Call, stream.Stream, stream.Reading)
	})
}

// farewell ends what did not end in time, and lets streams say so, also those that still
// waited for a call.
func (s *Server) farewell(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, s.patience.words)
	defer cancel()
	s.streams.End(func(mcpsec.Principal) bool { return true }, stream.Shutdown)
	poll(ctx, func() bool { return s.none(stream.Call, stream.Stream) })
}

// gone waits for what was cancelled and cut off to return; false if it does not.
func (s *Server) gone(ctx context.Context) bool {
	select {
	case <-s.settled():
	case <-ctx.Done():
		return false
	}
	return poll(ctx, func() bool { return s.none(stream.Call, stream.Stream, stream.Reading, stream.Session) })
}

func (s *Server) none(kinds ...stream.Kind) bool {
	return !slices.ContainsFunc(kinds, func(k stream.Kind) bool { return s.streams.Count(k) > 0 })
}

// poll asks until the answer is yes; false if ctx ends first.
func poll(ctx context.Context, done func() bool) bool {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
	return true
}
