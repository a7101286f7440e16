package https

import (
	"context"
	"crypto/rand"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mcpsec/mcpsec-go/mcpsec"
	"github.com/mcpsec/mcpsec-go/transport/https/internal/stream"
)

// A backlog bounds the notifications that wait for their handlers. The SDK takes any number
// of them, answers at once, and says nothing when one was handled. But it handles messages
// of a session in order: when a call is answered, all that came before it is settled.
type backlog struct {
	taken, settled atomic.Uint64
	probing        sync.Mutex
}

const (
	// maxBacklog is how many notifications of one session may wait.
	maxBacklog = 64
	// maxProbe bounds the call that finds out whether they wait.
	maxProbe = time.Second
)

// mark is taken before a call, for settle after its answer.
func (b *backlog) mark() uint64 { return b.taken.Load() }

func (b *backlog) settle(mark uint64) {
	for {
		old := b.settled.Load()
		if mark <= old || b.settled.CompareAndSwap(old, mark) {
			return
		}
	}
}

// admit reports whether one more notification may come. If many might wait, probe makes a
// call, and reports whether it was answered.
func (b *backlog) admit(probe func() bool) bool {
	if b.taken.Add(1)-b.settled.Load() <= maxBacklog {
		return true
	}
	if b.probing.TryLock() {
		defer b.probing.Unlock()
		mark := b.mark()
		if probe() {
			b.settle(mark)
			return true
		}
	}
	b.taken.Add(^uint64(0))
	return false
}

// ping is the call of a probe.
func ping() *mcpsec.Message {
	m, err := mcpsec.ReadMessage([]byte(`{"jsonrpc":"2.0","id":"mcpsec-` + rand.Text() + `","method":"ping"}`))
	if err != nil {
		return nil
	}
	return m
}

func (s *Server) backlogged(m *mcpsec.Message) *refusal {
	return s.full(stream.ErrFull, "notifications that wait in one session", "").of(m)
}

// probe pings the session, as its owner.
func (n *session) probe(r *http.Request) bool {
	m := ping()
	if m == nil {
		return false
	}
	ctx, cancel := context.WithTimeout(n.ctx, maxProbe)
	defer cancel()
	p := r.Clone(joined{ctx, r.Context()}) //nolint:contextcheck // it ends with the session
	p.Header = innerHeader(r.Header, false)
	p.Body, p.ContentLength = m.Body(), int64(len(m.Bytes()))
	n.server.stateful.ServeHTTP(discard{}, p)
	return ctx.Err() == nil
}

// probe pings the session over HTTP+SSE.
func (n *eventSession) probe(r *http.Request) bool {
	m := ping()
	if m == nil {
		return false
	}
	answered := make(chan struct{})
	n.mu.Lock()
	n.probed, n.answered = m.ID, answered
	n.mu.Unlock()
	ctx, cancel := context.WithTimeout(n.ctx, maxProbe)
	defer cancel()
	if n.push(ctx, r, m) != nil {
		return false
	}
	select {
	case <-answered:
		return true
	case <-ctx.Done():
		return false
	}
}
