package audit

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// full is an event with every field.
func full() *Event {
	at := time.Date(2026, 11, 22, 10, 0, 0, 123456789, time.UTC)
	return &Event{
		Kind: Outcome, Time: at, ID: "id", Parent: "parent", Round: 2, Method: "tools/call", Name: "search\u202e\n",
		Outgoing: true, Session: "s", Client: "c", Policy: "sha256:aa",
		Principal: Principal{Rung: "token", Issuer: "i", Subject: "s", Client: "c", Tenant: "t", Actors: []string{"a", "b"}},
		Source:    Source{"http", "192.0.2.1:4711"},
		Trace:     Trace{strings.Repeat("a", 32), strings.Repeat("b", 16), "01"},
		Tool:      Tool{"sha256:bb", "1.2.3", "sha256:cc", 7},
		Arguments: Arguments{
			Bytes: 10, Keys: []string{"k"}, More: 3, HMAC: "hmac-sha256:k1:dd",
			Clear: []Value{{"/a", `"x"`}, {"/b", "1"}}, Redacted: []string{"/c"},
		},
		Count: 5, First: at.Add(-time.Hour), Last: at.Add(-time.Minute), Level: "WARN",
		Decision: Refused, Code: "test.no", Control: "test", Reason: "r", Detail: "d",
		Findings: []Finding{{"control", "code", "reason", "detail", true}},
		Notes:    []mcpsec.Note{{Key: "a", Value: "1"}, {Key: "b", Value: "2"}},
		Credentials: []mcpsec.Credential{{
			Name: "n", Provider: "aws", Role: "arn:aws:iam::123456789012:role/r", KeyID: "ASIA", Policy: "sha256:ee", Expires: at.Add(time.Hour), Kept: true,
		}},
		Latency: 1234 * time.Microsecond, IsError: true, Result: Result{99, "sha256:ff"}, Truncated: true,
	}
}

func TestEventsAreReadBackAsTheyWereWritten(t *testing.T) {
	t.Parallel()
	for name, e := range map[string]*Event{
		"every field":               full(),
		"a log":                     {Kind: Log, Time: time.Unix(1, 0).UTC(), Level: "INFO", Reason: "m"},
		"a kind of a later version": {Kind: "later", Time: time.Unix(1, 0).UTC()},
	} {
		line := e.AppendJSON(nil)
		if e.Kind != Outcome {
			line = append([]byte(`{"seq":7,"prev":"0011223344556677",`), line[1:]...)
		}
		back, err := Decode(line)
		if err != nil {
			t.Errorf("%s: %v in %s", name, err, line)
		} else if !reflect.DeepEqual(back, e) {
			t.Errorf("%s: got\n%+v\nwant\n%+v", name, back, e)
		}
	}
	// A field that is added to Event and forgotten here, or in the encoding, is found.
	v := reflect.ValueOf(full()).Elem()
	for i := range v.NumField() {
		if f := v.Type().Field(i); f.IsExported() && v.Field(i).IsZero() {
			t.Errorf("full does not set %s", f.Name)
		}
	}
}

func TestWhatIsNoRecord(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		``, `{}`, `[]`, `null`, `{"time":"2026-11-22T10:00:00Z"}`, `{"event":"outcome"}`,
		`{"time":"2026-11-22T10:00:00Z","event":"outcome","event":"attempt"}`,
		`{"time":"2026-11-22T10:00:00Z","event":"outcome","count":-1}`,
		`{"time":"2026-11-22T10:00:00Z","event":"outcome"} x`,
	} {
		if e, err := Decode([]byte(line)); err == nil {
			t.Errorf("%s was read as %+v", line, e)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(full().AppendJSON(nil))
	f.Add([]byte(`{"seq":1,"prev":"0000000000000000","time":"2026-11-22T10:00:00Z","event":"gap","count":3,"reason":"x"}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		e, err := Decode(line)
		if err != nil {
			return
		}
		once := e.AppendJSON(nil)
		back, err := Decode(once)
		if err != nil {
			t.Fatalf("%v in what was written: %s", err, once)
		}
		if twice := back.AppendJSON(nil); !bytes.Equal(once, twice) {
			t.Fatalf("not stable:\n%s\n%s", once, twice)
		}
	})
}
