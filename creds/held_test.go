package creds

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

func heldBy(in *Injector) (held []string) {
	for secret := range in.Held() {
		held = append(held, string(secret))
	}
	return held
}

// TestSecretsLingerForTheRecord: for two minutes after their call, once each, and only
// if somebody looks for them.
func TestSecretsLingerForTheRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		same := ProviderFunc(func(context.Context, Spec, Request) (Material, error) {
			return Material{Secret: NewValue([]byte("the same"))}, nil
		})
		r := newRig(t, same)
		r.want("the same")
		if len(r.in.cache.live) != 0 {
			t.Error("it lingers although nobody looks")
		}
		r.in.Held()
		for range 100 {
			r.want("the same")
			pass(time.Second)
		}
		if held := heldBy(r.in); fmt.Sprint(held) != "[the same]" {
			t.Errorf("held: %q", held)
		}
		pass(lingerFor - 2*time.Second)
		if len(heldBy(r.in)) != 1 {
			t.Error("gone too early")
		}
		pass(sweepEvery + 2*time.Second)
		if held := heldBy(r.in); len(held) != 0 || len(r.in.cache.live) != 0 {
			t.Errorf("two minutes later: %q", held)
		}
		r.close()
	})
}

// TestLingeringIsBounded: a flood of calls with secrets of their own.
func TestLingeringIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{}
		r := newRig(t, ProviderFunc(s.Issue))
		r.in.Held()
		for i := range maxLingering + 10 {
			if i == 10 {
				pass(time.Second) // so that the first ten are the oldest
			}
			if _, err := r.get(); err != nil {
				t.Fatal(err)
			}
		}
		held := heldBy(r.in)
		if len(held) != 2*maxLingering { // each has a part
			t.Errorf("%d are held", len(held))
		}
		for _, secret := range held {
			if secret == "k1" || secret == "k10" {
				t.Errorf("%s is held, and later ones are not", secret)
			}
		}
		r.close()
		s.wiped(t)
	})
}

// Case 26: a server that shuts down under a call revokes and reveals nothing more, but its
// record, which is written when the call is over, is still blanked.
func TestHeldWhileCallsEndAfterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := leased{&script{life: span}}
		r := newRig(t, p)
		r.in.Held()
		r.want("k1")
		err := r.as(t.Context(), "bob", func(ctx context.Context) error {
			v, err := Secret(ctx, "n")
			if err != nil {
				return err
			}
			r.close() //nolint:contextcheck // Close has a deadline of its own
			if !v.Empty() || v.Reveal() != nil {
				t.Error("it reveals after Close")
			}
			if held := heldBy(r.in); fmt.Sprint(held) != "[k2 part2]" {
				t.Errorf("under the call: %v", held)
			}
			pass(2 * lingerFor)
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		if held := heldBy(r.in); fmt.Sprint(held) != "[k2 part2]" || len(p.revocations()) != 2 {
			t.Errorf("when its record is written: %v, revoked %v", held, p.revocations())
		}
		pass(lingerFor + sweepEvery)
		if held := heldBy(r.in); len(held) != 0 {
			t.Errorf("afterwards: %v", held)
		}
		p.wiped(t)
	})
}

// A call that asks and gives back without end holds one loan.
func TestGetAndCloseInALoop(t *testing.T) {
	r := newRig(t, &script{life: span})
	_ = r.as(t.Context(), "alice", func(ctx context.Context) error {
		h, _ := From(ctx)
		for range 10_000 {
			v, err := Secret(ctx, "n")
			if err != nil {
				return err
			}
			v.Close()
		}
		n := 0
		for l := h.loans; l != nil; l = l.next {
			n++
		}
		if n > 10 {
			t.Errorf("%d loans of one credential in one call", n)
		}
		return nil
	})
	r.close()
}

// What is held is gathered once, and anew after every change.
func BenchmarkHeld(b *testing.B) {
	in := New()
	for i := range 8192 {
		in.cache.hold(&issued{m: Material{Secret: NewValue(fmt.Appendf(nil, "secret-number-%036d", i))}})
	}
	held := in.Held()
	b.ReportAllocs()
	for b.Loop() {
		for range held {
		}
	}
}
