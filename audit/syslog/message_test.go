package syslog

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/leodido/go-syslog/v4/rfc5424"

	"github.com/mcpsec/mcpsec-go/audit"
	"github.com/mcpsec/mcpsec-go/internal/printable"
)

// frame returns the one message of a record, without its length.
func frame(tb testing.TB, d *Destination, r *audit.Record) (message, reason string) {
	tb.Helper()
	b, reason := d.appendFrame(nil, r)
	if len(b) == 0 {
		return "", reason
	}
	length, message, _ := strings.Cut(string(b), " ")
	if n, err := strconv.Atoi(length); err != nil || n != len(message) {
		tb.Fatalf("the frame says %s bytes and has %d", length, len(message))
	}
	return message, reason
}

// parse reads a message with a parser that is not ours, which stops at any fault.
func parse(tb testing.TB, message string) *rfc5424.SyslogMessage {
	tb.Helper()
	m, err := rfc5424.NewParser().Parse([]byte(message))
	if err != nil {
		tb.Fatalf("not RFC 5424: %v\n%q", err, message)
	}
	return m.(*rfc5424.SyslogMessage)
}

func text(s *string) string {
	if s == nil {
		return "-"
	}
	return *s
}

func params(tb testing.TB, m *rfc5424.SyslogMessage) map[string]string {
	tb.Helper()
	if m.StructuredData == nil || len(*m.StructuredData) != 1 {
		tb.Fatalf("structured data %v has not one element", m.StructuredData)
	}
	return (*m.StructuredData)["mcpsec@32473"]
}

// reveal undoes the escapes of a parameter's value.
func reveal(tb testing.TB, s string) string {
	tb.Helper()
	var out string
	if err := json.Unmarshal([]byte(`"`+strings.ReplaceAll(s, `"`, `\"`)+`"`), &out); err != nil {
		tb.Fatalf("%q: %v", s, err)
	}
	return out
}

func TestMessage(t *testing.T) {
	t.Parallel()
	d := destination(t, Config{Address: "siem.example:6514"})
	r := recordOf(17, outcome("call-1", audit.Refused))
	got, reason := frame(t, d, &r)
	want := `<108>1 2026-11-22T09:15:00.123456Z host.example mcpsec 4711 outcome [mcpsec@32473 id="files:17" event="outcome" ` +
		`decision="refused" call="call-1" method="tools/call" name="search" issuer="https://idp.example.com" subject="alice"] ` + string(r.Line)
	if got != want || reason != "" {
		t.Errorf("got  %s\nwant %s (%s)", got, want, reason)
	}
	if m := parse(t, got); *m.Facility != 13 || *m.Severity != 4 || text(m.Message) != string(r.Line) {
		t.Errorf("parsed as %+v", m)
	}
}

func TestSeverity(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		event audit.Event
		want  int
	}{
		"allowed":        {audit.Event{Kind: audit.Outcome, Decision: audit.Allowed}, 6},
		"refused":        {audit.Event{Kind: audit.Outcome, Decision: audit.Refused}, 4},
		"failed":         {audit.Event{Kind: audit.Outcome, Decision: audit.Failed}, 3},
		"crashed":        {audit.Event{Kind: audit.Outcome, Decision: audit.Unknown}, 3},
		"attempt":        {audit.Event{Kind: audit.Attempt}, 6},
		"gap":            {audit.Event{Kind: audit.Gap}, 3},
		"suppressed":     {audit.Event{Kind: audit.Suppressed}, 4},
		"recovery":       {audit.Event{Kind: audit.Recovery}, 4},
		"pruned":         {audit.Event{Kind: audit.Pruned}, 4},
		"log debug":      {audit.Event{Kind: audit.Log, Level: "DEBUG"}, 7},
		"log info+1":     {audit.Event{Kind: audit.Log, Level: "INFO+1"}, 6},
		"log warn":       {audit.Event{Kind: audit.Log, Level: "WARN"}, 4},
		"log error":      {audit.Event{Kind: audit.Log, Level: "ERROR"}, 3},
		"log of no kind": {audit.Event{Kind: audit.Log, Level: "LOUD"}, 5},
		"unknown kind":   {audit.Event{Kind: "novel"}, 5},
	} {
		if got := severity(&c.event); got != c.want {
			t.Errorf("%s: severity %d, not %d", name, got, c.want)
		}
	}
}

