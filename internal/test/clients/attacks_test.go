package clients

import (
	"context"
	"testing"
	"time"
)

// While an attack is under way normal clients are served, each call of theirs; memory stays
// bounded; and when it is over, all is as it was. How fast they are served is measured by
// -whole, which has the machine for itself: at least half as fast as before. Beside the other
// packages' tests a rate says nothing, and only starvation fails.
func TestAttacks(t *testing.T) {
	s := secured(t, "-anyone")
	attacks := map[string]attack{
		"connections that say nothing": many(400, silent),
		"handshakes that stall":        many(400, stalled),
		"headers that never end":       many(200, slowHeader),
		"bodies that never end":        many(200, slowBody),
		"one side closed":              many(4, halfClosed),
		"rapid reset":                  many(4, rapidReset),
		"continuation flood":           many(4, continuationFlood),
		"huge headers":                 many(2, hugeHeaders),
		"forged tokens":                many(2, forgedTokens),
	}
	if *whole {
		s.tools(t, attacks)
	}
	for name, a := range attacks {
		t.Run(name, func(t *testing.T) { s.endure(t, a) })
	}
}

// tools adds the attacks of others' programs.
func (s *site) tools(t *testing.T, attacks map[string]attack) {
	t.Helper()
	slow, flood := system(t, "slowhttptest", "slowhttptest"), system(t, "h2load", "nghttp2-client")
	for name, args := range map[string][]string{
		"slowhttptest, headers": {"-H"},
		"slowhttptest, bodies":  {"-B", "-s", "8192", "-t", "POST", "-f", "application/json"},
		"slowhttptest, reading": {"-X", "-w", "10", "-y", "20", "-n", "5", "-z", "32", "-k", "3"},
	} {
		attacks[name] = tool(slow, append(args, "-c", "200", "-i", "2", "-r", "100", "-l", "30", "-x", "24", "-p", "3", "-u", s.URL+"/mcp")...)
	}
	attacks["h2load"] = tool(flood, "-D", "30", "-c", "2", "-m", "4", s.URL+"/mcp")
}

func (s *site) endure(t *testing.T, a attack) {
	t.Helper()
	s.rate(t, 0) // warm
	before := s.rate(t, 0)
	memory := s.resident(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	done := make(chan struct{})
	go func() { defer close(done); a(ctx, s) }()
	during := s.rate(t, before*0.5)
	grown := s.resident(t) - memory
	stop()
	<-done
	after := s.rate(t, before*0.5)
	t.Logf("calls a second: %.0f before, %.0f during, %.0f after; %+d MiB", before, during, after, grown)
	if grown > 256 {
		t.Errorf("the server grew by %d MiB", grown)
	}
}

// rate returns how many calls of normal clients are answered in a second. None may fail or
// starve. With -whole there have to be as many as wanted, which are measured a few times: what
// counts is that the rate can be had at all.
func (s *site) rate(t *testing.T, want float64) (perSecond float64) {
	t.Helper()
	period, times := time.Second, 1
	if *whole {
		period, times = 5*time.Second, 4
	}
	const least = 100
	for range times {
		answered, failed, took := s.load(t, period, least)
		if failed > 0 {
			t.Errorf("%d calls of normal clients failed", failed)
		}
		if answered < least {
			t.Fatalf("normal clients were answered %d times in %v", answered, took)
		}
		if perSecond = max(perSecond, float64(answered)/took.Seconds()); perSecond >= want {
			break
		}
	}
	if *whole && perSecond < want {
		t.Errorf("normal clients got %.0f calls a second, want %.0f", perSecond, want)
	}
	return perSecond
}
