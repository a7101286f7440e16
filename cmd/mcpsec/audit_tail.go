package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

const (
	maxTail      = 10_000
	maxTailBytes = 64 << 20
	// pollEvery is how often a followed ledger is looked at. Polling works on every
	// file system, and costs one read that returns nothing.
	pollEvery = 200 * time.Millisecond
)

const auditTailHelp = `Print the last records, oldest first, one a line. With --follow, go on with what is
written from then on, until a signal ends it with exit code 0.

Columns: number, time, verdict (the decision of an outcome, else the kind of event), who
asked, what was called ("> " for requests to the client), latency, id of the call, and
why: count, code, (codes of findings), reason and detail.

With --json, each line is the record as it stands in the ledger. A line that is no record
is shown as such (with --json as {"fault", "seq"}), and makes the exit code 1.

` + filterHelp

func newAuditTail(a *app) *cobra.Command {
	var t auditTail
	cmd := &cobra.Command{
		Use:   "tail",
		Short: "Print the last records, and new ones as they come",
		Long:  auditTailHelp,
		Example: `  mcpsec audit tail
  mcpsec audit tail -f -n 50 --dir /var/lib/files/audit
  mcpsec audit tail -f --decision refused --principal alice@example.com
  mcpsec audit tail -f --event outcome --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if t.last < 0 || t.last > maxTail {
				return usagef("--lines must be from 0 to %d", maxTail)
			}
			if err := t.filter.settle(time.Now()); err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			t.out = newLineWriter(out)
			t.render = func(e auditEntry) string { return listed(e, colourful(out, os.Getenv)) }
			if a.json {
				t.render = jsonLine
			}
			return t.run(cmd.Context())
		},
	}
	dirFlag(cmd, &t.dir)
	cmd.Flags().BoolVarP(&t.follow, "follow", "f", false, "go on with new records until a signal")
	cmd.Flags().IntVarP(&t.last, "lines", "n", 10, "how many records to begin with")
	t.filter.flags(cmd)
	return cmd
}

type auditTail struct {
	dir    string
	last   int
	follow bool
	filter auditFilter
	out    lineWriter
	render func(auditEntry) string
}

func (t *auditTail) run(ctx context.Context) error {
	firsts, err := segmentStarts(t.dir)
	if err != nil {
		return err
	}
	// From the newest segment backwards, as far as needed.
	newest := firsts[len(firsts)-1]
	end, err := readLedger(t.dir, newest, &t.filter)
	if err != nil {
		return err
	}
	defer end.close()
	lines, err := t.keepLast(ctx, end, t.last, math.MaxUint64)
	unread := end.err()
	for i := len(firsts) - 2; i >= 0 && err == nil && len(lines) < t.last; i-- {
		var older []string
		older, err = t.readSegment(ctx, firsts[i], firsts[i+1], t.last-len(lines))
		lines = append(older, lines...)
	}
	for _, line := range lines {
		if err == nil {
			err = t.out.line(line)
		}
	}
	if err == nil {
		err = t.out.flush()
	}
	if err == nil && t.follow {
		err = t.watch(ctx, end)
		unread = end.err()
	}
	if ctx.Err() != nil {
		return unread // asked to end
	}
	return cmp.Or(err, unread)
}

func (t *auditTail) readSegment(ctx context.Context, from, before uint64, n int) ([]string, error) {
	r, err := readLedger(t.dir, from, &t.filter)
	if err != nil {
		return nil, err
	}
	defer r.close()
	return t.keepLast(ctx, r, n, before)
}

// keepLast returns the last n records that r reads before the given number.
func (t *auditTail) keepLast(ctx context.Context, r *auditReader, n int, before uint64) ([]string, error) {
	last := lastLines{limit: n}
	for {
		e, err := r.next(ctx)
		switch {
		case errors.Is(err, io.EOF) || err == nil && e.seq >= before:
			return last.list(), nil
		case err != nil:
			return nil, err
		case n > 0:
			if last.push(t.render(e)); last.bytes > maxTailBytes {
				return nil, fmt.Errorf("the last %d records have more than %s: ask for fewer with -n", n, size(maxTailBytes))
			}
		}
	}
}

// lastLines keeps the last of many lines.
type lastLines struct {
	limit, total, bytes int
	ring                []string
}

func (l *lastLines) push(s string) {
	l.bytes += len(s)
	if len(l.ring) < l.limit {
		l.ring = append(l.ring, s)
	} else {
		oldest := &l.ring[l.total%l.limit]
		l.bytes -= len(*oldest)
		*oldest = s
	}
	l.total++
}

func (l *lastLines) list() []string {
	if len(l.ring) < l.limit || l.limit == 0 {
		return l.ring
	}
	oldest := l.total % l.limit
	return slices.Concat(l.ring[oldest:], l.ring[:oldest])
}

// watch prints records as they come.
func (t *auditTail) watch(ctx context.Context, r *auditReader) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		err := r.each(ctx, func(e auditEntry) error { return t.out.line(t.render(e)) })
		if err == nil {
			err = t.out.flush()
		}
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// segmentStarts returns the number of the first record of each segment, sorted.
func segmentStarts(dir string) ([]uint64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("reading the ledger: %w (--dir names its folder)", err)
	}
	var firsts []uint64
	for _, e := range entries {
		name, isSegment := strings.CutPrefix(strings.TrimSuffix(e.Name(), ".jsonl"), "audit-")
		if first, err := strconv.ParseUint(name, 10, 64); err == nil && isSegment && len(name) == 20 && filepath.Ext(e.Name()) == ".jsonl" {
			firsts = append(firsts, first)
		}
	}
	if len(firsts) == 0 {
		return nil, fmt.Errorf("%s holds no ledger: no file audit-NUMBER.jsonl is in it (--dir names its folder)", dir)
	}
	slices.Sort(firsts)
	return firsts, nil
}
