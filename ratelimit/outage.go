package ratelimit

import (
	"errors"
	"fmt"
)

// An Outage says what a limit means while the [Store] does not answer. The zero
// value refuses. In a process without a Store there is no outage.
type Outage struct {
	kind     outageKind
	replicas int
}

type outageKind int

const (
	closed outageKind = iota
	share
	unlimited
)

// Closed refuses every call the limit applies to. It is the default.
func Closed() Outage { return Outage{} }

// LocalShare lets each process hold its share of the limit by itself: with n
// replicas one n-th of it. It starts from nothing spent, so that an outage can add
// one limit more in all.
func LocalShare(replicas int) Outage { return Outage{share, replicas} }

// UnlimitedDuringOutage lets calls pass without this limit. Whoever can break the
// connection to the store is then free of it.
func UnlimitedDuringOutage() Outage { return Outage{kind: unlimited} }

func (o Outage) check() error {
	if o.kind == share && o.replicas < 1 {
		return errors.New("LocalShare: there is at least 1 replica")
	}
	return nil
}

// String returns what the policy does.
func (o Outage) String() string {
	switch o.kind {
	case share:
		return fmt.Sprintf("LocalShare(%d)", o.replicas)
	case unlimited:
		return "UnlimitedDuringOutage()"
	default:
		return "Closed()"
	}
}

// noteDegraded is the key of the note on calls that were decided without the store.
const noteDegraded = "ratelimit.degraded"
