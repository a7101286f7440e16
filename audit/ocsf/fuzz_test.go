package ocsf

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/audit"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// attacks are texts with which a caller tries to leave the string it is put in, or
// to act on whoever reads it.
var attacks = []string{
	"", "plain", "a\r\nb", "\n{\"class_uid\":6003}", "\u2028\u2029\u0085", "\x00", "\xff\xfe", "\x1b[2J\x1b]0;t\x07",
	"\u202eevil\u202c", "\u200b\ufeff\U000e0041\ufe0f", `"},"severity_id":1,"x":{"`, `\`, `\"`, `\u0022`, "|=]\\",
	"\U0001f600", "]]>", "${jndi:ldap://x}", "__proto__", strings.Repeat("\u202e", 400), strings.Repeat("x", 1<<16),
	"203.0.113.7", "203.0.113.7:99999", "[::ffff:203.0.113.7%25eth0\n]:1", "::", "fe80::1%" + strings.Repeat("z", 60),
}

// anyEvent makes an event of any shape from two numbers and a text, which is to
// stand in some places of it.
func anyEvent(a, b uint64, text string) *audit.Event {
	rnd := rand.New(rand.NewPCG(a, b))
	str := func() string {
		switch rnd.IntN(4) {
		case 0:
			return ""
		case 1:
			return text
		case 2:
			return attacks[rnd.IntN(19)] // none of the long ones
		}
		return attacks[rnd.IntN(4)] + text
	}
	pick := func(known ...string) string {
		if rnd.IntN(3) == 0 {
			return str()
		}
		return known[rnd.IntN(len(known))]
	}
	strs := func() (list []string) {
		for range rnd.IntN(4) {
			list = append(list, str())
		}
		return list
	}
	at := func() time.Time {
		if rnd.IntN(4) == 0 {
			return time.Time{}
		}
		return time.Unix(rnd.Int64N(1<<37), rnd.Int64N(1e9)).UTC()
	}
	num := func() int { return int(rnd.Int64()>>rnd.IntN(63)) - rnd.IntN(3) }
	e := &audit.Event{
		Kind: audit.Kind(pick("attempt", "outcome", "outcome", "suppressed", "gap", "recovery", "log")),
		Time: time.Unix(rnd.Int64N(1<<37), rnd.Int64N(1e9)), ID: str(), Parent: str(), Round: num(),
		Method: pick("tools/call", "tools/list", "resources/read", "prompts/get", "sampling/createMessage", "elicitation/create"),
		Name:   str(), Outgoing: rnd.IntN(4) == 0,
		Principal: audit.Principal{
			Rung:   pick("token", "certificate", "process", "address", "anonymous"),
			Issuer: str(), Subject: str(), Client: str(), Tenant: str(), Actors: strs(),
		},
		Session: str(), Client: str(),
		Source: audit.Source{Transport: pick("http", "stdio"), Address: pick("203.0.113.7:51234", "[2001:db8::1]:1", "[::ffff:10.0.0.1]:0")},
		Trace:  audit.Trace{ID: str(), Span: str(), Flags: str()},
		Tool:   audit.Tool{Digest: str(), Version: str(), Code: str(), Manifest: rnd.Uint64()},
		Policy: str(),
		Arguments: audit.Arguments{
			Bytes: num(), Keys: strs(), More: num(), HMAC: str(), Redacted: strs(),
			Clear: []audit.Value{{Path: "/a" + str(), JSON: str()}},
		},
		Count: rnd.Uint64() >> rnd.IntN(64), First: at(), Last: at(), Level: pick("INFO", "WARN+2", "ERROR", "DEBUG-4"),
		Decision: audit.Decision(pick("allowed", "refused", "error", "unknown")), Code: pick("guard.outflanked", "ratelimit.exceeded"),
		Control: str(), Reason: str(), Detail: str(), Latency: time.Duration(rnd.Int64()), IsError: rnd.IntN(2) == 0,
		Result: audit.Result{Bytes: num(), Digest: str()}, Truncated: rnd.IntN(2) == 0,
		Credentials: []mcpsec.Credential{{Name: str(), Provider: str(), Role: str(), KeyID: str(), Policy: str(), Expires: at()}},
	}
	for range rnd.IntN(3) {
		e.Findings = append(e.Findings, audit.Finding{Control: str(), Code: str(), Reason: str(), Detail: str(), Failed: rnd.IntN(2) == 0})
	}
	if rnd.IntN(2) == 0 {
		e.Notes = []mcpsec.Note{{Key: "k" + str(), Value: str()}}
	}
	return e
}