// Whatever a caller writes into a name is a value of the message, and nothing else.
func TestHostileValuesStayValues(t *testing.T) {
	t.Parallel()
	d := destination(t, Config{Address: "siem.example:6514", MaxBytes: maxBytes})
	for i, h := range hostile {
		e := outcome(h, audit.Allowed)
		e.Method, e.Name, e.Code, e.Control, e.Principal.Subject, e.Kind = h, h, h, h, h, audit.Kind("k"+h)
		r := recordOf(uint64(i), e)
		r.Origin = h
		got, reason := frame(t, d, &r)
		if reason != "" || strings.ContainsFunc(got, func(c rune) bool { return c != bomRune && printable.Hidden(c) }) || !utf8.ValidString(got) {
			t.Fatalf("%q: %s: %q", h, reason, got)
		}
		m := parse(t, got)
		p := params(t, m)
		if body := strings.TrimPrefix(text(m.Message), bom); body != string(r.Line) {
			t.Errorf("%q: the text is %q", h, body)
		}
		want := string([]rune(h)) // each byte that is not UTF-8 becomes U+FFFD
		for _, name := range []string{"call", "method", "name", "code", "control", "subject"} {
			got := reveal(t, p[name])
			if kept, cut := strings.CutSuffix(got, "…"); got != want && (!cut || !strings.HasPrefix(want, kept) || len(p[name]) < 40) {
				t.Errorf("%q: %s is %q", h, name, got)
			}
		}
	}
}

const bomRune = '\ufeff'

func TestHeaderIsPrintableAndBounded(t *testing.T) {
	t.Parallel()
	for _, h := range hostile {
		d, err := New(Config{Address: "siem.example:6514", Hostname: h, AppName: h, ProcID: h})
		if err != nil {
			t.Fatal(err)
		}
		e := outcome("1", audit.Allowed)
		e.Kind = audit.Kind(h)
		r := recordOf(1, e)
		got, _ := frame(t, d, &r)
		m := parse(t, got)
		for field, limit := range map[*string]int{m.Hostname: 255, m.Appname: 48, m.ProcID: 128, m.MsgID: 32} {
			if f := text(field); f == "-" || len(f) > limit {
				t.Errorf("%q: field %q", h, f)
			}
		}
	}
}

