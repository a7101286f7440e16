package creds

import (
	"errors"
	"time"
)

const (
	// maxAsked bounds how many requests to one provider are under way, including those
	// that it does not end although it should.
	maxAsked = 64
	// maxFlying bounds how many wait for one provider: others share the cache.
	maxFlying = maxEntries / 4
	// outages is how many in a row open the circuit.
	outages = 5
)

// A service is a provider as a whole: how many requests it has, and whether it is
// worth asking. The cache's lock guards all but seats.
type service struct {
	seats   chan struct{}
	flying  int   // flights of the cache that it has, or that wait for a seat
	failed  int   // outages in a row
	fault   error // the last one
	until   time.Duration
	probing bool
}

func newService() *service { return &service{seats: make(chan struct{}, maxAsked)} }

// admit reports how long the provider is to be left alone. After that time one
// request is let through to see whether it is back.
func (s *service) admit(now instant) (wait time.Duration) {
	switch {
	case s.failed < outages:
		return 0
	case now.mono < s.until:
		return s.until - now.mono
	case s.probing:
		return time.Second
	}
	s.probing = true
	return 0
}

// answered takes the result of a request. A provider that refuses one request is
// there for others.
func (s *service) answered(now instant, err error) {
	s.probing = false
	if !isOutage(err) {
		s.failed = 0
		return
	}
	if s.fault = err; s.failed >= outages && now.mono < s.until {
		return // asked before the circuit opened: the same outage
	}
	if s.failed++; s.failed >= outages {
		s.until = now.mono + min(time.Second<<min(s.failed-outages, 5), 30*time.Second)
	}
}

// isOutage tells what is wrong with the issuer from what is wrong with the request.
// What can be asked whether it is a timeout need not be of the network: a file that is
// not there can, and a URL that is none.
func isOutage(err error) bool {
	if errors.Is(err, ErrOutage) {
		return true
	}
	e, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err)
	return ok && e.Timeout()
}
