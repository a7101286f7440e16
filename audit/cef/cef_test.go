package cef

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/mcpsec/mcpsec-go/audit"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

const origin = "docs-mcp.example.com/audit"

var noon = time.Date(2026, 11, 22, 12, 0, 0, 123456789, time.UTC)

// record makes a line of the ledger of an event.
func record(e *audit.Event, seq uint64) *audit.Record {
	line := fmt.Sprintf(`{"seq":%d,"prev":"%016x",`, seq, 0) + string(e.AppendJSON(nil))[1:]
	return &audit.Record{Origin: origin, Seq: seq, Line: []byte(line)}
}

func refusal() *audit.Event {
	return &audit.Event{
		Kind: audit.Outcome, Time: noon, ID: "01a202ca-e31f-7623-b4c6-0d4f90fdba55",
		Method: "tools/call", Name: "search_documents",
		Principal: audit.Principal{Rung: "token", Issuer: "https://idp.example.com/?a=b", Subject: `ACME\alice`, Client: "client-123"},
		Session:   "4bf9", Client: "claude-desktop",
		Source:   audit.Source{Transport: "http", Address: "203.0.113.7:51234"},
		Policy:   "sha256:ab12",
		Decision: audit.Refused, Code: "ratelimit.exceeded", Control: "ratelimit",
		Reason: "too many calls; wait 2s", Detail: "PerPrincipal(120, 1m0s)", Latency: 90 * time.Microsecond,
		Arguments: audit.Arguments{Bytes: 212},
	}
}

// A dialect is one of the two formats with its reader.
type dialect struct {
	name   string
	format *Format
	parse  func(string) (*parsed, error)
}

func dialects(tb testing.TB, c Config) []dialect {
	tb.Helper()
	cef, err := New(c)
	if err != nil {
		tb.Fatal(err)
	}
	leef, err := NewLEEF(c)
	if err != nil {
		tb.Fatal(err)
	}
	cef.now = func() time.Time { return noon }
	leef.now = cef.now
	return []dialect{{"CEF", cef, parseCEF}, {"LEEF", leef, parseLEEF}}
}

// read writes a record and parses what was written.
func (d dialect) read(tb testing.TB, r *audit.Record) *parsed {
	tb.Helper()
	b, err := d.format.AppendRecord([]byte("before"), r)
	if err != nil {
		tb.Fatal(err)
	}
	s, ok := strings.CutPrefix(string(b), "before")
	if !ok {
		tb.Fatalf("what stood before is gone: %.80q", b)
	}
	if len(s) > d.format.config.MaxBytes {
		tb.Fatalf("%d bytes: %q", len(s), s)
	}
	if i := strings.IndexFunc(s, func(r rune) bool {
		return unicode.In(r, unicode.C, unicode.Zl, unicode.Zp, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point)
	}); i >= 0 || !utf8.ValidString(s) {
		tb.Fatalf("not one printable line, at %d: %q", i, s)
	}
	p, err := d.parse(s)
	if err != nil {
		tb.Fatalf("%s: %v: %q", d.name, err, s)
	}
	for name, value := range p.fields { // readers that trim must read the same
		if strings.Trim(value, " ") != value {
			tb.Fatalf("%s: %s=%q has a bare space at an end", d.name, name, value)
		}
	}
	return p
}

