package age

import (
	"context"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/mcpsec/mcpsec-go/creds"
)

// Twenty secrets behind a passphrase, asked for at once at start, must not take twenty
// times as long as one: the control waits five seconds.
func TestSecretsAskedForAtOnceShareAReading(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "secrets.age")
	if err := Write(path, map[string]creds.Value{"n": value("x")}, cheap("pass")); err != nil {
		t.Fatal(err)
	}
	var derived atomic.Int32
	store := Open(Config{Path: path, Passphrase: creds.ProviderFunc(func(context.Context, creds.Spec, creds.Request) (creds.Material, error) {
		derived.Add(1)
		return creds.Material{Secret: value("pass")}, nil
	})})
	store.turn <- struct{}{} // somebody derives a key
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if got, err := issue(t, store.Secret("n")); err != nil || got != "x" {
				t.Error(got, err)
			}
		})
	}
	for {
		store.mu.Lock()
		all := store.next != nil && store.next.readers == 20
		store.mu.Unlock()
		if all {
			break
		}
	}
	<-store.turn
	wg.Wait()
	if n := derived.Load(); n != 1 {
		t.Errorf("the key was derived %d times", n)
	}
}

func TestSourceThatPanicsEndsNoProcess(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "secrets.age")
	if err := Write(path, map[string]creds.Value{"n": value("x")}, cheap("pass")); err != nil {
		t.Fatal(err)
	}
	store := Open(Config{Path: path, Passphrase: creds.ProviderFunc(func(context.Context, creds.Spec, creds.Request) (creds.Material, error) {
		panic("hunter2")
	})})
	for range 2 {
		_, err := issue(t, store.Secret("n"))
		wantError(t, "panic", err, "panicked")
	}
}
