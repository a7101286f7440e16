package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/mcpsec/mcpsec-go/audit"
	"github.com/mcpsec/mcpsec-go/audit/ledger"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// Each script runs the audit commands, as a user does, on ledgers of their own. The
// test is not parallel, so that no other test starts a program while ledgers are
// written: one that is just being started holds their locks for a moment.
func TestAuditScripts(t *testing.T) {
	made := t.TempDir()
	writeLedger(t, filepath.Join(made, "small"), ledger.Options{}, slices.Values(samples["small"]))
	if err := os.CopyFS(filepath.Join(made, "grown"), os.DirFS(filepath.Join(made, "small"))); err != nil {
		t.Fatal(err)
	}
	writeLedger(t, filepath.Join(made, "grown"), ledger.Options{}, slices.Values(samples["losses"]))
	writeLedger(t, filepath.Join(made, "forged"), ledger.Options{}, slices.Values(samples["small"]))
	writeLedger(t, filepath.Join(made, "hostile"), ledger.Options{}, slices.Values(samples["hostile"]))
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/audit",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("GORACE", "atexit_sleep_ms=0")
			env.Values["made"] = made
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "ledger": placeLedger, "replace": replaceInFile, "append": appendToFile,
			"cut": cutFile, "unescape": unescapeFile, "plain": plainFile,
		},
	})
}

// placeLedger puts a ledger into a folder, in place of one that is there: ledger DIR
// SAMPLE. The samples are small; grown, the same log some records later; forged, the
// same records under another key; and hostile.
func placeLedger(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: ledger DIR SAMPLE")
	}
	made, _ := ts.Value("made").(string)
	ts.Check(os.RemoveAll(ts.MkAbs(args[0])))
	ts.Check(os.CopyFS(ts.MkAbs(args[0]), os.DirFS(filepath.Join(made, args[1]))))
}

// replaceInFile changes the only place in a file where a text stands: replace FILE OLD NEW
func replaceInFile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: replace FILE OLD NEW")
	}
	before := []byte(ts.ReadFile(args[0]))
	if n := bytes.Count(before, []byte(args[1])); n != 1 {
		ts.Fatalf("%q stands %d times in %s", args[1], n, args[0])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), bytes.Replace(before, []byte(args[1]), []byte(args[2]), 1), 0o600))
}

// appendToFile adds a text without line end: append FILE TEXT
func appendToFile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: append FILE TEXT")
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(ts.ReadFile(args[0])+args[1]), 0o600))
}

// cutFile keeps the first lines of a file: cut FILE LINES
func cutFile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: cut FILE LINES")
	}
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	lines := strings.SplitAfter(ts.ReadFile(args[0]), "\n")
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Join(lines[:n], "")), 0o600))
}

// unescapeFile writes characters raw that JSON allows to be: unescape FILE
func unescapeFile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: unescape FILE")
	}
	raw := strings.NewReplacer(`\u202e`, "\u202e", `\u2066`, "\u2066", `\u200b`, "\u200b", `\u0085`, "\u0085", `\udb40\udc41`, "\U000e0041", `\u3164`, "\u3164")
	before := ts.ReadFile(args[0])
	after := raw.Replace(before)
	if len(after) == len(before) {
		ts.Fatalf("nothing to unescape in %s", args[0])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(after), 0o600))
}

// plainFile fails if a file holds a character that a reader would obey or not see,
// or not so many lines: plain FILE [LINES]
func plainFile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: plain FILE [LINES]")
	}
	text := ts.ReadFile(args[0])
	for i, r := range text {
		// Narrow spaces group the digits of the page's own numbers.
		if r != '\n' && r != '\u202f' && (r < ' ' || r == 0x7f || r == utf8.RuneError || unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Other_Default_Ignorable_Code_Point)) {
			ts.Fatalf("%s holds %U at byte %d", args[0], r, i)
		}
	}
	if lines := strings.Count(text, "\n"); len(args) == 2 && strconv.Itoa(lines) != args[1] {
		ts.Fatalf("%s has %d lines, want %s:\n%s", args[0], lines, args[1], text)
	}
}