func TestFieldsOfARefusal(t *testing.T) {
	t.Parallel()
	for i, want := range []map[string]string{
		{
			"rt": "1795348800123", "externalId": origin + ":7", "cat": "outcome", "act": "refused", "outcome": "failure",
			"cn1": "7", "cn1Label": "Sequence", "start": "1795348800123", "end": "1795348800123", "deviceDirection": "0",
			"mcpsecTransport": "http", "src": "203.0.113.7", "spt": "51234",
			"cs3": "01a202ca-e31f-7623-b4c6-0d4f90fdba55", "cs3Label": "Call", "cs4": "sha256:ab12", "cs4Label": "Policy",
			"mcpsecControl": "ratelimit", "cn2": "90", "cn2Label": "Latency in microseconds", "in": "212",
			"suser": `ACME\alice`, "mcpsecRung": "token", "cs5": "https://idp.example.com/?a=b", "cs5Label": "Issuer",
			"sourceServiceName": "client-123", "cs1": "tools/call", "cs1Label": "Method", "reason": "too many calls; wait 2s",
			"msg": "PerPrincipal(120, 1m0s)", "cs2": "search_documents", "cs2Label": "Name",
			"mcpsecClaimedSession": "4bf9", "mcpsecClaimedClient": "claude-desktop",
		},
		{
			"sev": "5", "devTime": "2026-11-22T12:00:00.123+0000", "devTimeFormat": "yyyy-MM-dd'T'HH:mm:ss.SSSZ",
			"mcpsecRecord": origin + ":7", "cat": "outcome",
			"mcpsecAction": "refused", "mcpsecOutcome": "failure", "mcpsecSequence": "7",
			"mcpsecStart": "1795348800123", "mcpsecEnd": "1795348800123", "mcpsecDirection": "0",
			"mcpsecTransport": "http", "src": "203.0.113.7", "srcPort": "51234",
			"mcpsecCall": "01a202ca-e31f-7623-b4c6-0d4f90fdba55", "policy": "sha256:ab12", "mcpsecControl": "ratelimit",
			"mcpsecLatencyMicros": "90", "srcBytes": "212", "usrName": `ACME\alice`, "mcpsecRung": "token",
			"realm": "https://idp.example.com/?a=b", "mcpsecClient": "client-123", "mcpsecMethod": "tools/call",
			"reason": "too many calls; wait 2s", "msg": "PerPrincipal(120, 1m0s)", "resource": "search_documents",
			"mcpsecClaimedSession": "4bf9", "mcpsecClaimedClient": "claude-desktop",
		},
	} {
		d := dialects(t, Config{})[i]
		p := d.read(t, record(refusal(), 7))
		for name := range p.fields {
			if _, known := want[name]; !known {
				t.Errorf("%s: %s=%q is new", d.name, name, p.fields[name])
			}
		}
		for name, value := range want {
			if p.fields[name] != value {
				t.Errorf("%s: %s=%q, want %q", d.name, name, p.fields[name], value)
			}
		}
	}
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	outcome := func(decision audit.Decision, code string, findings ...audit.Finding) *audit.Event {
		return &audit.Event{Kind: audit.Outcome, Time: noon, Decision: decision, Code: code, Findings: findings}
	}
	finding := audit.Finding{Control: "inspect", Code: "inspect.hidden_text"}
	for _, test := range []struct {
		event                     *audit.Event
		signature, name, severity string
	}{
		{&audit.Event{Kind: audit.Attempt, Time: noon}, "attempt", "Call attempted", "1"},
		{&audit.Event{Kind: audit.Attempt, Time: noon, Findings: []audit.Finding{finding}}, "attempt", "Call attempted", "4"},
		{outcome(audit.Allowed, ""), "outcome", "Call allowed", "1"},
		{outcome(audit.Allowed, "", finding), "outcome", "Call allowed with findings", "4"},
		{outcome(audit.Allowed, "", audit.Finding{Code: "attest.definition_mismatch"}), "outcome", "Call allowed with findings", "9"},
		{outcome(audit.Refused, "ratelimit.exceeded"), "ratelimit.exceeded", "Call refused", "5"},
		{outcome(audit.Refused, "guard.foreign_handler"), "guard.foreign_handler", "Call refused", "9"},
		{outcome(audit.Failed, "guard.handler_panic"), "guard.handler_panic", "Call failed", "4"},
		{outcome(audit.Failed, ""), "outcome", "Call failed", "4"},
		{outcome(audit.Unknown, ""), "outcome", "Call outcome unknown", "6"},
		{outcome("postponed", ""), "outcome", "Call ended", "3"},
		{&audit.Event{Kind: audit.Suppressed, Time: noon, Count: 9, Code: "ratelimit.exceeded"}, "ratelimit.exceeded", "Refusals suppressed", "7"},
		{&audit.Event{Kind: audit.Gap, Time: noon, Count: 9}, "gap", "Audit records lost", "8"},
		{&audit.Event{Kind: audit.Pruned, Time: noon, Count: 9}, "pruned", "Audit records removed", "5"},
		{&audit.Event{Kind: audit.Recovery, Time: noon}, "recovery", "Audit log recovered", "5"},
		{&audit.Event{Kind: audit.Log, Time: noon, Level: "INFO"}, "log", "Program message", "1"},
		{&audit.Event{Kind: audit.Log, Time: noon, Level: "WARN+2"}, "log", "Program message", "4"},
		{&audit.Event{Kind: audit.Log, Time: noon, Level: "ERROR"}, "log", "Program message", "6"},
		{&audit.Event{Kind: "later", Time: noon}, "later", "Audit event", "3"},
		{outcome(audit.Refused, "a|b\\c\nd"), "a|b\\c\nd", "Call refused", "5"},
	} {
		d := dialects(t, Config{Vendor: "Example Ltd", Product: "guard", Version: "0.1"})
		for i, want := range [][]string{
			{"Example Ltd", "guard", "0.1", test.signature, test.name, test.severity},
			{"Example Ltd", "guard", "0.1", test.signature},
		} {
			p := d[i].read(t, record(test.event, 1))
			p.header[3] = plainText(p.header[3])
			if !slices.Equal(p.header, want) {
				t.Errorf("%s: %q, want %q", d[i].name, p.header, want)
			}
			if sev := p.fields["sev"]; i == 1 && sev != test.severity {
				t.Errorf("LEEF: sev=%s, want %s", sev, test.severity)
			}
		}
	}
}

