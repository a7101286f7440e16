package audit

import (
	"strings"
	"testing"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

func TestAlarmsAreCodesThatExist(t *testing.T) {
	t.Parallel()
	known := make(map[string]bool)
	for _, c := range mcpsec.Codes() {
		known[c.Name] = true
	}
	for code := range alarms {
		if strings.HasPrefix(code, "guard.") && !known[code] {
			t.Errorf("no such code: %s", code)
		}
	}
}

func TestAlarmInAFinding(t *testing.T) {
	t.Parallel()
	quiet := &Event{Code: "ratelimit.exceeded", Findings: []Finding{{Code: "allowlist.denied"}}}
	if quiet.Alarming() {
		t.Error("an ordinary refusal alarms")
	}
	if loud := (&Event{Findings: []Finding{{Code: "x"}, {Code: "guard.outflanked"}}}); !loud.Alarming() {
		t.Error("a finding does not alarm")
	}
}
