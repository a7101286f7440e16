package audit

// alarms are the refusals that mean the server itself is not what was reviewed, or
// that somebody forges its state.
var alarms = map[string]bool{
	"attest.artifact_changed":    true,
	"attest.definition_mismatch": true,
	"attest.server_mismatch":     true,
	"guard.foreign_handler":      true,
	"guard.forged_state":         true,
	"guard.outflanked":           true,
}

// Alarming reports whether the event, or a finding in it, never happens by accident.
// Formats give it their highest ranks.
func (e *Event) Alarming() bool {
	if alarms[e.Code] {
		return true
	}
	for i := range e.Findings {
		if alarms[e.Findings[i].Code] {
			return true
		}
	}
	return false
}