var (
	alice = audit.Principal{Rung: "token", Subject: "alice@example.com", Issuer: "https://id.example.com", Tenant: "acme"}
	bob   = audit.Principal{Rung: "token", Subject: "bob@example.com", Actors: []string{"agent-7"}}
)

func sampleEvent(kind audit.Kind, seconds int, id, tool string, p audit.Principal) *audit.Event {
	return &audit.Event{
		Kind: kind, Time: sampleTime.Add(time.Duration(seconds) * time.Second), ID: id,
		Method: "tools/call", Name: tool, Principal: p,
	}
}

func with(e *audit.Event, change func(*audit.Event)) *audit.Event {
	change(e)
	return e
}

// hostileText is what callers put into names: escape sequences, new lines, markup,
// and characters that reorder or hide.
const hostileText = "\x1b[2J\x1b]0;owned\x07 <script>alert(1)</script>\r\n\"' onload=x decision=allowed \u202egnp.exe\u2066\u200b\u0085\U000e0041|\u3164"

var samples = map[string][]*audit.Event{
	"small": {
		sampleEvent(audit.Attempt, 0, "call-1", "search", alice),
		with(sampleEvent(audit.Outcome, 1, "call-1", "search", alice), func(e *audit.Event) {
			e.Decision, e.Latency = audit.Allowed, 12500*time.Microsecond
			e.Notes = []mcpsec.Note{{Key: noteCost, Value: "$0.02 of $0.05 reserved, 150 tokens of 400 tokens reserved"}}
		}),
		with(sampleEvent(audit.Outcome, 2, "call-2", "delete_bucket", bob), func(e *audit.Event) {
			e.Decision, e.Code, e.Control = audit.Refused, "ratelimit.exceeded", "ratelimit"
			e.Reason, e.Latency = "too many calls", 210*time.Microsecond
		}),
		sampleEvent(audit.Attempt, 3, "call-3", "run_query", alice),
		with(sampleEvent(audit.Outcome, 5, "call-3", "run_query", alice), func(e *audit.Event) {
			e.Decision, e.IsError, e.Latency = audit.Failed, true, 2*time.Second
		}),
		sampleEvent(audit.Attempt, 6, "call-4", "search", bob),
		with(sampleEvent(audit.Outcome, 7, "call-5", "search", alice), func(e *audit.Event) {
			e.Decision, e.Latency = audit.Allowed, 90*time.Second
			e.Findings = []audit.Finding{{Control: "allowlist", Code: "allowlist.denied", Reason: "not on the list"}}
		}),
	},
	"losses": {
		with(sampleEvent(audit.Gap, 8, "", "", audit.Principal{}), func(e *audit.Event) {
			e.Method, e.Count, e.Reason, e.First, e.Last = "", 3, "the queue was full", sampleTime, sampleTime
		}),
		with(sampleEvent(audit.Suppressed, 9, "", "search", bob), func(e *audit.Event) {
			e.Count, e.Code, e.Decision, e.First, e.Last = 40, "ratelimit.exceeded", audit.Refused, sampleTime, sampleTime
		}),
		with(sampleEvent(audit.Outcome, 10, "call-6", "search", bob), func(e *audit.Event) { e.Decision = audit.Unknown }),
	},
	"hostile": {
		with(sampleEvent(audit.Outcome, 11, hostileText, hostileText, audit.Principal{Rung: "token", Subject: hostileText}), func(e *audit.Event) {
			e.Method, e.Decision, e.Code, e.Reason, e.Detail = hostileText, audit.Refused, hostileText, hostileText, hostileText
			e.Notes = []mcpsec.Note{{Key: hostileText, Value: hostileText}}
			e.Findings = []audit.Finding{{Control: hostileText, Code: hostileText, Reason: hostileText}}
		}),
		with(sampleEvent(audit.Kind(hostileText), 12, "", "", audit.Principal{}), func(e *audit.Event) { e.Level = hostileText }),
		with(sampleEvent(audit.Gap, 13, "", hostileText, audit.Principal{}), func(e *audit.Event) { e.Count, e.Reason = 1, hostileText }),
	},
}