// checkAny holds for any line: it is refused with nothing written, or becomes one
// valid event.
func checkAny(tb testing.TB, all schemas, formats []*Format, r *audit.Record) {
	tb.Helper()
	_, unreadable := audit.Decode(r.Line)
	for _, f := range formats {
		message, err := f.AppendRecord(nil, r)
		if (err != nil) != (unreadable != nil) {
			tb.Fatalf("%v, but audit.Decode says %v: %q", err, unreadable, r.Line)
		}
		if err != nil {
			if len(message) != 0 {
				tb.Fatalf("%v, and yet %q", err, message)
			}
			continue
		}
		all.check(tb, message)
	}
}

func allFormats(tb testing.TB) []*Format {
	tb.Helper()
	return []*Format{
		format(tb, Config{}), format(tb, Config{Schema: Compat, RawData: true}), format(tb, Config{Schema: Preview}),
	}
}

func TestAnyEventIsOneValidLine(t *testing.T) {
	t.Parallel()
	all, formats := compile(t), allFormats(t)
	for i := range uint64(120) {
		text := attacks[i%uint64(len(attacks))]
		r := record(anyEvent(7, i, text[:min(len(text), 1<<10)]), i)
		checkAny(t, all, formats, r)
	}
}

func FuzzEvent(f *testing.F) {
	for i, attack := range attacks {
		f.Add(uint64(i), uint64(7), attack[:min(len(attack), 1<<10)])
	}
	all, formats := compile(f), allFormats(f)
	f.Fuzz(func(t *testing.T, a, b uint64, text string) {
		checkAny(t, all, formats, record(anyEvent(a, b, text), a))
	})
}

func FuzzLine(f *testing.F) {
	for i, sample := range samples {
		f.Add(record(sample.event, uint64(i)).Line, uint64(i), "")
	}
	f.Add([]byte("{\n\"time\":\"2026-11-22T12:00:00Z\",\"event\":\"\u2028\"}"), uint64(1), "a\nb\n")
	all, formats := compile(f), allFormats(f)
	f.Fuzz(func(t *testing.T, line []byte, seq uint64, checkpoint string) {
		checkAny(t, all, formats, &audit.Record{Origin: origin, Seq: seq, Line: line})
		if checkpoint == "" {
			return
		}
		for _, format := range formats {
			message := write(t, format, &audit.Record{Origin: checkpoint, Seq: seq, Checkpoint: checkpoint})
			all.check(t, message)
		}
	})
}

// Every text that a caller chooses comes out as it went in, under the name where it
// belongs.
func TestAttacksStayInTheirStrings(t *testing.T) {
	t.Parallel()
	all, f := compile(t), format(t, Config{})
	for _, attack := range attacks {
		if attack == "" {
			continue
		}
		e := call(audit.Outcome, func(e *audit.Event) {
			e.Name, e.Principal.Subject, e.Client, e.Reason = attack, attack, attack, attack
		})
		message := write(t, f, record(e, 1))
		all.check(t, message)
		var event struct {
			Detail string `json:"status_detail"`
			Actor  struct {
				User struct {
					UID string `json:"uid"`
				} `json:"user"`
			} `json:"actor"`
			Resources []struct {
				Name string `json:"name"`
			} `json:"resources"`
			Context struct {
				Application struct {
					Name string `json:"name"`
				} `json:"application"`
			} `json:"message_context"`
		}
		if err := json.Unmarshal(message, &event); err != nil {
			t.Fatal(err)
		}
		want := strings.ToValidUTF8(attack, "\ufffd")
		if strings.Contains(attack, "\xff\xfe") {
			want = "\ufffd\ufffd" // one for each byte
		}
		for _, got := range []string{event.Detail, event.Actor.User.UID, event.Resources[0].Name, event.Context.Application.Name} {
			if got != want {
				t.Errorf("%.60q came out as %.60q", want, got)
			}
		}
	}
}
