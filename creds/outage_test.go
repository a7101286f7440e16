package creds

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// One moment's outage under many requests opens the circuit for one second.
func TestOneBlipIsOneOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		p := &script{life: span, issue: func(context.Context, Request, int) error {
			if down.Load() {
				pass(time.Millisecond)
				return ErrOutage
			}
			return nil
		}}
		r := newRig(t, p)
		down.Store(true)
		var wg sync.WaitGroup
		for i := range 12 {
			wg.Go(func() { _, _ = r.getAs(fmt.Sprint(i)) })
		}
		wg.Wait()
		down.Store(false)
		pass(2 * time.Second)
		if _, err := r.getAs("other"); err != nil {
			t.Errorf("2 s after one moment's outage of 12 requests: %v", err)
		}
		r.close()
	})
}

// A burst of plans that the provider works off is no outage.
func TestCallerCannotOpenTheCircuitWithPlans(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &script{life: span, issue: func(context.Context, Request, int) error { pass(500 * time.Millisecond); return nil }}
		r := newRig(t, p)
		var wg sync.WaitGroup
		for i := range 1000 {
			wg.Go(func() { _, _ = r.getAs(fmt.Sprint("attacker", i)) })
		}
		wg.Wait()
		pass(2 * time.Second)
		if _, err := r.getAs("other"); err != nil {
			t.Errorf("2 s after a burst that the provider worked off, with every seat free: %v", err)
		}
		r.close()
	})
}

// What depends on the request or on configuration is no outage.
func TestNotOutages(t *testing.T) {
	for _, err := range []error{
		&fs.PathError{Op: "open", Path: "/x", Err: syscall.ENOENT},
		&url.Error{Op: "parse", URL: "x", Err: errors.New("invalid character in host name")},
		syscall.EACCES,
	} {
		if isOutage(err) {
			t.Errorf("%T %v: an outage of the issuer", err, err)
		}
	}
}

// A caller whose requests fail does not push out what others use.
func TestFailuresDoNotPushOutCredentials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &script{life: span, issue: func(_ context.Context, r Request, _ int) error {
			if strings.HasPrefix(r.Principal.Subject, "attacker") {
				return errors.New("refused")
			}
			return nil
		}}
		r := newRig(t, p)
		r.want("k1")
		for i := range maxEntries {
			_, _ = r.getAs(fmt.Sprint("attacker", i))
		}
		r.want("k1")
		r.close()
	})
}

// Nor does one tool's caller keep credentials from another tool with another provider.
func TestOneProvidersFlightsDoNotFillTheCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &script{life: span, issue: func(context.Context, Request, int) error { pass(time.Second); return nil }}
		fine := &script{life: span}
		in := New(ForTool("t", Named("n", slow), Named("m", fine)))
		r := &rig{t, in}
		var wg sync.WaitGroup
		for i := range maxEntries {
			wg.Go(func() { _, _ = r.getAs(fmt.Sprint(i)) })
		}
		synctest.Wait()
		err := r.as(t.Context(), "victim", func(ctx context.Context) error { _, err := Secret(ctx, "m"); return err })
		if err != nil {
			t.Errorf("another provider, which is idle: %v", err)
		}
		wg.Wait()
		r.close()
	})
}
