package aws

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/mcpsec/mcpsec-go/audit"
	"github.com/mcpsec/mcpsec-go/internal/test/fakeaws"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// FuzzTrailEvent: whatever callers put into an event, it becomes one event of
// CloudTrail's schema, in printable ASCII, that reads back as what was said.
func FuzzTrailEvent(f *testing.F) {
	f.Add("tools/call", "read_file", "alice", "https://idp", "reason", "desk", "10.0.0.1:1", int64(0))
	f.Add("\"},{\"", "\u2028\u202e", "auth0|alice\x00", "\xff\xfe", "a\r\nb\x1b[2J", "😀", "[::1%lo]:9", int64(1)<<40)
	f.Add(strings.Repeat("é", 900), "", "", "", strings.Repeat("漢", 300), "", "::", int64(-1)<<40)
	service := fakeaws.NewCloudTrail("audit")
	f.Fuzz(func(t *testing.T, method, name, subject, issuer, reason, client, address string, milli int64) {
		e := &audit.Event{
			Kind: audit.Outcome, Time: time.UnixMilli(milli % (1 << 45)).UTC(), ID: "id", Method: method, Name: name, Client: client,
			Principal: audit.Principal{Rung: "token", Subject: subject, Issuer: issuer},
			Source:    audit.Source{Address: address}, Decision: audit.Refused, Code: "a.b", Reason: reason,
		}
		if e.Time.Year() < 1 || e.Time.Year() > 9999 {
			t.Skip("reason: not a time that JSON has")
		}
		c := &CloudTrail{account: fakeaws.Account, now: time.Now}
		c.format = audit.JSON
		r := line(1, e)
		out, unfit := c.entry(&r)
		if unfit != "" {
			if len(r.Line) < 4000 {
				t.Fatalf("%s: %s", unfit, r.Line)
			}
			return
		}
		for _, b := range out.data {
			if b < ' ' || b > '~' {
				t.Fatalf("byte %x in %q", b, out.data)
			}
		}
		if err := mcpsec.CheckJSON(out.data); err != nil {
			t.Fatal(err)
		}
		var sent struct {
			Data string `json:"eventData"`
		}
		must(t, json.Unmarshal(out.data, &sent))
		// The fake's check of the schema was written from the documentation.
		service.Events = nil
		body, err := json.Marshal(map[string]any{"auditEvents": []json.RawMessage{out.data}})
		must(t, err)
		answer, err := service.Serve(&fakeaws.Request{Operation: "PutAuditEvents", Body: body, Query: map[string][]string{"channelArn": {service.Channel}}})
		if err != nil || len(service.Events) != 1 {
			t.Fatalf("refused: %v %v %s", answer, err, sent.Data)
		}
		var event fakeaws.EventData
		must(t, json.Unmarshal([]byte(sent.Data), &event))
		if got := recordOf(t, sent.Data); got != string(r.Line) {
			t.Fatalf("record became %q, was %q", got, r.Line)
		}
		same := func(got, was string, most int) {
			if len(was) <= most && utf8.ValidString(was) && got != was {
				t.Fatalf("%q became %q", was, got)
			}
		}
		if method != "" {
			same(event.EventName, method, trailText)
		}
		same(event.ErrorMessage, reason, trailErrorText)
		same(event.UserAgent, client, trailText)
	})
}

// FuzzTrailAnswers: nothing but an answer that names each event once, with an id or
// a known code, settles anything.
func FuzzTrailAnswers(f *testing.F) {
	f.Add([]byte(`{"successful":[{"id":"a","eventID":"1"},{"id":"b","eventID":"2"}],"failed":[]}`))
	f.Add([]byte(`{"successful":[{"id":"a","eventID":"1"}],"failed":[{"id":"b","errorCode":"InvalidData"}]}`))
	f.Add([]byte(`{"successful":null,"failed":[{"id":"b","errorCode":"Throttling"},{"id":"a","errorCode":"x\n"}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		answers, err := trailAnswers(body, []entry{{key: "a"}, {key: "b"}})
		if err != nil {
			tellsNothing(t, err)
			return
		}
		if len(answers) != 2 {
			t.Fatal(answers)
		}
		for i, key := range []string{"a", "b"} {
			if a := answers[i]; !a.taken && a.rejected == "" && a.again == "" {
				t.Fatalf("%s is left open by %s", key, body)
			}
			if answers[i].taken && !strings.Contains(unescaped(t, body), key) {
				t.Fatalf("%s acknowledged by %s", key, body)
			}
		}
	})
}

// unescaped is the JSON text without its escapes.
func unescaped(t *testing.T, body []byte) string {
	t.Helper()
	var v any
	must(t, json.Unmarshal(body, &v))
	b, err := json.Marshal(v)
	must(t, err)
	return string(b)
}
