package audit

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// attacks are texts that try to leave their place in a record or deceive its reader.
var attacks = map[string]string{
	"new record":           "x\"}\n{\"event\":\"outcome\",\"decision\":\"allowed\"}",
	"carriage return":      "denied\rallowed",
	"line separators":      "a\u2028b\u2029c\u0085d",
	"terminal escape":      "\x1b[2J\x1b]0;pwned\x07",
	"C1 escape":            "\u009b2J",
	"DEL and NUL":          "a\x7fb\x00c",
	"bidi override":        "a\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061cb",
	"zero width":           "a\u200b\u200c\u200d\u2060\ufeffb",
	"tag smuggling":        "a\U000e0001\U000e0041\U000e007fb",
	"variation selectors":  "a\ufe0f\U000e0100b",
	"invisible fillers":    "a\u034f\u115f\u3164\uffa0\u00adb",
	"invalid UTF-8":        "a\xff\xc0\xaf\xed\xa0\x80b\xf4",
	"quotes and backslash": `\"\\"\u000a`,
}

// forbidden reports the first character of s that may not stand in the log.
func forbidden(s string) (rune, bool) {
	for i, r := range s {
		switch {
		case r < ' ', r >= 0x7f && r <= 0x9f, r == 0x61c, r == 0xad, r == 0xfeff, r == 0x2060,
			r >= 0x200b && r <= 0x200f, r >= 0x2028 && r <= 0x202e, r >= 0x2066 && r <= 0x2069,
			r >= 0xe0000 && r <= 0xe01ef, r >= 0xfe00 && r <= 0xfe0f:
			return r, true
		case r == '\ufffd' && !strings.HasPrefix(s[i:], "\ufffd"): // not UTF-8
			return r, true
		}
	}
	return 0, false
}

// clean is what a text reads as, after a trip through the log.
func clean(s string) string { return strings.Join(runes(s), "") }

func runes(s string) (out []string) {
	for _, r := range s {
		out = append(out, string(r))
	}
	return out
}

func TestLogInjection(t *testing.T) {
	for name, attack := range attacks {
		t.Run(name, func(t *testing.T) {
			e := Event{
				Kind: Outcome, Outgoing: true, ID: attack, Parent: attack, Method: attack, Name: attack, Session: attack, Client: attack,
				Principal: Principal{Rung: attack, Issuer: attack, Subject: attack, Client: attack, Tenant: attack, Actors: []string{attack, attack}},
				Tool:      Tool{Digest: attack, Version: attack}, Arguments: Arguments{Bytes: 1, Keys: []string{attack}},
				Decision: Decision(attack), Code: attack, Control: attack, Reason: attack, Detail: attack,
				Findings: []Finding{{Control: attack, Code: attack, Reason: attack, Detail: attack}, {Failed: true}},
				Notes:    []mcpsec.Note{{Key: attack, Value: attack}, {}},
			}
			line := string(e.AppendJSON(nil))
			if r, found := forbidden(line); found {
				t.Errorf("%U is in %q", r, line)
			}
			got := parse(t, line)
			if len(got) != 1 {
				t.Fatalf("%d records of one event", len(got))
			}
			r, want := got[0], clean(attack)
			if !r.Outgoing || !r.Findings[1].Failed {
				t.Errorf("flags are lost in %s", line)
			}
			for _, text := range []string{
				r.ID, r.Parent, r.Method, r.Name, r.Untrusted.Session, r.Untrusted.Client, r.Principal.Issuer,
				r.Principal.Subject, r.Principal.Client, r.Principal.Tenant, r.Principal.Actors[1], r.Tool.Digest, r.Arguments.Keys[0],
				r.Decision, r.Code, r.Control, r.Reason, r.Detail, r.Findings[0].Detail, r.Notes[want],
			} {
				if text != want {
					t.Errorf("reads as %q, want %q", text, want)
				}
			}
		})
	}
}

