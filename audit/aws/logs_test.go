package aws

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/audit"
	"github.com/mcpsec/mcpsec-go/internal/test/fakeaws"
)

func at(seq uint64, when time.Time) audit.Record {
	return line(seq, &audit.Event{Kind: audit.Outcome, Time: when, ID: fmt.Sprint(seq), Method: "tools/call", Decision: audit.Allowed})
}

func TestLogsOfABacklogOfDays(t *testing.T) {
	t.Parallel()
	service := fakeaws.NewLogs("g", "s")
	server := fakeaws.New(t, service)
	d, err := NewLogs(server.Config(t), LogsConfig{Group: "g", Stream: "s"})
	must(t, err)
	hurry(t, &d.sender)
	now := time.Now()
	// Sixteen days, every six hours, with a clock that jumps back now and then.
	var records []audit.Record
	lost := map[int]bool{}
	for i := range 64 {
		when := now.Add(-16*24*time.Hour + time.Duration(i)*6*time.Hour + time.Hour)
		if i%5 == 4 {
			when = when.Add(-90 * time.Minute)
		}
		lost[i] = when.Before(now.Add(-14 * 24 * time.Hour))
		records = append(records, at(uint64(i), when))
	}
	records = append(records, at(64, now.Add(3*time.Hour)), at(65, now), checkpoint(66))
	lost[64] = true
	rejected, err := d.Deliver(t.Context(), records)
	must(t, err)
	for _, r := range rejected {
		if !lost[r.Index] {
			t.Errorf("%d rejected: %s", r.Index, r.Reason)
		}
		delete(lost, r.Index)
	}
	for i, still := range lost {
		if still {
			t.Errorf("%d is lost and was not counted", i)
		}
	}
	if n := len(service.Groups["g"]["s"]); n != len(records)-len(rejected) {
		t.Errorf("%d of %d arrived, %d rejected", n, len(records), len(rejected))
	}
}

func TestLogsOlderThanTheGroupKeepsThemAreCounted(t *testing.T) {
	t.Parallel()
	service := fakeaws.NewLogs("g", "s")
	service.Retention = time.Hour
	server := fakeaws.New(t, service)
	d, err := NewLogs(server.Config(t), LogsConfig{Group: "g", Stream: "s"})
	must(t, err)
	hurry(t, &d.sender)
	now := time.Now()
	rejected, err := d.Deliver(t.Context(), []audit.Record{at(0, now), at(1, now.Add(-2*time.Hour)), at(2, time.Unix(-5, 0))})
	if err != nil || len(rejected) != 2 || rejected[0].Index != 1 || rejected[1].Index != 2 {
		t.Fatalf("%v %v", rejected, err)
	}
	if !strings.Contains(rejected[0].Reason, "keeps events") || !strings.Contains(rejected[1].Reason, "1970") {
		t.Fatalf("%v", rejected)
	}
}

func TestLogsRejectionsThatCannotBe(t *testing.T) {
	t.Parallel()
	for _, index := range []string{"-1", "4", "2147483647"} {
		for _, member := range []string{"tooNewLogEventStartIndex", "tooOldLogEventEndIndex", "expiredLogEventEndIndex"} {
			r := rigs["Logs"](t, setting{})
			r.server.Inject(r.operation, fakeaws.Say(fmt.Sprintf(`{"nextSequenceToken":"1","rejectedLogEventsInfo":{%q:%s}}`, member, index)))
			if rejected, err := r.destination.Deliver(t.Context(), calls(3)); err == nil {
				t.Errorf("%s %s: %v", member, index, rejected)
			}
		}
	}
}