func TestEndpoints(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		address  string
		outgoing bool
		want     map[string]string
	}{
		{"203.0.113.7:51234", false, map[string]string{"src": "203.0.113.7", "spt": "51234"}},
		{"[::ffff:203.0.113.7]:1", false, map[string]string{"src": "203.0.113.7", "spt": "1"}},
		{"[2001:db8::7%eth0]:443", false, map[string]string{"c6a2": "2001:db8::7", "c6a2Label": "Source IPv6 Address", "spt": "443"}},
		{"example.com:1", false, map[string]string{"shost": "example.com:1"}},
		{"", false, nil},
		{"203.0.113.7:51234", true, map[string]string{"dst": "203.0.113.7", "dpt": "51234"}},
		{"[2001:db8::7]:443", true, map[string]string{"c6a3": "2001:db8::7", "c6a3Label": "Destination IPv6 Address", "dpt": "443"}},
		{"@", true, map[string]string{"dhost": "@"}},
	} {
		e := &audit.Event{Kind: audit.Attempt, Time: noon, Outgoing: test.outgoing, Source: audit.Source{Address: test.address}}
		p := dialects(t, Config{})[0].read(t, record(e, 1))
		for _, name := range []string{"src", "spt", "c6a2", "c6a2Label", "shost", "dst", "dpt", "c6a3", "c6a3Label", "dhost"} {
			if p.fields[name] != test.want[name] {
				t.Errorf("%q: %s=%q, want %q", test.address, name, p.fields[name], test.want[name])
			}
		}
	}
}

func TestCredentialsJoinToTheProvidersRecord(t *testing.T) {
	t.Parallel()
	e := refusal()
	e.Credentials = []mcpsec.Credential{
		{Name: "s3", Provider: "aws", Role: "arn:aws:iam::1:role/r", KeyID: "ASIA1", Policy: "sha256:77", Expires: noon},
		{Name: "db", Provider: "vault", KeyID: "lease/2"},
	}
	for _, d := range dialects(t, Config{}) {
		p := d.read(t, record(e, 1))
		for name, want := range map[string]string{
			"Credential1KeyID": "ASIA1", "Credential1Role": "arn:aws:iam::1:role/r", "Credential1Provider": "aws",
			"Credential1Name": "s3", "Credential1Policy": "sha256:77", "Credential1Expires": "1795348800123",
			"Credential2KeyID": "lease/2", "Credential2Role": "",
		} {
			if got := p.fields["mcpsec"+name]; got != want {
				t.Errorf("%s: %s is %q", d.name, name, got)
			}
		}
	}
}

func TestCheckpointArrivesWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	note := origin + "\n42\nqqq=\n\n— docs-mcp.example.com/audit Az3grl=\n"
	for _, d := range dialects(t, Config{MaxBytes: minBytes}) {
		p := d.read(t, &audit.Record{Origin: origin, Seq: 42, Checkpoint: note})
		if got := plainText(p.fields["mcpsecCheckpoint"]); got != note || p.fields["cat"] != "checkpoint" || p.header[3] != "checkpoint" {
			t.Errorf("%s: %q, %v", d.name, got, p)
		}
		long := note + strings.Repeat("— witness.example.com Az3grl=\n", 40)
		b, err := d.format.AppendRecord([]byte("x"), &audit.Record{Origin: origin, Seq: 42, Checkpoint: long})
		if err == nil || string(b) != "x" || strings.Contains(err.Error(), "witness") {
			t.Errorf("%s: %q, %v", d.name, b, err)
		}
	}
}

func TestUnreadableLineIsRefusedWithoutBeingQuoted(t *testing.T) {
	t.Parallel()
	for _, d := range dialects(t, Config{}) {
		for _, line := range []string{"", "hunter2", `{"event":"outcome"}`, `{"time":"hunter2","event":"outcome"}`} {
			b, err := d.format.AppendRecord([]byte("x"), &audit.Record{Line: []byte(line)})
			if err == nil || string(b) != "x" || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s: %q: %q, %v", d.name, line, b, err)
			}
		}
	}
}

func TestConfigFaultsAreReportedTogether(t *testing.T) {
	t.Parallel()
	_, err := New(Config{Vendor: "a|b", Product: "a\nb", Version: strings.Repeat("x", 64), MaxBytes: 10, Delimiter: '^'})
	if err == nil {
		t.Fatal("New took it")
	}
	for _, field := range []string{"Vendor", "Product", "Version", "MaxBytes", "Delimiter"} {
		if !strings.Contains(err.Error(), "Config."+field) {
			t.Errorf("%v does not name %s", err, field)
		}
	}
	for _, delimiter := range "|\\=a0 \t\"'{}\x00:.+" {
		if _, err := NewLEEF(Config{Delimiter: byte(delimiter)}); err == nil && delimiter != 0 {
			t.Errorf("NewLEEF took %q", delimiter)
		}
	}
}

func TestEveryDelimiterSeparates(t *testing.T) {
	t.Parallel()
	const all = "!#$%&*,;~^@?"
	e := refusal()
	e.Name = all
	for _, delimiter := range all {
		f, err := NewLEEF(Config{Delimiter: byte(delimiter)})
		if err != nil {
			t.Fatal(err)
		}
		p := dialect{"LEEF", f, parseLEEF}.read(t, record(e, 1))
		if got := plainText(p.fields["resource"]); got != all {
			t.Errorf("%q: %q", delimiter, got)
		}
	}
}

// The table in the package documentation is what an operator maps by.
func TestDocumentationNamesEveryKey(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("fields.go")
	if err != nil {
		t.Fatal(err)
	}
	words := make(map[string]bool)
	for _, w := range regexp.MustCompile(`[A-Za-z0-9]+`).FindAllString(string(raw), -1) {
		words[w] = true
	}
	keys := regexp.MustCompile(`(?:cef|leef): "([A-Za-z0-9]+)"|own\("([A-Za-z0-9]+)"\)`).FindAllStringSubmatch(string(source), -1)
	if len(keys) < 60 {
		t.Fatalf("found %d keys only", len(keys))
	}
	for _, k := range keys {
		name := k[1]
		if k[2] != "" {
			name = "mcpsec" + k[2]
		}
		if !words[name] {
			t.Errorf("doc.go does not name %s", name)
		}
	}
}
