package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/mcpsec/mcpsec-go/ratelimit"
)

// promised is how long a decision takes at most while Redis does not answer.
const promised = 25 * time.Millisecond

// undecided wants Take to fail because of Redis, and returns how long it took.
func undecided(tb testing.TB, s *Store, req *ratelimit.Request) time.Duration {
	tb.Helper()
	before := time.Now()
	v, err := s.Take(context.Background(), req)
	took := time.Since(before)
	if !errors.Is(err, ErrDown) || v.Hold != nil || v.Spent != nil {
		tb.Fatalf("got %+v, %v, want ErrDown", v, err)
	}
	return took
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

// fresh stores have breakers that are closed.
func tookWhileClosed(t *testing.T, stores []*Store) {
	t.Helper()
	var took []time.Duration
	for i, s := range stores {
		for n := range failures {
			took = append(took, undecided(t, s, call(bucket(fmt.Sprint(i, n), 1, time.Hour))))
		}
	}
	m := median(took) // sorts
	t.Logf("%d decisions: median %v, longest %v", len(took), m, took[len(took)-1])
	// A busy machine wakes many of them late, and holds some up for seconds. What must not
	// be is a client that waits by rules of its own: that takes a second at least, for each
	// of the stores that do it, which are half of them.
	if quick := took[0]; quick > promised {
		t.Errorf("decided in %v, want %v at most", quick, promised)
	}
	if slow := took[len(took)*5/6]; slow > 700*time.Millisecond {
		t.Errorf("decided in %v, want %v at most", slow, promised)
	}
}

func tookWhileOpen(t *testing.T, s *Store) {
	t.Helper()
	var took []time.Duration
	for range 2000 {
		took = append(took, undecided(t, s, call(bucket("open", 1, time.Hour))))
	}
	m := median(took)
	t.Logf("while open: median %v", m)
	if m > 20*time.Microsecond {
		t.Errorf("decided in %v while the breaker is open", m)
	}
}

// A server that hangs accepts connections and never answers. The breaker must not
// close by itself meanwhile: it is open for an hour.
func TestHangingServerCostsMillisecondsThenNanoseconds(t *testing.T) { // not parallel, as it measures
	for name, warm := range map[string]bool{"connected": true, "not yet connected": false} {
		t.Run(name, func(t *testing.T) {
			srv := start(t)
			var stores []*Store
			for range 10 {
				s := open(t, srv, Config{Timeout: DefaultTimeout, OpenFor: time.Hour})
				if warm {
					if err := s.Ready(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				stores = append(stores, s)
			}
			srv.freeze()
			defer srv.thaw()
			tookWhileClosed(t, stores)
			tookWhileOpen(t, stores[0])
		})
	}
}

func TestRefusedConnectionCostsMillisecondsThenNanoseconds(t *testing.T) {
	srv := &server{tb: t, addr: freeAddr(t)}
	var stores []*Store
	for range 10 {
		stores = append(stores, open(t, srv, Config{Timeout: DefaultTimeout, OpenFor: time.Hour}))
	}
	tookWhileClosed(t, stores)
	tookWhileOpen(t, stores[0])
}

func TestHangingClusterNodeCostsMillisecondsThenNanoseconds(t *testing.T) {
	nodes, _ := cluster(t)
	addrs := make([]string, len(nodes))
	for i, n := range nodes {
		addrs[i] = n.addr
	}
	var stores []*Store
	for i := range 10 {
		c := goredis.NewClusterClient(&goredis.ClusterOptions{Addrs: addrs, ContextTimeoutEnabled: true})
		t.Cleanup(func() { _ = c.Close() })
		s, err := New(c, Config{OpenFor: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 { // half of them know the slots before
			if err := s.Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		stores = append(stores, s)
	}
	for _, n := range nodes {
		n.freeze()
	}
	tookWhileClosed(t, stores)
	tookWhileOpen(t, stores[0])
}

// A client that is told to try again must not: the first attempt may have counted.
func TestNoCommandIsSentTwice(t *testing.T) {
	t.Parallel()
	srv := start(t)
	var dials atomic.Int32
	dialer := &net.Dialer{}
	client := goredis.NewClient(&goredis.Options{
		Addr: srv.addr, ContextTimeoutEnabled: true, ReadTimeout: 200 * time.Millisecond, MaxRetries: 3,
		Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
			dials.Add(1)
			return dialer.DialContext(ctx, network, addr)
		},
	})
	t.Cleanup(func() { _ = client.Close() })
	s := on(t, client, Config{})
	if err := s.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := dials.Load()
	srv.freeze()
	undecided(t, s, call(bucket("b", 1, time.Hour)))
	if n := dials.Load() - before; n != 0 {
		t.Errorf("tried again on %d more connections", n)
	}
}

func TestThawedServerIsAskedAgainAndBooksNothingLate(t *testing.T) {
	t.Parallel()
	srv := start(t)
	s := open(t, srv, Config{Timeout: DefaultTimeout, OpenFor: time.Millisecond})
	req := spend("first", daily("a", 100, 1))
	eventually(t, "Redis is asked", func() bool { _, err := s.Take(t.Context(), req); return err == nil })
	before := mustLevel(t, s, "a")
	srv.freeze()
	end := time.Now().Add(6 * DefaultTimeout)
	for n := 0; time.Now().Before(end); n++ {
		undecided(t, s, spend(fmt.Sprint("late", n), daily("a", 100, 1)))
	}
	srv.thaw()
	eventually(t, "Redis is asked again", func() bool {
		_, err := s.Take(t.Context(), spend("level", daily("a", 100, 0)))
		return err == nil
	})
	// All that the server found when it went on has been read by now, or is lost with
	// its connection: answers come in the order of questions, on each of them.
	if after := mustLevel(t, s, "a"); after != before {
		t.Errorf("%d were booked for calls that had been refused", after-before)
	}
}

// mustLevel returns what an account holds.
func mustLevel(tb testing.TB, s *Store, key string) (level int64) {
	tb.Helper()
	eventually(tb, "Redis tells the level", func() bool {
		v, err := s.Take(context.Background(), spend("level", daily(key, 100, 0)))
		if err == nil {
			level = v.Spent[0]
		}
		return err == nil
	})
	return level
}
