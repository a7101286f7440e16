package audit

import (
	"slices"
	"strings"

	"github.com/mcpsec/mcpsec-go/audit/ledger"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// A Class says what becomes of a call whose record cannot be kept at the moment.
type Class = ledger.Class

// The classes, as the ledger carries them out. Other sinks take every event or
// refuse the call, whatever its class.
const (
	// Require: the call waits until its record survives a loss of power, and is
	// refused if that cannot be had.
	Require = ledger.Require
	// Bounded: the record is queued, for which the call waits up to 50 ms, and is
	// refused otherwise; see [DropBounded].
	Bounded = ledger.Bounded
	// BestEffort: the call never waits. Records that do not fit are counted, and a
	// Gap event says how many there were.
	BestEffort = ledger.BestEffort
)

// Classify is the loss policy of [New] unless [ClassifyWith] gives another: Require
// for refusals, for calls to which credentials were issued anew, and for tools whose
// annotations say that they are destructive; BestEffort for lists, pings and
// notifications; Bounded for all other calls.
func Classify(e *Event) Class {
	switch {
	case e.Kind == Log:
		return BestEffort
	case e.Kind == Suppressed:
		return Bounded
	case e.Decision == Refused, e.destructive, slices.ContainsFunc(e.Credentials, fresh):
		return Require
	}
	return classOf(e.Method)
}

func fresh(c mcpsec.Credential) bool { return !c.Kept }

func classOf(method string) Class {
	switch method {
	case "ping", "tools/list", "prompts/list", "resources/list", "resources/templates/list", "roots/list", "logging/setLevel":
		return BestEffort
	}
	if strings.HasPrefix(method, "notifications/") {
		return BestEffort
	}
	return Bounded
}
