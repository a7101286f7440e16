package main

import (
	"cmp"
	"errors"
	"os"
	"time"

	"github.com/spf13/cobra"
)

const auditQueryHelp = `Print the records that match, oldest first, in columns or, with --json, one JSON object a
line, as they stand in the ledger. A line that is no record is shown as such (with --json
as {"fault", "seq"}), and makes the exit code 1. The ledger is read from its begin to its present end;
memory does not grow with it.

With --calls, an attempt and its outcome become one line: that of the outcome, with the
number of the attempt as "from=N". A call that has no outcome yet is listed last, with
the verdict "open"; --decision open finds these. A refused call has an outcome only. With
--json, each line is {"attempt": RECORD, "outcome": RECORD}, without what there is not.
The time of a call is that of its outcome. Of more than 10,000 calls open at once (or 32
MiB of them), the oldest is listed as open and its outcome on a line of its own. --event does not go with
--calls.

` + filterHelp

func newAuditQuery(a *app) *cobra.Command {
	var dir string
	var f auditFilter
	var limit int
	cmd := &cobra.Command{
		Use:   "query",
		Short: "Search the record by principal, tool, code, decision and time",
		Long:  auditQueryHelp,
		Example: `  mcpsec audit query --decision refused --since 24h
  mcpsec audit query --code attest.* --code guard.outflanked
  mcpsec audit query --principal alice@example.com --tool delete_bucket --calls
  mcpsec audit query --from 2026-11-22T08:00:00Z --to 2026-11-22T09:00:00Z --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 0 {
				return usagef("--limit must not be negative")
			}
			if f.calls && len(f.events) > 0 {
				return usagef("--event does not go with --calls: a call has an attempt and an outcome")
			}
			if err := f.settle(time.Now()); err != nil {
				return err
			}
			r, err := readLedger(dir, 0, f.reading())
			if err != nil {
				return err
			}
			defer r.close()
			q := &auditQuery{out: newLineWriter(cmd.OutOrStdout()), json: a.json, limit: limit}
			q.colours = colourful(cmd.OutOrStdout(), os.Getenv)
			if !a.json {
				_, _ = q.out.b.WriteString(columns)
			}
			visit := q.print
			j := newCallJoin(&f, q.printCall)
			if f.calls {
				visit = j.add
			}
			err = r.each(cmd.Context(), visit)
			if err == nil && f.calls {
				err = j.rest()
			}
			if errors.Is(err, errEnough) {
				err = nil
			}
			return cmp.Or(err, q.out.flush(), r.err())
		},
	}
	dirFlag(cmd, &dir)
	cmd.Flags().BoolVar(&f.calls, "calls", false, "join the attempt and the outcome of each call")
	cmd.Flags().IntVar(&limit, "limit", 0, "stop after this many lines; 0 means all")
	f.flags(cmd)
	return cmd
}

// errEnough ends a reading when --limit is reached.
var errEnough = errors.New("limit reached")

type auditQuery struct {
	out           lineWriter
	json, colours bool
	limit, count  int
}

func (q *auditQuery) print(e auditEntry) error {
	if q.json {
		return q.line(jsonLine(e))
	}
	return q.line(listed(e, q.colours))
}

func (q *auditQuery) printCall(c auditCall) error {
	if q.json {
		return q.line(c.json())
	}
	return q.line(c.listed(q.colours))
}

func (q *auditQuery) line(s string) error {
	if err := q.out.line(s); err != nil {
		return err
	}
	if q.count++; q.count == q.limit {
		return errEnough
	}
	return nil
}
