package cef

import (
	"strings"

	"github.com/mcpsec/mcpsec-go/audit"
)

// A verdict is how a message puts what happened.
type verdict struct {
	name            string // fixed words, for the header
	severity        int    // from 1 to 10
	action, outcome string
}

const alarm = 9

// judge says what happened. What it does not know, a later version's kind or
// decision, it calls an event.
func judge(e *audit.Event) verdict {
	v := verdict{name: "Audit event", severity: 3, action: string(e.Decision)}
	switch e.Kind {
	case audit.Attempt:
		v = verdict{"Call attempted", 1, "attempted", ""}
	case audit.Outcome:
		v = judgeOutcome(e)
	case audit.Suppressed:
		v = verdict{"Refusals suppressed", 7, "refused", "failure"}
	case audit.Gap:
		v = verdict{"Audit records lost", 8, "", ""}
	case audit.Pruned:
		v = verdict{"Audit records removed", 5, "", ""}
	case audit.Recovery:
		v = verdict{"Audit log recovered", 5, "", ""}
	case audit.Log:
		v = verdict{"Program message", level(e.Level), "", ""}
	}
	if len(e.Findings) > 0 && v.severity < 4 {
		v.severity = 4
	}
	if e.Alarming() {
		v.severity = alarm
	}
	return v
}

func judgeOutcome(e *audit.Event) verdict {
	switch e.Decision {
	case audit.Allowed:
		if len(e.Findings) > 0 {
			return verdict{"Call allowed with findings", 4, "allowed", "success"}
		}
		return verdict{"Call allowed", 1, "allowed", "success"}
	case audit.Refused:
		return verdict{"Call refused", 5, "refused", "failure"}
	case audit.Failed:
		return verdict{"Call failed", 4, "allowed", "failure"}
	case audit.Unknown:
		return verdict{"Call outcome unknown", 6, "allowed", "unknown"}
	}
	return verdict{"Call ended", 3, string(e.Decision), ""}
}

// level is the severity of a message of the program; slog spells a level in between
// "WARN+2".
func level(s string) int {
	switch {
	case strings.HasPrefix(s, "ERROR"):
		return 6
	case strings.HasPrefix(s, "WARN"):
		return 4
	case strings.HasPrefix(s, "INFO"), strings.HasPrefix(s, "DEBUG"):
		return 1
	}
	return 3
}
