package main

import (
	"cmp"
	"crypto/sha256"
	_ "embed" // the page's template and style
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/mcpsec/mcpsec-go/audit"
)

//go:embed audit_page.html
var pageText string

//go:embed audit_page.css
var pageStyle string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// pagePolicy lets the page use its own style sheet and nothing else: whatever a
// record might bring into it could neither run nor load anything.
func pagePolicy() string {
	sum := sha256.Sum256([]byte(pageStyle))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'"
}

// A page is what the template shows. Text in it has no obscure characters; the
// template escapes it for HTML.
type page struct {
	Policy                       string
	Style                        template.CSS
	Origin, Span, Filtered, Made string
	Verdict                      pageVerdict
	Tiles                        []pageTile
	Charts                       []chart
	Codes                        pageBoard
	Boards                       []pageBoard
	LossesAbout, RefusalsAbout   string
	Losses, Refusals             []pageEvent
}

type pageVerdict struct {
	Class, Title string
	Lines        []string
}

type pageTile struct {
	Name, Value, Note string
	Alarm             bool
}

type pageBoard struct {
	Title, About, Column, Counted string
	Detailed                      bool
	Rows                          []boardRow
}

type boardRow struct {
	Name                             string
	Rest, Code                       bool
	Parts                            []piece
	Calls, Refused, Errors, P50, P95 string
}

type pageEvent struct {
	Seq                                     uint64
	Time, Kind, Count, Who, What, Code, Why string
}

const (
	topNames  = 12
	topCodes  = 20
	cellWidth = 120
)

func newPage(s *summary, v *verification, filtered string, now time.Time) *page {
	p := &page{
		Policy: pagePolicy(), Style: template.CSS(pageStyle), //nolint:gosec // G203: our own file
		Origin: shown(v.Origin, 200), Filtered: shown(filtered, 500), Made: now.UTC().Format("2006-01-02 15:04:05") + " UTC",
		Span: "No record.", Verdict: newPageVerdict(v), Tiles: s.tiles(),
	}
	if !s.first.IsZero() {
		p.Span = fmt.Sprintf("%s records from %s to %s", grouped(s.records), instant(s.first), instant(s.last))
	}
	if len(s.series.slots) > 0 {
		p.Charts = s.charts()
	}
	p.Codes = s.codeBoard()
	p.Boards = []pageBoard{
		nameBoard(s.tools, "Tools", "The tools, prompts, resources and methods that were called most.", "Tool"),
		nameBoard(s.principals, "Principals", "Who called most, by the best name that was proven.", "Principal"),
	}
	p.Losses, p.LossesAbout = s.losses.kept, s.lossesAbout()
	p.Refusals, p.RefusalsAbout = slices.Clone(s.refusals.kept), s.refusalsAbout()
	slices.Reverse(p.Refusals)
	return p
}

func (p *page) write(w io.Writer) error {
	if err := pageTemplate.Execute(w, p); err != nil {
		return fmt.Errorf("drawing the report: %w", err)
	}
	return nil
}

func newPageVerdict(v *verification) pageVerdict {
	p := pageVerdict{Class: "good", Title: "The record is whole"}
	for i, f := range v.Faults {
		if i == 5 {
			p.Lines = append(p.Lines, fmt.Sprintf("and %d faults more", len(v.Faults)-i))
			break
		}
		p.Lines = append(p.Lines, f.String())
	}
	switch {
	case !v.OK:
		p.Class, p.Title = "bad", "The record is not what was written"
	case v.Key == "folder" && v.Anchored == 0:
		p.Class, p.Title = "warn", "The record fits together, and nothing kept elsewhere vouches for it"
	}
	p.Lines = append(p.Lines,
		"Records: "+v.held(), "Anchored: "+v.anchoredText(), "Signed: "+v.signedText(), "Neither: "+v.neitherText())
	if v.Torn > 0 {
		p.Lines = append(p.Lines, fmt.Sprintf("%d bytes at the end are an unfinished line.", v.Torn))
	}
	return p
}

