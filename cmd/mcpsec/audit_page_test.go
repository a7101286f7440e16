package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/audit"
)

func drawPage(t *testing.T, s *summary) []byte {
	t.Helper()
	v := &verification{OK: true, Origin: hostileText, Faults: []auditFault{{Segment: hostileText, Reason: hostileText}, {Reason: hostileText}}}
	var b bytes.Buffer
	if err := newPage(s, v, hostileText, sampleTime).write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// elements are those the page's own template uses.
var elements = strings.Fields(`html head meta title style body main header section svg circle path rect line g text figure figcaption
	div h1 h2 p ul li table thead tbody tr th td code footer`)

// checkPage reads a page with a strict XML parser, which wants every element closed
// and every attribute quoted: text that escaped from its place would not fit. It
// returns the page's text.
func checkPage(t *testing.T, page []byte) string {
	t.Helper()
	body, ok := bytes.CutPrefix(page, []byte("<!DOCTYPE html>\n"))
	if !ok {
		t.Fatalf("the page begins with %.40q", page)
	}
	d := xml.NewDecoder(bytes.NewReader(body))
	d.Entity = xml.HTMLEntity
	var text strings.Builder
	var style, policy, inside string
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("the page is not well-formed: %v\n%s", err, page)
		}
		switch token := token.(type) {
		case xml.StartElement:
			inside = token.Name.Local
			if !slices.Contains(elements, inside) {
				t.Errorf("the page holds an element %s", inside)
			}
			for _, a := range token.Attr {
				name := a.Name.Local
				if name == "href" || name == "src" || name == "style" || strings.HasPrefix(name, "on") {
					t.Errorf("%s has an attribute %s", inside, name)
				}
				if name == "content" && strings.Contains(a.Value, "default-src") {
					policy = a.Value
				}
			}
		case xml.CharData:
			if inside == "style" {
				style += string(token)
			} else {
				text.Write(token)
			}
		case xml.EndElement:
			inside = ""
		}
	}
	sum := sha256.Sum256([]byte(style))
	want := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'"
	if policy != want {
		t.Errorf("the policy is %q, want %q", policy, want)
	}
	if strings.Contains(style, "url(") || strings.Contains(style, "@import") {
		t.Error("the style sheet loads something")
	}
	plainLine(t, strings.NewReplacer("\n", "", "\u202f", "").Replace(text.String()))
	return text.String()
}

func TestPageHoldsTextOfOthersAsText(t *testing.T) {
	t.Parallel()
	s := newSummary()
	for i, e := range slices.Concat(samples["hostile"], samples["small"], samples["losses"]) {
		if err := s.add(auditEntry{seq: uint64(i), event: e}); err != nil {
			t.Fatal(err)
		}
	}
	text := checkPage(t, drawPage(t, s))
	if n := strings.Count(text, `<script>alert(1)</script>\u000d\u000a`); n < 6 {
		t.Errorf("the hostile text stands %d times on the page", n)
	}
}

func TestPageOfNothing(t *testing.T) {
	t.Parallel()
	if text := checkPage(t, drawPage(t, newSummary())); !strings.Contains(text, "No record.") {
		t.Error("the page does not say that there is no record")
	}
}

// Times that a clock that was set back, or somebody who changed a line, may leave.
func TestPageOfImpossibleTimes(t *testing.T) {
	t.Parallel()
	for name, years := range map[string][]int{"one": {2026}, "epoch": {1970, 2026}, "all": {1, 1969, 2026, 9999}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSummary()
			for i, year := range years {
				e := sampleEvent(audit.Outcome, 0, "x", "tool", alice)
				e.Time, e.Decision, e.Latency = time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC), audit.Allowed, 1<<62
				e.Count = 1 << 63
				if err := s.add(auditEntry{seq: uint64(i), event: e}); err != nil {
					t.Fatal(err)
				}
				e.Kind = audit.Suppressed
				if err := s.add(auditEntry{seq: uint64(i), event: e}); err != nil {
					t.Fatal(err)
				}
			}
			if n := s.series.last - s.series.first; n >= maxSlots {
				t.Errorf("the chart has %d slots", n)
			}
			if page := drawPage(t, s); bytes.Contains(page, []byte("NaN")) || bytes.Contains(page, []byte("Inf")) {
				t.Error("the page holds a number that is none")
			} else {
				checkPage(t, page)
			}
		})
	}
}
