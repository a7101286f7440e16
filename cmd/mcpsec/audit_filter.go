package main

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mcpsec/mcpsec-go/audit"
)

// An auditFilter chooses records. Values of one flag are alternatives, flags
// together are conditions; a value that ends in * stands for all that begin so.
type auditFilter struct {
	principals, tools, codes, decisions, events, ids []string

	since, begin, end string

	calls bool // the filter is for joined calls

	from, to time.Time // what since, begin and end come to; zero means no bound
}

const filterHelp = `Filters: a flag given several times accepts any of its values, and different flags must
all match. A value that ends in * stands for everything that begins so. --principal
looks at subject, client, tenant, issuer, actors and rung ("anonymous"); --tool at the
name of a tool, prompt or resource; --code at the code of the refusal and those of
findings. --from is inclusive, --to is not.`

func (f *auditFilter) flags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringArrayVar(&f.principals, "principal", nil, "who asked")
	flags.StringArrayVar(&f.tools, "tool", nil, "name of the tool, prompt or resource")
	flags.StringArrayVar(&f.codes, "code", nil, "refusal code, or a family of them: ratelimit.*")
	flags.StringArrayVar(&f.decisions, "decision", nil, "allowed, refused, error or unknown")
	flags.StringArrayVar(&f.events, "event", nil, "kind of event: attempt, outcome, suppressed, gap, recovery, pruned, log")
	flags.StringArrayVar(&f.ids, "id", nil, "id of the call")
	flags.StringVar(&f.since, "since", "", "only the last DURATION: 90s, 15m, 2h, 7d")
	flags.StringVar(&f.begin, "from", "", "only from this time on, in RFC 3339")
	flags.StringVar(&f.end, "to", "", "only before this time, in RFC 3339")
}

// settle reads the times and refuses what could never match.
func (f *auditFilter) settle(now time.Time) error {
	if f.since != "" && f.begin != "" {
		return usagef("--since and --from both say where to begin: use one of them")
	}
	if f.since != "" {
		d, ok := parseAge(f.since)
		if !ok {
			return usagef("--since %.*q is not a duration like 90s, 15m, 2h or 7d", maxQuoted, f.since)
		}
		f.from = now.Add(-d)
	}
	for _, bound := range []struct {
		flag, text string
		t          *time.Time
	}{{"from", f.begin, &f.from}, {"to", f.end, &f.to}} {
		if bound.text == "" {
			continue
		}
		t, err := time.Parse(time.RFC3339Nano, bound.text)
		if err != nil {
			return usagef("--%s %.*q is not a time like 2026-11-22T10:00:00Z", bound.flag, maxQuoted, bound.text)
		}
		*bound.t = t
	}
	if !f.to.IsZero() && !f.from.Before(f.to) {
		return usagef("nothing lies between --from and --to")
	}
	known := []string{string(audit.Allowed), string(audit.Refused), string(audit.Failed), string(audit.Unknown)}
	if f.calls {
		known = append(known, openCall)
	}
	for _, d := range f.decisions {
		if !slices.Contains(known, d) {
			return &usageError{message: "unknown decision " + strconv.Quote(firstOf(d)), nearest: nearest(d, known)}
		}
	}
	return nil
}

// parseAge reads a duration that may also be in days.
func parseAge(s string) (time.Duration, bool) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		return time.Duration(n) * 24 * time.Hour, err == nil && n > 0
	}
	d, err := time.ParseDuration(s)
	return d, err == nil && d > 0
}

func firstOf(s string) string { return s[:min(len(s), maxQuoted)] }

// reading returns the filter to read records with. A call is judged when its outcome
// is known, so its attempt must be read whatever its time.
func (f *auditFilter) reading() *auditFilter {
	if !f.calls {
		return f
	}
	return &auditFilter{principals: f.principals, tools: f.tools, ids: f.ids}
}

// mayMatch rules out lines before they are decoded, which takes ten times as long: a
// value stands in its line as it was given, if it needs no escape.
func (f *auditFilter) mayMatch(line []byte) bool {
	for _, values := range [][]string{f.ids, f.tools, f.codes, f.decisions, f.events, f.principals} {
		if len(values) > 0 && !slices.ContainsFunc(values, func(v string) bool {
			word := strings.TrimSuffix(v, "*")
			return !isPlainWord(word) || bytes.Contains(line, []byte(word))
		}) {
			return false
		}
	}
	return true
}

// isPlainWord reports whether JSON has only one way to write s that our encoder uses.
func isPlainWord(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '"' || r == '\\' })
}

func (f *auditFilter) match(e *audit.Event) bool {
	return f.matchCall(e) && f.matchEnd(e)
}

// matchCall is the part that attempt and outcome of a call answer alike.
func (f *auditFilter) matchCall(e *audit.Event) bool {
	return oneOf(f.ids, e.ID) && oneOf(f.tools, e.Name) && f.matchPrincipal(&e.Principal)
}

// matchEnd is the part that depends on when the event was and how the call ended.
func (f *auditFilter) matchEnd(e *audit.Event) bool {
	return oneOf(f.decisions, string(e.Decision)) && oneOf(f.events, string(e.Kind)) && f.matchCode(e) &&
		(f.from.IsZero() || !e.Time.Before(f.from)) && (f.to.IsZero() || e.Time.Before(f.to))
}

func (f *auditFilter) matchPrincipal(p *audit.Principal) bool {
	if len(f.principals) == 0 {
		return true
	}
	for _, s := range append([]string{p.Subject, p.Client, p.Tenant, p.Issuer, p.Rung}, p.Actors...) {
		if s != "" && oneOf(f.principals, s) {
			return true
		}
	}
	return false
}

func (f *auditFilter) matchCode(e *audit.Event) bool {
	if oneOf(f.codes, e.Code) {
		return true
	}
	return slices.ContainsFunc(e.Findings, func(found audit.Finding) bool { return oneOf(f.codes, found.Code) })
}

// oneOf reports whether s is what one of the patterns means. No pattern means all.
func oneOf(patterns []string, s string) bool {
	if len(patterns) == 0 {
		return true
	}
	for _, p := range patterns {
		if begin, ok := strings.CutSuffix(p, "*"); ok && strings.HasPrefix(s, begin) || p == s {
			return true
		}
	}
	return false
}
