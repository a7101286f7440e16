package main

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mcpsec/mcpsec-go/audit"
)

const auditReportHelp = `Draw a page about the record: whether it is whole, calls, refusals by code, latencies,
the busiest tools and principals, what was spent, and what was lost. The page is one HTML
file without script that loads nothing, so it can be archived, mailed and printed. It
holds names, principals and reasons from the record: treat it like the record.

The record is verified first, as by "mcpsec audit verify", in full also when a filter
chooses what is drawn. If anything is wrong, the page says so at its top and the exit code
is 1. Memory does not grow with the ledger.

Members with --json, which prints the numbers in place of the page: schema, verification
(as from verify), from, to, records, unreadable, calls, attempts, decisions, lost,
suppressed, latencyMicros {p50, p95, p99}, codes, tools, principals (each a list of name,
calls, refused, errors; the most frequent), spent (by unit, in millionths).

` + filterHelp

func newAuditReport(a *app) *cobra.Command {
	var dir, output string
	var f auditFilter
	var trust auditTrust
	cmd := &cobra.Command{
		Use:   "report",
		Short: "Draw a page about the record, for people",
		Long:  auditReportHelp,
		Example: `  mcpsec audit report -o report.html
  mcpsec audit report --since 7d --key audit.pub --anchor checkpoint.txt -o week.html
  mcpsec audit report --principal alice@example.com > alice.html
  mcpsec audit report --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if output == "" && cmd.Flags().Changed("output") {
				return usagef("--output needs the path of a file")
			}
			now := time.Now()
			if err := f.settle(now); err != nil {
				return err
			}
			v, err := trust.verify(cmd.Context(), dir, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			r, err := readLedger(dir, 0, &f)
			if err != nil {
				return err
			}
			defer r.close()
			s := newSummary()
			if err := r.each(cmd.Context(), s.add); err != nil {
				return err
			}
			var html bytes.Buffer
			if err := newPage(s, v, f.String(), now).write(&html); err != nil {
				return err
			}
			text := html.String()
			if output != "" {
				if err := writePrivate(output, html.Bytes()); err != nil {
					return err
				}
				text = ""
			}
			if err := a.emit(cmd, newReportNumbers(s, v), text); err != nil {
				return err
			}
			return v.err()
		},
	}
	dirFlag(cmd, &dir)
	cmd.Flags().StringVarP(&output, "output", "o", "", "file to write the page to")
	trust.flags(cmd)
	f.flags(cmd)
	return cmd
}

// String says what the filter lets through; empty if everything.
func (f *auditFilter) String() string {
	var parts []string
	for _, p := range []struct {
		name   string
		values []string
	}{
		{"principal", f.principals}, {"tool", f.tools}, {"code", f.codes},
		{"decision", f.decisions}, {"event", f.events}, {"id", f.ids},
	} {
		if len(p.values) > 0 {
			parts = append(parts, p.name+" "+strings.Join(p.values, " or "))
		}
	}
	if !f.from.IsZero() {
		parts = append(parts, "from "+instant(f.from))
	}
	if !f.to.IsZero() {
		parts = append(parts, "before "+instant(f.to))
	}
	return strings.Join(parts, ", ")
}

// reportNumbers is the JSON form of a report.
type reportNumbers struct {
	Schema       int                       `json:"schema"`
	Verification *verification             `json:"verification"`
	From         *time.Time                `json:"from"`
	To           *time.Time                `json:"to"`
	Records      uint64                    `json:"records"`
	Unreadable   uint64                    `json:"unreadable"`
	Calls        uint64                    `json:"calls"`
	Attempts     uint64                    `json:"attempts"`
	Decisions    map[audit.Decision]uint64 `json:"decisions"`
	Lost         uint64                    `json:"lost"`
	Suppressed   uint64                    `json:"suppressed"`
	Latency      map[string]int64          `json:"latencyMicros"`
	Codes        []nameCount               `json:"codes"`
	Tools        []nameCount               `json:"tools"`
	Principals   []nameCount               `json:"principals"`
	Spent        map[string]int64          `json:"spent"`
}

type nameCount struct {
	Name    string `json:"name"`
	Calls   uint64 `json:"calls"`
	Refused uint64 `json:"refused"`
	Errors  uint64 `json:"errors"`
}

func newReportNumbers(s *summary, v *verification) *reportNumbers {
	n := &reportNumbers{
		Schema: 1, Verification: v, Records: s.records, Unreadable: s.unread, Calls: s.calls, Attempts: s.attempts,
		Decisions: s.decided, Lost: s.lost, Suppressed: s.suppressed, Spent: s.spent, Latency: make(map[string]int64),
		Codes: nameCounts(s.codes), Tools: nameCounts(s.tools), Principals: nameCounts(s.principals),
	}
	if !s.first.IsZero() {
		n.From, n.To = &s.first, &s.last
	}
	for _, p := range []float64{50, 95, 99} {
		n.Latency[fmt.Sprintf("p%.0f", p)] = s.latencies.percentile(p).Microseconds()
	}
	return n
}

func nameCounts(b *board) []nameCount {
	counts := []nameCount{}
	top, _ := b.top(topCodes)
	for _, t := range top {
		counts = append(counts, nameCount{shown(t.name, 512), t.calls, t.refused, t.error})
	}
	return counts
}
