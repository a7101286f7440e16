package aws

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"

	"github.com/mcpsec/mcpsec-go/creds"
)

// A source does what a test says, in an order.
type source struct {
	asked atomic.Int64
	next  func(ctx context.Context, n int64) (awssdk.Credentials, error)
}

func (s *source) Retrieve(ctx context.Context) (awssdk.Credentials, error) {
	return s.next(ctx, s.asked.Add(1))
}

// HandleFailToRefresh is what the SDK's provider for EC2 has: old keys, extended.
func (s *source) HandleFailToRefresh(_ context.Context, old awssdk.Credentials, _ error) (awssdk.Credentials, error) {
	old.Expires = time.Now().Add(10 * time.Minute)
	return old, nil
}

func keysUntil(id string, end time.Time) awssdk.Credentials {
	return awssdk.Credentials{AccessKeyID: id, SecretAccessKey: "canary", SessionToken: "canary", CanExpire: true, Expires: end}
}

// case 1 and case 8: keys that cannot be renewed serve to their end, and not a
// moment longer, whoever extends them.
func TestCase8Extension(t *testing.T) {
	t.Parallel()
	for name, wrap := range map[string]func(*source) awssdk.CredentialsProvider{
		"the provider itself":    func(s *source) awssdk.CredentialsProvider { return s },
		"behind the SDK's cache": func(s *source) awssdk.CredentialsProvider { return awssdk.NewCredentialsCache(s) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				s := &source{next: func(_ context.Context, n int64) (awssdk.Credentials, error) {
					if n == 1 {
						return keysUntil("ASIA1", start.Add(15*time.Minute)), nil
					}
					return awssdk.Credentials{}, errors.New("canary")
				}}
				b := From(wrap(s))
				for _, at := range []time.Duration{0, 9 * time.Minute, 11 * time.Minute, 14*time.Minute + 59*time.Second} {
					time.Sleep(at - time.Since(start)) //nolint:forbidigo // a fake clock
					k, err := b.Retrieve(t.Context())
					if err != nil || k.AccessKeyID != "ASIA1" || k.Expires.After(start.Add(15*time.Minute)) {
						t.Errorf("after %v: %v, ends %v", at, err, k.Expires.Sub(start))
					}
					synctest.Wait()
				}
				time.Sleep(time.Second) //nolint:forbidigo // a fake clock
				_, err := b.Retrieve(t.Context())
				if err == nil {
					t.Fatal("dead keys live")
				}
				if strings.Contains(err.Error(), "canary") {
					t.Errorf("tells too much: %v", err)
				}
				synctest.Wait()
			})
		})
	}
}

// case 2: a source that hangs is left after five seconds; each caller goes at its own
// deadline; a source that never returns is not asked without end.
func TestCase2HangingSource(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		s := &source{next: func(ctx context.Context, n int64) (awssdk.Credentials, error) {
			if n <= stuckMost {
				<-release // whatever its context says
			}
			return keysUntil("ASIA2", time.Now().Add(time.Hour)), nil
		}}
		b := From(s)
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		if _, err := b.Retrieve(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 200*time.Millisecond {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		for i := range stuckMost {
			if _, err := b.Retrieve(t.Context()); err == nil || time.Since(start) > time.Duration(i+1)*flightTime+time.Second {
				t.Errorf("after %v: %v", time.Since(start), err)
			}
			synctest.Wait()
		}
		if _, err := b.Retrieve(t.Context()); err == nil || !strings.Contains(err.Error(), "heed its context") || s.asked.Load() != stuckMost {
			t.Errorf("asked %d times, %v", s.asked.Load(), err)
		}
		close(release)
		synctest.Wait()
		if k, err := b.Retrieve(t.Context()); err != nil || k.AccessKeyID != "ASIA2" {
			t.Errorf("does not recover: %v", err)
		}
	})
}