func (s *summary) tiles() []pageTile {
	refused, failed := s.decided[audit.Refused], addUint(s.decided[audit.Failed], s.decided[audit.Unknown])
	tiles := []pageTile{
		{Name: "Calls", Value: grouped(s.calls), Note: share(s.decided[audit.Allowed], s.calls) + " allowed"},
		{Name: "Refused", Value: grouped(refused), Note: share(refused, s.calls) + " of calls"},
		{Name: "Errors", Value: grouped(failed), Note: share(failed, s.calls) + " of calls"},
		{Name: "Latency, p50", Value: "-", Note: "of calls that ran"},
		{Name: "Latency, p95", Value: "-", Note: "of calls that ran"},
		{Name: "Records lost", Value: grouped(s.lost), Note: "before they reached the log", Alarm: s.lost > 0},
	}
	if s.latencies.count > 0 {
		tiles[3].Value, tiles[4].Value = briefly(s.latencies.percentile(50)), briefly(s.latencies.percentile(95))
	}
	if s.unread > 0 {
		tiles = append(tiles, pageTile{Name: "Not readable", Value: grouped(s.unread), Note: "lines that are no record", Alarm: true})
	}
	for _, unit := range s.units {
		tiles = append(tiles, pageTile{Name: "Spent, " + shown(unit, 40), Value: amount(s.spent[unit]), Note: "as budgets noted it"})
	}
	return tiles
}

func (s *summary) charts() []chart {
	step := strings.TrimPrefix(stepName(s.series.width()), "1 ")
	decided := func(d audit.Decision) func(*slot) float64 {
		return func(sl *slot) float64 { return float64(sl.decided[d]) }
	}
	charts := []chart{stacked(chart{Title: "Calls over time", About: "Calls in each " + step + ", by how they ended."}, s.series, []layer{
		{"allowed", "allowed", decided(audit.Allowed)},
		{"refused", "refused", decided(audit.Refused)},
		{"error", "error", decided(audit.Failed)},
		{"unknown", "unknown", decided(audit.Unknown)},
	}, 1)}
	if s.latencies.count > 0 {
		charts = append(charts, percentiles(chart{
			Title: "Latency over time",
			About: "How long calls took in each " + step + ", on a logarithmic scale.",
		}, s.series))
	}
	for _, unit := range s.units {
		charts = append(charts, stacked(chart{
			Title: "Spend over time: " + shown(unit, 40), About: "What the budget control noted as spent in each " + step + ".",
		}, s.series, []layer{{"spent", shown(unit, 40), func(sl *slot) float64 { return float64(sl.spent[unit]) / 1e6 }}}, 0))
	}
	return charts
}

func (s *summary) lossesAbout() string {
	about := fmt.Sprintf("%s records lost, %s refusals counted without a record of each.", grouped(s.lost), grouped(s.suppressed))
	if n := s.losses.total; n > maxLosses {
		about += fmt.Sprintf(" The last %d of %s notices:", maxLosses, grouped(n))
	}
	return about
}

func (s *summary) refusalsAbout() string {
	if s.refusals.total == 0 {
		return "Nothing was refused."
	}
	return fmt.Sprintf("The last %d of %s, the newest first.", len(s.refusals.kept), grouped(s.refusals.total))
}

func newPageEvent(e auditEntry) pageEvent {
	v := e.event
	p := pageEvent{
		Seq: e.seq, Time: instant(v.Time), Kind: shown(string(v.Kind), 20), Who: shown(who(&v.Principal), cellWidth),
		What: what(v), Code: shown(v.Code, 64), Why: shown(cmp.Or(v.Reason, v.Detail), 400),
	}
	if v.Count > 0 {
		p.Count = grouped(v.Count)
	}
	if v.Kind == audit.Suppressed {
		p.Why = strings.TrimSpace(p.Code + " " + p.Why)
	}
	return p
}