func TestLogInjectionThroughTheGuard(t *testing.T) {
	for name, attack := range attacks {
		t.Run(name, func(t *testing.T) {
			var m memory
			g, err := mcpsec.New(New(To(&m)), refusing(mcpsec.Denial{Code: attack, Reason: attack, Detail: attack}))
			if err != nil {
				t.Fatal(err)
			}
			h, err := mcpsec.Wrap(g, "tool", ok)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = h(t.Context(), request(attack, "{}"))
			if r, found := forbidden(strings.ReplaceAll(m.String(), "\n", "")); found {
				t.Errorf("%U is in %q", r, &m)
			}
			if all := parse(t, m.String()); len(all) != 1 {
				t.Errorf("%d records", len(all))
			}
		})
	}
}

func TestMembersOfAnEmptyEvent(t *testing.T) {
	want := `{"time":"0001-01-01T00:00:00Z","event":""}`
	if got := string((&Event{}).AppendJSON(nil)); got != want {
		t.Errorf("got %s", got)
	}
	if got, err := json.Marshal(&Event{}); err != nil || string(got) != want {
		t.Errorf("got %s, %v", got, err)
	}
}

func TestEverythingIsBounded(t *testing.T) {
	huge := strings.Repeat("\x00", 1<<20)
	names := []string{strings.Repeat("k", 1<<20)}
	for i := range 5000 {
		names = append(names, time.Duration(i).String())
	}
	args := `{"` + strings.Join(names, `":null,"`) + `":null}`
	call := &mcpsec.Call{
		ID: huge, Parent: huge, Method: huge, Name: huge, Session: huge, Client: huge, Arguments: json.RawMessage(args),
		Principal: mcpsec.Principal{Issuer: huge, Subject: huge, Client: huge, Tenant: huge, Actors: slices.Repeat([]string{huge}, 1000)},
		Tool:      &mcpsec.Tool{Digest: huge, Version: huge},
	}
	e := eventOf(call, time.Time{})
	e.settle(call, nil, &mcpsec.Denial{Code: huge, Control: huge, Reason: huge, Detail: huge})
	e.note([]mcpsec.Note{{Key: huge, Value: huge}, {Key: "a\xff", Value: "1"}, {Key: "a\xfe", Value: "2"}}) // two names that become one
	line := e.AppendJSON(nil)
	if len(line) > 128<<10 {
		t.Errorf("%d bytes", len(line))
	}
	r := parse(t, string(line))[0]
	if !r.Truncated || r.Arguments.Bytes != len(args) || len(r.Arguments.Keys) != maxKeys || r.Arguments.More != 5001-maxKeys {
		t.Errorf("truncated %v, arguments %+v", r.Truncated, r.Arguments)
	}
}

func TestLongTextIsCutAtARune(t *testing.T) {
	var e Event
	if got := e.bounded("abcdefgh", 8); got != "abcdefgh" || e.Truncated {
		t.Errorf("%q %v", got, e.Truncated)
	}
	if got := e.bounded("ab€€€", 8); got != "ab€…" || !e.Truncated {
		t.Errorf("%q %v", got, e.Truncated)
	}
	if got := e.bounded("\x80\x80\x80\x80\x80\x80\x80\x80\x80", 8); len(got) > 8 {
		t.Errorf("%q", got)
	}
}

func TestManyNotesAndFindings(t *testing.T) {
	var m memory
	many := mcpsec.At(mcpsec.StageAllow, "test", mcpsec.ControlFunc(func(next mcpsec.Handler) mcpsec.Handler {
		return func(ctx context.Context, call *mcpsec.Call) (mcp.Result, error) {
			for i := range 100 {
				call.Note(time.Duration(i).String(), "v")
			}
			return next(ctx, call)
		}
	}))
	controls := []mcpsec.Control{New(To(&m)), many}
	for range maxFindings + 1 {
		controls = append(controls, mcpsec.InMode(mcpsec.Observe, refusing(mcpsec.Denial{Code: "test.no"})))
	}
	if _, err := drive(t, ok, `{}`, controls...); err != nil {
		t.Fatal(err)
	}
	if got := m.one(t); len(got.Notes) != maxNotes || len(got.Findings) != maxFindings || !got.Truncated {
		t.Errorf("%d notes, %d findings, truncated %v", len(got.Notes), len(got.Findings), got.Truncated)
	}
}
