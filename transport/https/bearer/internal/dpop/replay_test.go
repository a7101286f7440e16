package dpop

import (
	"errors"
	"strconv"
	"testing"
	"time"
)

func TestReplayIsKnownForTheWholeWindow(t *testing.T) {
	t.Parallel()
	const window = time.Minute
	for _, start := range []time.Duration{0, time.Second, 59 * time.Second} {
		r := newReplay(window)
		began := time.Now()
		if err := r.add(began, "other", "first"); err != nil { // begins a generation
			t.Fatal(err)
		}
		at := began.Add(start)
		if err := r.add(at, "key", "id"); err != nil {
			t.Fatal(err)
		}
		for age := time.Duration(0); age <= window; age += 5 * time.Second {
			if r.add(at.Add(age), "key", "id") == nil {
				t.Errorf("begun %v later: good again after %v", start, age)
			}
		}
		if err := r.add(at.Add(window), "another key", "id"); err != nil {
			t.Error(err)
		}
	}
}

func TestReplayForgetsWhatIsOld(t *testing.T) {
	t.Parallel()
	r := newReplay(time.Minute)
	now := time.Now()
	for range 10 {
		for n := range 100 {
			if err := r.add(now, "key", strconv.Itoa(n)); err != nil {
				t.Fatal(err)
			}
		}
		now = now.Add(2 * time.Minute)
	}
	if n := len(r.new.proofs) + len(r.old.proofs); n > 200 {
		t.Errorf("%d proofs are remembered", n)
	}
}

// One client that sends proofs without end keeps out itself, and forgets nothing.
func TestFloodOfProofsIsBoundedPerKey(t *testing.T) {
	t.Parallel()
	r := newReplay(time.Minute)
	now := time.Now()
	for n := range maxProofsPer {
		if err := r.add(now, "flood", strconv.Itoa(n)); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.add(now, "flood", "more"); !errors.Is(err, ErrBusy) {
		t.Errorf("one more: %v", err)
	}
	if err := r.add(now, "flood", "0"); err == nil || errors.Is(err, ErrBusy) {
		t.Errorf("the first again: %v", err)
	}
	if err := r.add(now, "other", "0"); err != nil {
		t.Errorf("another client: %v", err)
	}
}

func TestNormalize(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"https://a.example":             "https://a.example/",
		"https://A.example:443/x?y#z":   "https://a.example/x",
		"https://a.example:8443/x":      "https://a.example:8443/x",
		"https://a.example/%7e%2f%41":   "https://a.example/~%2FA",
		"https://[::1]:443/x":           "https://[::1]/x",
		"http://a.example/":             "",
		"https://u@a.example/":          "",
		"https:a.example":               "",
		"//a.example/":                  "",
		"https://a.example/%zz":         "",
		"https://a.example\x00/":        "",
		"https://a.example/a/../b":      "https://a.example/a/../b", // as it is: the router sees the same
		"https://a.example.:443/trail.": "https://a.example./trail.",
	} {
		if got, _ := Normalize(text); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}
