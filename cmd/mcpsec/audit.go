package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/mcpsec/mcpsec-go/audit"
	"github.com/mcpsec/mcpsec-go/audit/ledger"
)

const auditHelp = `Read the record a server keeps of its calls: the ledger, a folder of segment files
audit-NUMBER.jsonl. All commands only read, and may run beside the server that writes.

verify says whether the record is whole; tail and query show what it holds; prove makes
evidence of one record, which check judges on a machine that has no ledger; report draws
a page for people.

Times are UTC. Text that callers chose is shown with \u escapes in place of every
character that a terminal would obey or hide.`

// newAudit makes the commands that read a server's record.
func newAudit(a *app) *cobra.Command {
	cmd := group(&cobra.Command{
		Use:   "audit",
		Short: "Read, verify and prove a server's audit record",
		Long:  auditHelp,
		Example: `  mcpsec audit verify --dir /var/lib/files/audit
  mcpsec audit tail --follow --decision refused
  mcpsec audit query --tool delete_bucket --since 24h
  mcpsec audit report -o report.html`,
	})
	cmd.AddCommand(
		newAuditCheck(a), newAuditProve(a), newAuditQuery(a), newAuditReport(a),
		newAuditSigma(a), newAuditTail(a), newAuditVerify(a),
	)
	return cmd
}

// dirFlag adds the flag that names the ledger.
func dirFlag(cmd *cobra.Command, dir *string) {
	cmd.Flags().StringVar(dir, "dir", "audit", "folder of the ledger")
	_ = cmd.MarkFlagDirname("dir") // fails only for a flag that is not there
}

// An auditEntry is one record of a ledger, read.
type auditEntry struct {
	seq   uint64
	line  []byte       // as it stands on disk; valid until the next one is read
	event *audit.Event // nil: see fault
	fault error        // why the line is not a record
}

// An auditReader reads the records of a ledger that a filter lets through.
type auditReader struct {
	scanner *ledger.Scanner
	filter  *auditFilter
	// unread counts lines that are no record, which no filter hides.
	unread      int
	firstUnread uint64
}

func readLedger(dir string, from uint64, f *auditFilter) (*auditReader, error) {
	s, err := ledger.Scan(dir, from)
	if err != nil {
		return nil, err
	}
	return &auditReader{scanner: s, filter: f}, nil
}

// next returns the next record, or io.EOF at the present end of the ledger; when
// more has been written, the next call goes on. A line that is no record is
// returned with its fault: what somebody spoilt must not be passed over.
func (r *auditReader) next(ctx context.Context) (auditEntry, error) {
	for {
		if err := ctx.Err(); err != nil {
			return auditEntry{}, err
		}
		e, err := r.scanner.Next()
		if err != nil {
			return auditEntry{}, err
		}
		if e.Kind == ledger.Garbage {
			return r.spoilt(e, errors.New("no ledger writes such a line")), nil
		}
		if e.Kind != ledger.Record || !r.filter.mayMatch(e.Text) && json.Valid(e.Text) {
			continue
		}
		event, err := audit.Decode(e.Text)
		if err != nil {
			return r.spoilt(e, err), nil
		}
		if r.filter.match(event) {
			return auditEntry{seq: e.Seq, line: e.Text, event: event}, nil
		}
	}
}

func (r *auditReader) spoilt(e ledger.Line, fault error) auditEntry {
	if r.unread == 0 {
		r.firstUnread = e.Seq
	}
	r.unread++
	return auditEntry{seq: e.Seq, line: e.Text, fault: fault}
}

// each calls visit for every record up to the present end.
func (r *auditReader) each(ctx context.Context, visit func(auditEntry) error) error {
	for {
		e, err := r.next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = visit(e)
		}
		if err != nil {
			return err
		}
	}
}

func (r *auditReader) close() { _ = r.scanner.Close() } // it only read

// err says whether all that was read was a record.
func (r *auditReader) err() error {
	if r.unread == 0 {
		return nil
	}
	return fmt.Errorf("%s of the ledger not readable, the first at number %d: run mcpsec audit verify", plural(r.unread, "line"), r.firstUnread)
}

// A lineWriter prints results as they come. Like emit it reports what could not be
// written.
type lineWriter struct{ b *bufio.Writer }

func newLineWriter(w io.Writer) lineWriter { return lineWriter{bufio.NewWriter(w)} }

func (w lineWriter) line(s string) error {
	_, _ = w.b.WriteString(s) // the writer keeps its first error
	return w.checked(w.b.WriteByte('\n'))
}

func (w lineWriter) flush() error { return w.checked(w.b.Flush()) }

func (w lineWriter) checked(err error) error {
	if err != nil {
		return fmt.Errorf("writing the result: %w", err)
	}
	return nil
}

// writePrivate writes a file that only its owner may read, as the ledger is.
func writePrivate(path string, contents []byte) error { return os.WriteFile(path, contents, 0o600) }
