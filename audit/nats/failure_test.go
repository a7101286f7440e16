package nats

import (
	"context"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/mcpsec/mcpsec-go/audit"
)

func TestServerKilledInTheMiddle(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.store(nil)
	killed := false
	d := to(s, func(c *Config) {
		c.Format = formats{audit.JSON, 1200, func() error {
			if !killed {
				killed = true
				s.kill()
			}
			return nil
		}}
	})
	all := records(0, 2000, 300)
	deliver(t, d, all[:500])
	if err := fails(t, d, patience, all[500:]); errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waited for a server that hung up: %v", err)
	}
	if err := fails(t, d, patience, all[500:]); !strings.Contains(err.Error(), "refused") {
		t.Error(err)
	}
	s.run()
	if n := len(s.stored()); n < 1200-window || n >= 2000 {
		t.Fatalf("%d stored before the server died: not in the middle", n)
	}
	deliver(t, d, all[500:])
	s.holds(all)
}

// A server that was restarted between two deliveries costs neither of them a try.
func TestServerRestartedInBetween(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.store(nil)
	d := to(s)
	deliver(t, d, records(0, 10, 10))
	s.kill()
	s.run()
	eventually(t, "the client knows that its connection is lost", func() bool { return d.conn.why() != nil })
	deliver(t, d, records(10, 20, 10))
	s.holds(records(0, 20, 10))
}

func TestStreamFullThenLarger(t *testing.T) {
	t.Parallel()
	for name, limit := range map[string]func(*jetstream.StreamConfig){
		"bytes":    func(c *jetstream.StreamConfig) { c.MaxBytes = 100_000 },
		"messages": func(c *jetstream.StreamConfig) { c.MaxMsgs = 150 },
		"messages of the subject": func(c *jetstream.StreamConfig) {
			c.MaxMsgsPerSubject, c.DiscardNewPerSubject = 150, true
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			s.store(func(c *jetstream.StreamConfig) {
				c.Discard = jetstream.DiscardNew
				limit(c)
			})
			d := to(s)
			all := records(0, 400, 300)
			for range 2 {
				if err := fails(t, d, patience, all); !strings.Contains(err.Error(), "the stream is full") {
					t.Errorf("no remedy: %v", err)
				}
			}
			s.store(func(c *jetstream.StreamConfig) { c.Discard = jetstream.DiscardNew })
			deliver(t, d, all)
			s.holds(all)
		})
	}
}

// A server that reads nothing and never answers holds a delivery no longer than its
// context, not even while the client waits to write.
func TestServerHangs(t *testing.T) {
	t.Parallel()
	for name, size := range map[string]int{"reading what it got": 100, "taking no more": 100_000} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			s.store(nil)
			d := to(s)
			all := records(0, 300, size)
			deliver(t, d, all[:10])
			signal(t, s, syscall.SIGSTOP)
			eventually(t, "the server stands still", s.still)
			if err := fails(t, d, 300*time.Millisecond, all[10:]); !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
			if err := fails(t, d, 300*time.Millisecond, all[10:]); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("connecting: %v", err)
			}
			signal(t, s, syscall.SIGCONT)
			deliver(t, d, all[10:])
			s.holds(all)
		})
	}
}

func signal(t *testing.T, s *server, sig os.Signal) {
	t.Helper()
	if err := s.proc.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

func TestCancelled(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.store(nil)
	d := to(s)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Deliver(ctx, records(0, 10, 10)); !errors.Is(err, context.Canceled) {
		t.Fatalf("connecting: %v", err)
	}
	deliver(t, d, records(0, 10, 10))
	if _, err := d.Deliver(ctx, records(10, 20, 10)); !errors.Is(err, context.Canceled) {
		t.Fatalf("connected: %v", err)
	}
	deliver(t, d, records(10, 20, 10))
	s.holds(records(0, 20, 10))
}
