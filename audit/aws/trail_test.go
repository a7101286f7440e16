package aws

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/audit"
	"github.com/mcpsec/mcpsec-go/internal/test/fakeaws"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// trail delivers one record to CloudTrail and returns the event it became.
func trail(t *testing.T, r audit.Record, to CloudTrailConfig) fakeaws.EventData {
	t.Helper()
	service := fakeaws.NewCloudTrail("audit")
	service.ExternalID = to.ExternalID
	server := fakeaws.New(t, service)
	to.Channel = service.Channel
	d, err := NewCloudTrail(server.Config(t), to)
	must(t, err)
	hurry(t, &d.sender)
	rejected, err := d.Deliver(t.Context(), []audit.Record{r})
	if err != nil || len(rejected) > 0 || len(service.Events) != 1 {
		t.Fatalf("%v %v", rejected, err)
	}
	var e fakeaws.EventData
	must(t, json.Unmarshal([]byte(service.Events[0].Data), &e))
	return e
}

func recordOf(t *testing.T, data string) string {
	t.Helper()
	var e struct {
		Additional struct {
			Record string `json:"record"`
		} `json:"additionalEventData"`
	}
	must(t, json.Unmarshal([]byte(data), &e))
	return e.Additional.Record
}

func TestCloudTrailEventHasWhoWhatWhenWhere(t *testing.T) {
	t.Parallel()
	when := time.Date(2026, 11, 22, 13, 14, 15, 16, time.FixedZone("", 3600))
	e := trail(t, line(7, &audit.Event{
		Kind: audit.Outcome, Time: when, ID: "c1", Method: "tools/call", Name: "delete_file", Client: "desk/1.0",
		Principal: audit.Principal{Rung: "token", Issuer: "https://idp.example", Subject: "alice", Tenant: "t1", Actors: []string{"agent"}},
		Source:    audit.Source{Transport: "http", Address: "[2001:db8::1]:443"},
		Decision:  audit.Refused, Code: "allow.not_permitted", Reason: "not for you", Detail: "rule 7",
	}), CloudTrailConfig{ExternalID: "secret/phrase", EventSource: "files"})
	got := []string{
		e.Version, e.UserIdentity.Type, e.UserIdentity.PrincipalID, e.UserAgent, e.EventSource, e.EventName, e.EventTime,
		e.UID, e.ErrorCode, e.ErrorMessage, e.SourceIPAddress, e.RecipientAccountID,
		string(e.UserIdentity.Details), string(e.RequestParameters), string(e.ResponseElements),
	}
	want := []string{
		"mcpsec-audit/1", "token", "https://idp.example:alice", "desk/1.0", "files", "tools/call", "2026-11-22T12:14:15Z",
		testOrigin + ":7", "allow.not_permitted", "not for you", "2001:db8::1", fakeaws.Account,
		`{"actors":["agent"],"issuer":"https://idp.example","subject":"alice","tenant":"t1"}`,
		`{"event":"outcome","id":"c1","name":"delete_file"}`, `{"decision":"refused"}`,
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("got %s, want %s", got[i], want[i])
		}
	}
}

func TestCloudTrailEventsOfNoCall(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for name, tc := range map[string]struct {
		r    audit.Record
		want string // type, principal, name, code
	}{
		"checkpoint": {checkpoint(9), "ledger " + testOrigin + " checkpoint "},
		"gap":        {line(1, &audit.Event{Kind: audit.Gap, Time: now, Count: 3}), "ledger " + testOrigin + " gap "},
		"new kind":   {line(2, &audit.Event{Kind: "novel", Time: now}), "ledger " + testOrigin + " novel "},
		"anonymous":  {line(3, &audit.Event{Kind: audit.Attempt, Time: now, Method: "tools/list", Principal: audit.Principal{Rung: "anonymous"}}), "anonymous - tools/list "},
		"crash":      {line(4, &audit.Event{Kind: audit.Outcome, Time: now, Method: "tools/call", Decision: audit.Unknown, Principal: audit.Principal{Rung: "peer"}}), "peer - tools/call unknown"},
		"failure":    {line(5, &audit.Event{Kind: audit.Outcome, Time: now, Method: "tools/call", Decision: audit.Failed, Principal: audit.Principal{Rung: "peer"}}), "peer - tools/call error"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := trail(t, tc.r, CloudTrailConfig{})
			if got := strings.Join([]string{e.UserIdentity.Type, e.UserIdentity.PrincipalID, e.EventName, e.ErrorCode}, " "); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
			if e.EventSource != testOrigin {
				t.Errorf("source %q", e.EventSource)
			}
		})
	}
}

