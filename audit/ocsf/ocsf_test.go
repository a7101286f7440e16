package ocsf

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/mcpsec/mcpsec-go/audit"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

var update = flag.Bool("update", false, "write the golden files")

const schemaURL = "https://mcpsec.invalid/ocsf/"

// schemas are this package's own, by version and class name.
type schemas map[string]*jsonschema.Schema

func compile(tb testing.TB) schemas {
	tb.Helper()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	files := map[string]string{
		"1.8.0": "api_activity", "1.1.0": "api_activity_1.1.0", "1.9.0-dev": "api_activity_1.9.0", "base": "base_event",
	}
	for _, name := range files {
		raw, err := os.ReadFile(filepath.Join("testdata", name+".schema.json"))
		if err != nil {
			tb.Fatal(err)
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
		if err != nil {
			tb.Fatal(err)
		}
		if err := c.AddResource(schemaURL+name+".schema.json", doc); err != nil {
			tb.Fatal(err)
		}
	}
	all := make(schemas)
	for version, name := range files {
		s, err := c.Compile(schemaURL + name + ".schema.json")
		if err != nil {
			tb.Fatal(err)
		}
		all[version] = s
	}
	return all
}

// check fails unless the message is one line of printable JSON that the schema of
// its class and version takes.
func (s schemas) check(tb testing.TB, message []byte) {
	tb.Helper()
	if r, found := unprintable(message); found {
		tb.Fatalf("%U is in %q", r, message)
	}
	if err := mcpsec.CheckJSON(message); err != nil {
		tb.Fatalf("%v: %q", err, message)
	}
	var event struct {
		Class    int `json:"class_uid"`
		Metadata struct {
			Version string `json:"version"`
		} `json:"metadata"`
	}
	if err := json.Unmarshal(message, &event); err != nil {
		tb.Fatal(err)
	}
	key := event.Metadata.Version
	if event.Class == 0 {
		key = "base"
	}
	schema := s[key]
	if schema == nil {
		tb.Fatalf("no schema %q for %s", key, message)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(message))
	if err != nil {
		tb.Fatal(err)
	}
	if err := schema.Validate(doc); err != nil {
		tb.Fatalf("%v\n%s", err, message)
	}
}

// unprintable finds a character that a log viewer could act on.
func unprintable(message []byte) (rune, bool) {
	for b := message; len(b) > 0; {
		r, size := utf8.DecodeRune(b)
		if unicode.In(r, unicode.C, unicode.Zl, unicode.Zp, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point) ||
			r == utf8.RuneError && size == 1 {
			return r, true
		}
		b = b[size:]
	}
	return 0, false
}

func write(tb testing.TB, f *Format, r *audit.Record) []byte {
	tb.Helper()
	message, err := f.AppendRecord([]byte("before"), r)
	if err != nil {
		tb.Fatal(err)
	}
	message, ok := bytes.CutPrefix(message, []byte("before"))
	if !ok {
		tb.Fatalf("what stood before is gone: %.80q", message)
	}
	return message
}

func TestEveryKindOfEventIsValid(t *testing.T) {
	t.Parallel()
	all := compile(t)
	for _, schema := range []Schema{Stable, Compat, Preview} {
		for _, raw := range []bool{false, true} {
			f := format(t, Config{Vendor: "example", Product: "guard", Version: "0.1.0", Schema: schema, RawData: raw})
			for seq, sample := range samples {
				t.Run(schema.String()+"/"+sample.name, func(t *testing.T) {
					t.Parallel()
					all.check(t, write(t, f, record(sample.event, uint64(seq))))
				})
			}
			all.check(t, write(t, f, signed))
		}
	}
}

var signed = &audit.Record{Origin: origin, Seq: 42, Checkpoint: origin + "\n42\nqqq=\n\n— docs-mcp.example.com/audit Az3grl=\n"}

// The golden files are what other programs read. They are indented; the order of
// members is that of the message.
func TestGolden(t *testing.T) {
	t.Parallel()
	stable, compat, preview := format(t, Config{}), format(t, Config{Schema: Compat}), format(t, Config{Schema: Preview})
	golden(t, "checkpoint", write(t, stable, signed))
	for i, sample := range samples {
		r := record(sample.event, uint64(i))
		golden(t, sample.name, write(t, stable, r))
		switch sample.name {
		case "allowed", "observed", "of_a_later_version":
			golden(t, sample.name+"_1.1.0", write(t, compat, r))
			golden(t, sample.name+"_1.9.0", write(t, preview, r))
		}
	}
}

func golden(t *testing.T, name string, message []byte) {
	t.Helper()
	var indented bytes.Buffer
	if err := json.Indent(&indented, message, "", "  "); err != nil {
		t.Fatal(err)
	}
	indented.WriteByte('\n')
	path := filepath.Join("testdata", name+".golden.json")
	if *update {
		if err := os.WriteFile(path, indented.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v: run go test -update and read what it wrote", err)
	}
	if !bytes.Equal(indented.Bytes(), want) {
		t.Errorf("%s: got\n%s", path, indented.Bytes())
	}
}

// A schema that takes everything would make every other test here worthless.
func TestSchemasRefuseWhatOCSFRefuses(t *testing.T) {
	t.Parallel()
	all := compile(t)
	message := write(t, format(t, Config{}), record(call(audit.Outcome), 7))
	for _, fault := range []struct {
		name  string
		spoil func(event map[string]any)
	}{
		{"no actor", func(e map[string]any) { delete(e, "actor") }},
		{"no source", func(e map[string]any) { delete(e, "src_endpoint") }},
		{"no time", func(e map[string]any) { delete(e, "time") }},
		{"unknown member", func(e map[string]any) { e["tool_name"] = "search" }},
		{"unknown member below", func(e map[string]any) { e["actor"].(map[string]any)["tool"] = "search" }},
		{"wrong class", func(e map[string]any) { e["class_uid"] = json.Number("6002") }},
		{"time as text", func(e map[string]any) { e["time"] = "2026-11-22" }},
		{"caption of another id", func(e map[string]any) { e["status"] = "Failure" }},
		{"request without uid", func(e map[string]any) {
			delete(e["api"].(map[string]any)["request"].(map[string]any), "uid")
		}},
		{"host name as ip", func(e map[string]any) { e["src_endpoint"].(map[string]any)["ip"] = "example.com" }},
		{"member of 1.9", func(e map[string]any) { e["ai_agent"] = map[string]any{"uid": "a"} }},
	} {
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(message))
		if err != nil {
			t.Fatal(err)
		}
		fault.spoil(doc.(map[string]any))
		if all["1.8.0"].Validate(doc) == nil {
			t.Errorf("%s: the schema takes it", fault.name)
		}
	}
}

func TestUnreadableLineIsRefusedWithoutBeingQuoted(t *testing.T) {
	t.Parallel()
	f := format(t, Config{})
	for _, line := range []string{
		"", "null", "hunter2", `{"time":"2026-11-22T12:00:00Z"}`, `{"event":"outcome"}`,
		`{"time":"2026-11-22T12:00:00Z","event":"outcome","event":"hunter2"}`,
		`{"time":"hunter2","event":"outcome"}`, `{"time":"2026-11-22T12:00:00Z","event":["hunter2"]}`,
	} {
		b, err := f.AppendRecord([]byte("before"), &audit.Record{Origin: origin, Seq: 3, Line: []byte(line)})
		if err == nil {
			t.Fatalf("%q: written as %s", line, b)
		}
		if string(b) != "before" || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %q, %v", line, b, err)
		}
	}
}

