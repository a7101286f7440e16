package cef

import (
	"strconv"
	"strings"
	"testing"

	"github.com/mcpsec/mcpsec-go/audit"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// attacks are texts with which a caller tries to leave the field it is put in, or
// to act on whoever reads it.
var attacks = []string{
	"", "plain", " ", "  two  ", "a\r\nb", "\r", "\n\nCEF:0|a|b|c|d|e|9|act=allowed", "x act=allowed suser=root", "x^act=allowed^usrName=root",
	"x\tact=allowed", "\u2028\u2029\u0085\u000b\u000c", "\x00", "a\x00b", "\xff\xfe", "\x1b[2J\x1b]0;t\x07", "\u202eevil\u202c\u2066",
	"\u200b\ufeff\U000e0041\ufe0f\u034f", "|", "||", `\|`, "=", "==", `\=`, `=\`, "]", `"]`, `\`, `\\`, `a\`, `\n`, `\r\n`, `\\n`,
	`\u{a}`, `\\u{a}`, `\u{`, `\\u{5c}u{a}`, `u{a}`, `\` + "\n", `\` + "\u2028", "^", `\^`, "<13>1 - - - -", "${jndi:ldap://x}",
	"\U0001f600", "…", strings.Repeat("=", 1100), strings.Repeat("\\", 1100), strings.Repeat("\u202e", 1100), strings.Repeat("é", 1000),
	strings.Repeat("x", 1<<11), "\ufffd",
}

// chosen are the texts of an event that come from outside, with the keys under which
// they must come out.
var chosen = []struct {
	cef, leef string
	text      func(e *audit.Event) *string
}{
	{"suser", "usrName", func(e *audit.Event) *string { return &e.Principal.Subject }},
	{"cs5", "realm", func(e *audit.Event) *string { return &e.Principal.Issuer }},
	{"sourceServiceName", "mcpsecClient", func(e *audit.Event) *string { return &e.Principal.Client }},
	{"mcpsecTenant", "mcpsecTenant", func(e *audit.Event) *string { return &e.Principal.Tenant }},
	{"cs1", "mcpsecMethod", func(e *audit.Event) *string { return &e.Method }},
	{"cs2", "resource", func(e *audit.Event) *string { return &e.Name }},
	{"cs3", "mcpsecCall", func(e *audit.Event) *string { return &e.ID }},
	{"cs4", "policy", func(e *audit.Event) *string { return &e.Policy }},
	{"cs6", "mcpsecDefinition", func(e *audit.Event) *string { return &e.Tool.Digest }},
	{"reason", "reason", func(e *audit.Event) *string { return &e.Reason }},
	{"msg", "msg", func(e *audit.Event) *string { return &e.Detail }},
	{"mcpsecControl", "mcpsecControl", func(e *audit.Event) *string { return &e.Control }},
	{"mcpsecTransport", "mcpsecTransport", func(e *audit.Event) *string { return &e.Source.Transport }},
	{"mcpsecClaimedSession", "mcpsecClaimedSession", func(e *audit.Event) *string { return &e.Session }},
	{"mcpsecClaimedClient", "mcpsecClaimedClient", func(e *audit.Event) *string { return &e.Client }},
	{"mcpsecActor1", "mcpsecActor1", func(e *audit.Event) *string { return &e.Principal.Actors[0] }},
	{"mcpsecFinding1Reason", "mcpsecFinding1Reason", func(e *audit.Event) *string { return &e.Findings[0].Reason }},
	{"mcpsecNote1", "mcpsecNote1", func(e *audit.Event) *string { return &e.Notes[0].Value }},
	{"mcpsecCredential1KeyID", "mcpsecCredential1KeyID", func(e *audit.Event) *string { return &e.Credentials[0].KeyID }},
	{"mcpsecArgument1", "mcpsecArgument1", func(e *audit.Event) *string { return &e.Arguments.Clear[0].JSON }},
}

func hostile() *audit.Event {
	e := refusal()
	e.Principal.Actors = []string{"actor"}
	e.Findings = []audit.Finding{{Control: "inspect"}}
	e.Notes = []mcpsec.Note{{Key: "note"}}
	e.Credentials = []mcpsec.Credential{{Name: "cred"}}
	e.Arguments.Clear = []audit.Value{{Path: "/a"}}
	return e
}

// checkFields holds a message against what the record says.
func checkFields(tb testing.TB, d dialect, r *audit.Record) {
	tb.Helper()
	e, err := audit.Decode(r.Line)
	if err != nil {
		if b, err := d.format.AppendRecord(nil, r); err == nil || len(b) != 0 {
			tb.Fatalf("%q, %v", b, err)
		}
		return
	}
	p := d.read(tb, r)
	if _, marked := p.fields["mcpsecTruncated"]; e.Truncated && !marked {
		tb.Fatalf("%s: not marked: %v", d.name, p.fields)
	}
	for _, c := range chosen {
		name := c.cef
		if d.format.leef {
			name = c.leef
		}
		want := *c.text(e)
		if want == "" && c.cef == "suser" {
			want = e.Principal.Rung
		}
		checkField(tb, d, p, name, want)
	}
}

// checkField holds a field against the record: it has the same text, or its
// beginning, or there was no room; and if something is missing, the message says so.
func checkField(tb testing.TB, d dialect, p *parsed, name, want string) {
	tb.Helper()
	written, there := p.fields[name]
	got := plainText(written)
	if got == want && there == (want != "") {
		return
	}
	if _, marked := p.fields["mcpsecTruncated"]; !marked {
		tb.Fatalf("%s: %s=%.80q, want %.80q, and no mark", d.name, name, got, want)
	}
	beginning, cut := strings.CutSuffix(got, "…")
	if there && (!cut || !strings.HasPrefix(want, beginning) || len(written) < maxValue/4) {
		tb.Fatalf("%s: %s=%.80q is no beginning of %.80q", d.name, name, got, want)
	}
}

func TestNoTextLeavesItsField(t *testing.T) {
	t.Parallel()
	for _, d := range dialects(t, Config{}) {
		for _, attack := range attacks {
			for _, c := range chosen {
				e := hostile()
				*c.text(e) = attack
				checkFields(t, d, record(e, 1))
			}
			e := hostile()
			for _, c := range chosen {
				*c.text(e) = attack
			}
			checkFields(t, d, record(e, 1))
		}
	}
}

func TestMegabyteNameIsCutAndMarked(t *testing.T) {
	t.Parallel()
	for _, unit := range []string{"x", "\u202e"} {
		for _, d := range dialects(t, Config{}) {
			e := hostile()
			e.Name = strings.Repeat(unit, 1<<20/len(unit))
			checkFields(t, d, record(e, 1))
		}
	}
}

func TestNoTwoTextsAreSpelledAlike(t *testing.T) {
	t.Parallel()
	for _, d := range dialects(t, Config{MaxBytes: maxBytes}) {
		seen := make(map[string]string)
		for _, a := range attacks {
			if len(a) > 100 || strings.Contains(a, "\xff") {
				continue // cut, or not UTF-8
			}
			e := refusal()
			e.Name = "x" + a
			p := d.read(t, record(e, 1))
			name := p.fields["cs2"] + p.fields["resource"]
			if other, twice := seen[name]; twice {
				t.Errorf("%s: %q and %q are both %q", d.name, a, other, name)
			}
			seen[name] = a
		}
	}
}

// What the server says stands whatever the caller and the identity provider say.
func TestCallerCannotPressFactsOut(t *testing.T) {
	t.Parallel()
	for _, filler := range []string{strings.Repeat("x", 1<<14), strings.Repeat("\x01", 2048), strings.Repeat("\\", 2048), strings.Repeat("^", 2048)} {
		for _, d := range dialects(t, Config{}) {
			e := hostile()
			for _, s := range []*string{
				&e.Principal.Subject, &e.Principal.Issuer, &e.Principal.Client, &e.Principal.Tenant, &e.Method, &e.Name,
				&e.Reason, &e.Detail, &e.Session, &e.Client, &e.Principal.Actors[0], &e.Findings[0].Reason, &e.Notes[0].Value,
			} {
				*s = filler
			}
			for size := 1024; size > 0; size /= 2 { // and fill what room is left to the last byte
				e.Notes = append(e.Notes, mcpsec.Note{Key: "a" + strconv.Itoa(size), Value: filler[:size]}, mcpsec.Note{Key: "b" + strconv.Itoa(size), Value: filler[:size]})
			}
			e.Credentials[0].KeyID = "ASIA1"
			p := d.read(t, record(e, 9))
			for _, want := range []string{
				origin + ":9", "outcome", "refused", "203.0.113.7", "51234", e.ID, "sha256:ab12", "ratelimit", "90", "ASIA1", "true",
			} {
				found := false
				for _, value := range p.fields {
					found = found || value == want
				}
				if !found {
					t.Errorf("%s: %s is gone from %.300v", d.name, want, p.fields)
				}
			}
			if p.fields["mcpsecTruncated"] != "true" || p.order[len(p.order)-1] != "mcpsecTruncated" {
				t.Errorf("%s: no mark at the end: %v", d.name, p.order)
			}
		}
	}
}

// A receiver that drops duplicates by part of an ID drops what it never had.
func TestRecordIDIsWholeOrAbsent(t *testing.T) {
	t.Parallel()
	r := record(refusal(), 9)
	r.Origin = strings.Repeat("o", 2000)
	for size, want := range map[int]string{minBytes: "", defaultBytes: r.ID()} {
		for _, d := range dialects(t, Config{MaxBytes: size}) {
			p := d.read(t, r)
			if got := p.fields["externalId"] + p.fields["mcpsecRecord"]; got != want {
				t.Errorf("%s, %d bytes: %q", d.name, size, got)
			}
		}
	}
}

func TestSmallestMessageHoldsTheWorstHeader(t *testing.T) {
	t.Parallel()
	label := strings.Repeat("é", 31)
	for _, d := range dialects(t, Config{Vendor: label, Product: label, Version: label, MaxBytes: minBytes}) {
		for _, attack := range attacks {
			e := hostile()
			e.Code = attack
			for _, c := range chosen {
				*c.text(e) = attack
			}
			checkFields(t, d, record(e, 1))
		}
	}
}

func FuzzText(f *testing.F) {
	for i, attack := range attacks {
		f.Add(attack[:min(len(attack), 1<<12)], attacks[len(attacks)/2-i/2], uint(i), uint16(0))
	}
	f.Fuzz(func(t *testing.T, a, b string, where uint, room uint16) {
		size := minBytes + int(room)
		for _, d := range dialects(t, Config{MaxBytes: size}) {
			e := hostile()
			*chosen[where%uint(len(chosen))].text(e) = a
			*chosen[where/3%uint(len(chosen))].text(e) = b
			e.Code, e.Source.Address = a, b
			e.Notes[0].Key = "k" + b
			checkFields(t, d, record(e, 1))
		}
	})
}

func FuzzLine(f *testing.F) {
	f.Add(record(refusal(), 1).Line, uint64(1), "", origin)
	f.Add(record(hostile(), 2).Line, uint64(2), "a\nb\n", "x|y=z^")
	f.Fuzz(func(t *testing.T, line []byte, seq uint64, checkpoint, from string) {
		for _, d := range dialects(t, Config{}) {
			if _, err := audit.Decode(line); err == nil {
				d.read(t, &audit.Record{Origin: from, Seq: seq, Line: line})
			}
			if checkpoint == "" || len(checkpoint)+len(from) > 500 {
				continue
			}
			p := d.read(t, &audit.Record{Origin: from, Seq: seq, Checkpoint: checkpoint})
			if got := plainText(p.fields["mcpsecCheckpoint"]); got != strings.ToValidUTF8(checkpoint, "\ufffd") && strings.ToValidUTF8(checkpoint, "") == checkpoint {
				t.Fatalf("%s: %q, want %q", d.name, got, checkpoint)
			}
		}
	})
}
