package age

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/mcpsec/mcpsec-go/creds"
)

// counted returns a store behind a passphrase, and how often that was asked for.
func counted(t *testing.T, ask func() error) (*Store, *atomic.Int32) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secrets.age")
	if err := Write(path, map[string]creds.Value{"n": value("x")}, cheap("pass")); err != nil {
		t.Fatal(err)
	}
	var asked atomic.Int32
	return Open(Config{Path: path, Passphrase: creds.ProviderFunc(func(context.Context, creds.Spec, creds.Request) (creds.Material, error) {
		asked.Add(1)
		return creds.Material{Secret: value("pass")}, ask()
	})}), &asked
}

// Twenty secrets behind a passphrase, asked for at once at start, must not take twenty
// times as long as one: the control waits five seconds. Neither must a wrong passphrase.
func TestSecretsAskedForAtOnceShareAReading(t *testing.T) {
	t.Parallel()
	for _, fault := range []error{nil, errors.New("locked")} {
		store, asked := counted(t, func() error { return fault })
		synctest.Test(t, func(t *testing.T) {
			store.turn = make(chan struct{}, 1) // of the bubble
			store.turn <- struct{}{}            // somebody derives a key
			var wg sync.WaitGroup
			for range 20 {
				wg.Go(func() {
					if got, err := issue(t, store.Secret("n")); (err == nil) != (fault == nil) || fault == nil && got != "x" {
						t.Error(got, err)
					}
				})
			}
			synctest.Wait()
			<-store.turn
			wg.Wait()
		})
		if n := asked.Load(); n != 1 {
			t.Errorf("%v: the passphrase was asked for %d times", fault, n)
		}
		if store.readers != 0 || store.last.number != 0 || store.last.content != nil {
			t.Errorf("%v: %d readers, the content is kept", fault, store.readers)
		}
	}
}

// Who comes after a reading began does not get it: the file may have been replaced.
func TestReadingThatBeganEarlierIsNotShared(t *testing.T) {
	t.Parallel()
	store, asked := counted(t, func() error { return nil })
	for range 3 {
		if got, err := issue(t, store.Secret("n")); err != nil || got != "x" {
			t.Error(got, err)
		}
	}
	if n := asked.Load(); n != 3 {
		t.Errorf("the file was read %d times for three that came one after the other", n)
	}
	synctest.Test(t, func(t *testing.T) {
		store.turn = make(chan struct{}, 1)
		began := asked.Load()
		gate := make(chan struct{})
		first := store.conf.Passphrase
		store.conf.Passphrase = creds.ProviderFunc(func(ctx context.Context, s creds.Spec, r creds.Request) (creds.Material, error) {
			<-gate
			return first.Issue(ctx, s, r)
		})
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() { _, _ = issue(t, store.Secret("n")) })
			synctest.Wait() // the first is reading when the second comes
		}
		close(gate)
		wg.Wait()
		if n := asked.Load() - began; n != 2 {
			t.Errorf("%d readings, want 2", n)
		}
	})
}

// A caller that went away fails alone.
func TestCallerThatGoesAwayFailsAlone(t *testing.T) {
	t.Parallel()
	store, asked := counted(t, func() error { return nil })
	opened := store.conf.Passphrase
	store.conf.Passphrase = creds.ProviderFunc(func(ctx context.Context, s creds.Spec, r creds.Request) (creds.Material, error) {
		if ctx.Done() != nil {
			<-ctx.Done()
			return creds.Material{}, ctx.Err()
		}
		return opened.Issue(ctx, s, r)
	})
	synctest.Test(t, func(t *testing.T) {
		store.turn = make(chan struct{}, 1)
		store.turn <- struct{}{}
		ctx, cancel := context.WithCancel(context.Background())
		p := store.Secret("n")
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := p.Issue(ctx, creds.Spec{}, creds.Request{}); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
		synctest.Wait()
		wg.Go(func() {
			if m, err := p.Issue(context.Background(), creds.Spec{}, creds.Request{}); err != nil || string(m.Secret.Reveal()) != "x" {
				t.Error(err)
			}
		})
		synctest.Wait()
		<-store.turn
		synctest.Wait()
		cancel()
		wg.Wait()
	})
	if n := asked.Load(); n != 1 {
		t.Errorf("%d readings", n)
	}
}

// A source that panics leaves the file to the next.
func TestSourceThatPanicsLeavesTheTurn(t *testing.T) {
	t.Parallel()
	store, _ := counted(t, func() error { panic("hunter2") })
	for range 2 {
		func() {
			defer func() {
				if recover() == nil { // the control contains it
					t.Error("no panic")
				}
			}()
			_, _ = store.Secret("n").Issue(t.Context(), creds.Spec{}, creds.Request{})
		}()
	}
}

// A source counts how often it was closed.
type source struct {
	creds.Provider
	closed *int
}

func (s source) Close() error {
	*s.closed++
	return nil
}

func TestSourceIsClosed(t *testing.T) {
	t.Parallel()
	closed := 0
	from := source{creds.Static([]byte("s")), &closed}
	for _, conf := range []Config{{Identity: from}, {Passphrase: from}} {
		before := closed
		if err := Open(conf).Secret("n").(*secret).Close(); err != nil || closed != before+1 {
			t.Errorf("closed %d times, %v", closed-before, err)
		}
	}
}