func TestByteOrderMark(t *testing.T) {
	t.Parallel()
	e := outcome("1", audit.Allowed)
	plain := recordOf(1, e)
	e.Name = "naïve"
	marked := recordOf(1, e)
	for name, c := range map[string]struct {
		record *audit.Record
		omit   bool
		marked bool
	}{
		"ASCII": {&plain, false, false}, "UTF-8": {&marked, false, true}, "left out": {&marked, true, false},
	} {
		got, _ := frame(t, destination(t, Config{Address: "siem.example:6514", OmitBOM: c.omit}), c.record)
		want := string(c.record.Line)
		if c.marked {
			want = "\xef\xbb\xbf" + want
		}
		if !strings.HasSuffix(got, "] "+want) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestCheckpointIsDelivered(t *testing.T) {
	t.Parallel()
	d := destination(t, Config{Address: "siem.example:6514"})
	r := audit.Record{Origin: "files", Seq: 12, Checkpoint: "files\n12\nroot=\n\n— files sig\n"}
	got, reason := frame(t, d, &r)
	m := parse(t, got)
	if reason != "" || text(m.MsgID) != "checkpoint" || params(t, m)["id"] != "files:checkpoint:12" {
		t.Fatalf("%s %s", reason, got)
	}
	var body struct {
		Checkpoint string `json:"checkpoint"`
	}
	if err := json.Unmarshal([]byte(strings.TrimPrefix(text(m.Message), bom)), &body); err != nil || body.Checkpoint != r.Checkpoint {
		t.Errorf("checkpoint %q (%v)", body.Checkpoint, err)
	}
}

func TestUnreadableRecordIsStillSent(t *testing.T) {
	t.Parallel()
	d := destination(t, Config{Address: "siem.example:6514"})
	got, reason := frame(t, d, &audit.Record{Origin: "files", Seq: 3, Line: []byte(`{"seq":3,"damaged`)})
	m := parse(t, got)
	if reason != "" || text(m.MsgID) != "unreadable" || *m.Severity != 3 || text(m.Message) != `{"seq":3,"damaged` || params(t, m)["id"] != "files:3" {
		t.Errorf("%s %s", reason, got)
	}
}

// A caller who makes a record long must not make it vanish.
func TestTooLongIsSentWithoutText(t *testing.T) {
	t.Parallel()
	for _, h := range hostile {
		long := strings.Repeat(h, 1+5000/len(h))
		d, err := New(Config{Address: "siem.example:6514", MaxBytes: 2048, Hostname: long, AppName: long, ProcID: long})
		if err != nil {
			t.Fatal(err)
		}
		e := outcome(long, audit.Refused)
		e.Method, e.Name, e.Code, e.Control, e.Kind, e.Decision = long, long, long, long, audit.Kind(long), audit.Decision(long)
		e.Principal.Issuer, e.Principal.Subject = long, long
		r := recordOf(1, e)
		r.Origin = long
		got, reason := frame(t, d, &r)
		if len(got) > 2048 || !strings.Contains(reason, "Config.MaxBytes is 2048") || strings.Contains(reason, h) {
			t.Errorf("%.20q: %d bytes, %s", h, len(got), reason)
		}
		m := parse(t, got)
		if p := params(t, m); m.Message != nil || p["omitted"] != strconv.Itoa(len(r.Line)) || p["subject"] == "" {
			t.Errorf("%.20q: omitted %q, subject %q", h, p["omitted"], p["subject"])
		}
	}
}

// raw is a Format that writes what the test says.
type raw struct {
	text string
	err  error
}

func (f raw) AppendRecord(b []byte, _ *audit.Record) ([]byte, error) {
	return append(b, f.text...), f.err
}
func (raw) MediaType() string { return "text/plain" }

func TestFormatThatBreaksItsPromiseIsRejected(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		format raw
		ok     bool
	}{
		"line feed":     {raw{text: "a\n<13>1 forged"}, false},
		"escape":        {raw{text: "a\x1b[2J"}, false},
		"nul":           {raw{text: "a\x00"}, false},
		"C1 control":    {raw{text: "é\u0085"}, false},
		"not UTF-8":     {raw{text: "a\xff"}, false},
		"error":         {raw{err: errors.New("no")}, false},
		"tab of a LEEF": {raw{text: "LEEF:2.0|v|p|1|e|\ta=b\tc=d"}, true},
		"empty":         {raw{}, true},
	} {
		d := destination(t, Config{Address: "siem.example:6514", Format: c.format})
		r := recordOf(1, outcome("1", audit.Allowed))
		got, reason := frame(t, d, &r)
		if ok := reason == ""; ok != c.ok || !ok && got != "" {
			t.Errorf("%s: %q %s", name, got, reason)
		}
	}
}

func FuzzMessage(f *testing.F) {
	for _, h := range hostile {
		f.Add(h, h, true)
	}
	d, err := New(Config{Address: "siem.example:6514"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, a, b string, refused bool) {
		e := outcome(a, audit.Allowed)
		if refused {
			e.Decision = audit.Refused
		}
		e.Name, e.Principal.Subject = b, a
		r := recordOf(1, e)
		got, reason := frame(t, d, &r)
		m := parse(t, got)
		p := params(t, m)
		want := string([]rune(b))
		kept, cut := strings.CutSuffix(reveal(t, p["name"]), "…")
		if name := reveal(t, p["name"]); name != want && (!cut || !strings.HasPrefix(want, kept)) {
			t.Errorf("name %q is %q", b, name)
		}
		if body := strings.TrimPrefix(text(m.Message), bom); reason == "" && body != string(r.Line) {
			t.Errorf("text %q is not %q", body, r.Line)
		}
	})
}

func BenchmarkMessage(b *testing.B) {
	d, err := New(Config{Address: "siem.example:6514"})
	if err != nil {
		b.Fatal(err)
	}
	r := recordOf(1, outcome("01JDB3T5N8E6W8T5Y9Q2Z7K4RA", audit.Allowed))
	var frames []byte
	b.ReportAllocs()
	for b.Loop() {
		frames, _ = d.appendFrame(frames[:0], &r)
	}
}
