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
