package main

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/mcpsec/mcpsec-go/audit"
)

// plainLine fails if s is not one line that a terminal shows as it is.
func plainLine(t *testing.T, s string) {
	t.Helper()
	if !utf8.ValidString(s) || strings.IndexFunc(s, obscure) >= 0 {
		t.Errorf("%q has characters that do more than show themselves", s)
	}
}

func TestWordsOfOthersCannotForgeAColumn(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain":                        "plain",
		"日本語":                          "日本語",
		"":                             "",
		"two words":                    `"two words"`,
		"decision=allowed":             `"decision=allowed"`,
		`quote"d`:                      `"quote\"d"`,
		`\u202e`:                       `"\\u202e"`,
		"\u202eevil":                   `\u202eevil`,
		"a\nb":                         `a\u000ab`,
		"\x1b[31m":                     `\u001b[31m`,
		"\xff\xfe":                     `\ufffd\ufffd`,
		"\U000e0041":                   `\udb40\udc41`,
		strings.Repeat("a", 50):        strings.Repeat("a", 40) + "…",
		strings.Repeat("\u200b", 1000): strings.Repeat(`\u200b`, 6) + "…",
	} {
		if got := word(in, 40); got != want {
			t.Errorf("%.20q: %s, want %s", in, got, want)
		}
	}
}

func TestBriefly(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "0µs", 999 * time.Microsecond: "999µs", time.Millisecond: "1ms", 12345 * time.Microsecond: "12.3ms",
		1500 * time.Millisecond: "1.5s", 61 * time.Second: "1m1s", 59999 * time.Millisecond: "60s",
	} {
		if got := briefly(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}

func TestSizes(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 5 << 20: "5.0 MiB", 1<<63 - 1: "8.0 EiB"} {
		if got := size(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

// Whatever a line of a ledger holds, it is listed on one plain line, and what is
// printed as JSON says the same as the line.
func FuzzLineIsShownPlainly(f *testing.F) {
	for _, events := range samples {
		for _, e := range events {
			f.Add(append([]byte(`{"seq":1,"prev":"0000000000000000",`), e.AppendJSON(nil)[1:]...))
		}
	}
	f.Add([]byte("{\"time\":\"2026-11-22T08:00:00Z\",\"event\":\"\u202e\u0085\"}"))
	f.Add([]byte("\x1b[2J\xff"))
	f.Fuzz(func(t *testing.T, line []byte) {
		e := auditEntry{seq: 1, line: line}
		e.event, e.fault = audit.Decode(line)
		plainLine(t, listed(e, false))
		asJSON := jsonLine(e)
		plainLine(t, asJSON)
		var got, want any
		if err := json.Unmarshal([]byte(asJSON), &got); err != nil {
			t.Fatalf("%q is not JSON: %v", asJSON, err)
		}
		if e.fault != nil {
			return
		}
		if err := json.Unmarshal(line, &want); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q says something else than %q (%v)", asJSON, line, err)
		}
		for _, r := range eventRows(e.event) {
			plainLine(t, r.value)
		}
		s := newSummary()
		if err := s.add(e); err != nil {
			t.Error(err)
		}
		checkPage(t, drawPage(t, s))
	})
}