func TestConfigFaultsAreReportedTogether(t *testing.T) {
	t.Parallel()
	_, err := New(Config{Vendor: strings.Repeat("x", 257), Service: "\xff", Schema: 9})
	if err == nil {
		t.Fatal("New took it")
	}
	for _, field := range []string{"Config.Vendor", "Config.Service", "Config.Schema"} {
		if !strings.Contains(err.Error(), field) {
			t.Errorf("%v does not name %s", err, field)
		}
	}
}

func TestVerdicts(t *testing.T) {
	t.Parallel()
	noted := []audit.Finding{{Control: "inspect", Code: "inspect.hidden_text"}}
	alarming := []audit.Finding{{Control: "attest", Code: "attest.definition_mismatch"}}
	for _, test := range []struct {
		name  string
		event audit.Event
		want  verdict
	}{
		{"attempt", audit.Event{Kind: audit.Attempt}, verdict{informational, pending, permitted, passed}},
		{"attempt with finding", audit.Event{Kind: audit.Attempt, Findings: noted}, verdict{low, pending, observed, logged}},
		{"allowed", audit.Event{Kind: audit.Outcome, Decision: audit.Allowed}, verdict{informational, success, permitted, passed}},
		{"finding", audit.Event{Kind: audit.Outcome, Decision: audit.Allowed, Findings: noted}, verdict{low, success, observed, logged}},
		{"alarming finding", audit.Event{Kind: audit.Outcome, Decision: audit.Allowed, Findings: alarming}, verdict{high, success, observed, logged}},
		{"refused", audit.Event{Kind: audit.Outcome, Decision: audit.Refused, Code: "x", Findings: noted}, verdict{low, failure, denied, blocked}},
		{"alarm", audit.Event{Kind: audit.Outcome, Decision: audit.Refused, Code: "guard.outflanked"}, verdict{high, failure, denied, blocked}},
		{"error", audit.Event{Kind: audit.Outcome, Decision: audit.Failed, Findings: noted}, verdict{low, failure, permitted, broken}},
		{"unknown", audit.Event{Kind: audit.Outcome, Decision: audit.Unknown, Findings: noted}, verdict{medium, unknown, permitted, unknown}},
		{"suppressed", audit.Event{Kind: audit.Suppressed}, verdict{medium, failure, denied, blocked}},
		{"later decision", audit.Event{Kind: audit.Outcome, Decision: "postponed"}, verdict{unknown, unknown, unknown, unknown}},
	} {
		if got := judge(&test.event); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
	for level, want := range map[string]label{
		"DEBUG-4": informational, "INFO": informational, "WARN+2": low, "ERROR": medium, "": unknown, "loud": unknown,
	} {
		if got := severityOf(&audit.Event{Kind: audit.Log, Level: level}); got != want {
			t.Errorf("%q: %v, want %v", level, got, want)
		}
	}
}

// A receiver drops what it gets twice by metadata.uid, joins events by
// correlation_uid, and checks a proof about raw_data.
func TestEventLeadsBackToTheLedger(t *testing.T) {
	t.Parallel()
	r := record(call(audit.Outcome), 41)
	f := format(t, Config{Schema: Preview, RawData: true})
	var event struct {
		RawData  string `json:"raw_data"`
		Metadata struct {
			UID         string `json:"uid"`
			Sequence    uint64 `json:"sequence"`
			Correlation string `json:"correlation_uid"`
		} `json:"metadata"`
		Attestations []struct {
			UID         string `json:"uid"`
			Chain       string `json:"chain_uid"`
			Fingerprint struct {
				Value string `json:"value"`
			} `json:"fingerprint"`
			Prev struct {
				UID         string `json:"uid"`
				Fingerprint struct {
					Value string `json:"value"`
				} `json:"fingerprint"`
			} `json:"prev_event"`
		} `json:"attestation_list"`
	}
	if err := json.Unmarshal(write(t, f, r), &event); err != nil {
		t.Fatal(err)
	}
	leaf := sha256.Sum256(append([]byte{0}, event.RawData...))
	a := event.Attestations
	switch {
	case event.RawData != string(r.Line):
		t.Errorf("raw_data is %q", event.RawData)
	case event.Metadata.UID != r.ID() || event.Metadata.Sequence != 41 || event.Metadata.Correlation != call(audit.Outcome).ID:
		t.Errorf("metadata is %+v", event.Metadata)
	case len(a) != 1 || a[0].UID != r.ID() || a[0].Chain != origin || a[0].Fingerprint.Value != hex.EncodeToString(leaf[:]):
		t.Errorf("attestations are %+v, the leaf is %x", a, leaf)
	case a[0].Prev.UID != origin+":40" || a[0].Prev.Fingerprint.Value != "0123456789abcdef":
		t.Errorf("the event before is %+v", a[0].Prev)
	}
	first := write(t, f, record(call(audit.Outcome), 0))
	if bytes.Contains(first, []byte("prev_event")) || !bytes.Contains(first, []byte("attestation_list")) {
		t.Errorf("the first of the chain: %s", first)
	}
}

func TestRawDataFitsAnOCSFString(t *testing.T) {
	t.Parallel()
	f := format(t, Config{RawData: true})
	fill := maxRaw - len(record(call(audit.Outcome, func(e *audit.Event) { e.Name = "x" }), 1).Line) + 1
	for extra, want := range []bool{true, false} {
		r := record(call(audit.Outcome, func(e *audit.Event) { e.Name = strings.Repeat("x", fill+extra) }), 1)
		if got := bytes.Contains(write(t, f, r), []byte(`"raw_data":`)); got != want {
			t.Errorf("%d bytes: raw_data is %v", len(r.Line), got)
		}
	}
}

// A line that claims another place in the chain, or that is not of the ledger's
// form, attests nothing.
func TestForeignLineAttestsNothing(t *testing.T) {
	t.Parallel()
	f := format(t, Config{Schema: Preview})
	moved := record(call(audit.Outcome), 5)
	moved.Seq = 6
	spelled := record(call(audit.Outcome), 5)
	spelled.Line = bytes.Replace(spelled.Line, []byte("0123456789abcdef"), []byte(`0123456789ABCDEF`), 1)
	long := record(call(audit.Outcome), 5)
	long.Line = bytes.Replace(long.Line, []byte(`abcdef"`), []byte(`abcdef0"`), 1)
	bare := &audit.Record{Origin: origin, Seq: 5, Line: call(audit.Outcome).AppendJSON(nil)}
	for _, r := range []*audit.Record{moved, spelled, long, bare} {
		message := write(t, f, r)
		if bytes.Contains(message, []byte("attestation_list")) || bytes.Contains(message, []byte(`"leaf"`)) {
			t.Errorf("%s", message)
		}
	}
}
