package ocsf

import (
	"strings"

	"github.com/mcpsec/mcpsec-go/audit"
)

// A verdict is how OCSF puts the end of a call. Action and disposition are those
// of the profile security_control.
type verdict struct{ severity, status, action, disposition label }

var (
	unknown = label{0, "Unknown"}

	informational = label{1, "Informational"}
	low           = label{2, "Low"}
	medium        = label{3, "Medium"}
	high          = label{4, "High"}

	success = label{1, "Success"}
	failure = label{2, "Failure"}
	pending = label{99, "Pending"} // an attempt has no end yet

	permitted = label{1, "Allowed"}
	denied    = label{2, "Denied"}
	observed  = label{3, "Observed"}

	passed  = label{1, "Allowed"}
	blocked = label{2, "Blocked"}
	logged  = label{17, "Logged"}
	broken  = label{27, "Error"}
)

// judge says how a call ended. What it does not know, a later version's decision,
// it calls unknown.
func judge(e *audit.Event) verdict {
	v := verdict{unknown, unknown, unknown, unknown}
	switch {
	case e.Kind == audit.Attempt:
		v = verdict{informational, pending, permitted, passed}
	case e.Kind == audit.Suppressed:
		v = verdict{medium, failure, denied, blocked} // a flood
	case e.Decision == audit.Allowed:
		v = verdict{informational, success, permitted, passed}
	case e.Decision == audit.Refused:
		v = verdict{low, failure, denied, blocked}
	case e.Decision == audit.Failed:
		v = verdict{low, failure, permitted, broken}
	case e.Decision == audit.Unknown:
		v = verdict{medium, unknown, permitted, unknown}
	}
	if v.disposition == passed && len(e.Findings) > 0 {
		v.severity, v.action, v.disposition = low, observed, logged
	}
	if e.Alarming() {
		v.severity = high
	}
	return v
}

// severityOf is that of an event that is no call.
func severityOf(e *audit.Event) label {
	switch {
	case e.Kind == audit.Gap:
		return high // evidence is missing
	case e.Kind == audit.Recovery, e.Kind == audit.Pruned:
		return medium
	case e.Kind != audit.Log:
		return unknown
	// slog spells a level in between "WARN+2".
	case strings.HasPrefix(e.Level, "ERROR"):
		return medium
	case strings.HasPrefix(e.Level, "WARN"):
		return low
	case strings.HasPrefix(e.Level, "INFO"), strings.HasPrefix(e.Level, "DEBUG"):
		return informational
	}
	return unknown
}