// case 3: who comes at the same time shares one attempt; a caller that gives up does
// not end it for others.
func TestCase3SingleFlight(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &source{next: func(ctx context.Context, _ int64) (awssdk.Credentials, error) {
			select {
			case <-time.After(2 * time.Second):
				return keysUntil("ASIA3", time.Now().Add(time.Hour)), nil
			case <-ctx.Done():
				return awssdk.Credentials{}, ctx.Err()
			}
		}}
		b := From(s)
		first, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := b.Retrieve(first); !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
		})
		synctest.Wait()
		for range 2000 {
			wg.Go(func() {
				if _, err := b.Retrieve(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := s.asked.Load(); n != 1 {
			t.Errorf("asked %d times", n)
		}
	})
}

// case 9 and case 10: what a source may not give, and clocks that step.
func TestCase9Keys(t *testing.T) {
	t.Parallel()
	clock := newTicker()
	give := awssdk.Credentials{}
	s := &source{next: func(context.Context, int64) (awssdk.Credentials, error) {
		if give.AccessKeyID == "panic" {
			panic("canary")
		}
		return give, nil
	}}
	for name, bad := range map[string]awssdk.Credentials{
		"nothing":     {},
		"no secret":   {AccessKeyID: "AKIA"},
		"panic":       {AccessKeyID: "panic"},
		"no end":      {AccessKeyID: "ASIA", SecretAccessKey: "canary", CanExpire: true},
		"ended":       keysUntil("ASIA", clock.now()),
		"ended early": keysUntil("ASIA", clock.now().Add(-time.Hour)),
	} {
		give = bad
		b := From(s)
		b.now = clock.now
		if _, err := b.Retrieve(t.Context()); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", name, err)
		}
	}
	b := From(s)
	b.now = clock.now
	give = keysUntil("ASIA9", clock.now().Add(time.Hour))
	if _, err := b.Retrieve(t.Context()); err != nil {
		t.Fatal(err)
	}
	clock.add(-30 * time.Minute) // steps back: not trusted without asking
	before := s.asked.Load()
	if _, err := b.Retrieve(t.Context()); err != nil || !waitFor(func() bool { return s.asked.Load() > before }) {
		t.Errorf("%v, asked %d times", err, s.asked.Load())
	}
	clock.add(2 * time.Hour)
	if _, err := b.Retrieve(t.Context()); err == nil {
		t.Error("dead keys live")
	}
	// Fixed keys are asked for again, so that closing the secret ends the base.
	secret := secretOf("s")
	fix := Keys("AKIA", secret)
	fix.now = clock.now
	if _, err := fix.Retrieve(t.Context()); err != nil {
		t.Fatal(err)
	}
	secret.Close()
	clock.add(time.Hour)
	if _, err := fix.Retrieve(t.Context()); err == nil {
		t.Error("closed keys live")
	}
	if err := SessionKeys("ASIA", secretOf("s"), creds.Value{}, clock.now()).Check(); err == nil {
		t.Error("session keys without a session")
	}
}

// waitFor waits for something that another goroutine is about to do.
func waitFor(done func() bool) bool {
	for end := time.Now().Add(time.Minute); time.Now().Before(end); <-time.After(time.Millisecond) {
		if done() {
			return true
		}
	}
	return false
}

func TestABaseIsOneOfItself(t *testing.T) {
	t.Parallel()
	b := user()
	if From(b) != b {
		t.Error("two caches")
	}
	var none *Base
	if From(none).Check() == nil {
		t.Error("a nil Base was accepted")
	}
	if _, ok := any(b).(awssdk.HandleFailRefreshCredentialsCacheStrategy); ok {
		t.Error("the optional interface shows")
	}
}

// A source that ends its goroutine, as a test's FailNow does, is one that failed: the
// attempts that it took are not lost.
func TestABaseOutlivesGoexit(t *testing.T) {
	t.Parallel()
	ends := true
	b := From(awssdk.CredentialsProviderFunc(func(context.Context) (awssdk.Credentials, error) {
		if ends {
			runtime.Goexit()
		}
		return keysUntil("ASIA1", time.Now().Add(time.Hour)), nil
	}))
	for range 3 * stuckMost {
		if _, err := b.Retrieve(t.Context()); err == nil {
			t.Fatal("keys of a source that gave none")
		}
	}
	ends = false
	if _, err := b.Retrieve(t.Context()); err != nil {
		t.Error(err)
	}
}