func TestCloudTrailFaultsOfOneEventAndOfAll(t *testing.T) {
	t.Parallel()
	for code, rejects := range map[string]bool{
		"FieldTooLong": true, "FieldNotFound": true, "InvalidData": true,
		"InvalidRecipient": false, "InvalidEventSource": false, "AccountNotSubscribed": false, "New": false,
	} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			r := rigs["CloudTrail"](t, setting{})
			r.server.Inject(r.operation, fakeaws.Partial(func(i int) string { return []string{"", code}[i%2] }))
			rejected, err := r.destination.Deliver(t.Context(), calls(4))
			if rejects && (err != nil || len(rejected) != 2 || rejected[0] != (audit.Rejection{Index: 1, Reason: code})) {
				t.Fatalf("%v %v", rejected, err)
			}
			if !rejects && (err == nil || !strings.Contains(err.Error(), code)) {
				t.Fatalf("a mistake of the configuration lost records: %v %v", rejected, err)
			}
		})
	}
}

func TestCloudTrailLongAndHostileValuesStayWithinTheSchema(t *testing.T) {
	t.Parallel()
	evil := strings.Repeat("\u202e\"},{\"id\":\"x\n\x00\xff漢😀", 40)
	e := trail(t, line(1, &audit.Event{
		Kind: audit.Outcome, Time: time.Now(), ID: "i", Method: evil, Name: "n", Client: evil, Reason: evil, Code: evil, Decision: audit.Refused,
		Principal: audit.Principal{Rung: "token", Issuer: evil, Subject: "s"},
		Source:    audit.Source{Address: "not an address"},
	}), CloudTrailConfig{})
	if e.SourceIPAddress != "" || len(e.UserIdentity.PrincipalID) > 1024 || len(e.ErrorMessage) > 256 || !strings.HasPrefix(e.EventName, "\u202e\"},{") {
		t.Fatalf("%+v", e)
	}
}

func TestCloudTrailRecordTooLargeIsRejected(t *testing.T) {
	t.Parallel()
	var notes []mcpsec.Note
	for i := range 40 {
		notes = append(notes, mcpsec.Note{Key: fmt.Sprint(i), Value: strings.Repeat("x", 1000)})
	}
	r := rigs["CloudTrail"](t, setting{})
	large := line(1, &audit.Event{Kind: audit.Outcome, Time: time.Now(), Method: "m", Notes: notes})
	rejected, err := r.destination.Deliver(t.Context(), []audit.Record{large, at(2, time.Now())})
	if err != nil || len(rejected) != 1 || rejected[0].Index != 0 || !strings.Contains(rejected[0].Reason, "28000") {
		t.Fatalf("%v %v", rejected, err)
	}
}

func TestCloudTrailChecksumIsOfTheData(t *testing.T) {
	t.Parallel()
	d := &CloudTrail{account: fakeaws.Account, now: time.Now}
	d.format = audit.JSON
	r := at(1, time.Now())
	e, unfit := d.entry(&r)
	var out struct {
		ID       string `json:"id"`
		Data     string `json:"eventData"`
		Checksum string `json:"eventDataChecksum"`
	}
	must(t, json.Unmarshal(e.data, &out))
	sum := sha256.Sum256([]byte(out.Data))
	if unfit != "" || out.Checksum != base64.StdEncoding.EncodeToString(sum[:]) || out.ID != e.key {
		t.Fatalf("%s %+v", unfit, out)
	}
}
