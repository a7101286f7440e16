package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mcpsec/mcpsec-go/audit/ledger"
)

const auditProveHelp = `Write a proof that a record is in the ledger: the record, the hashes that lead from it to
a checkpoint, and the checkpoint with its signature. Whoever has the public key checks it
with "mcpsec audit check", without the ledger and without seeing any other record.

ID is the id of a call, SEQ the number of a record. A call has several records (attempt,
outcome; each round of a multi-round-trip call), and each is proven by itself: with -o
proof.txt they go to proof-SEQ.txt each; on standard output there is room for one only.

Members with --json: proofs, a list, each with seq, event, file (empty: standard output)
and proof (the text; empty if it went to a file).`

func newAuditProve(a *app) *cobra.Command {
	var dir, output string
	cmd := &cobra.Command{
		Use:   "prove ID|SEQ",
		Short: "Write a proof that a record is in the ledger",
		Long:  auditProveHelp,
		Example: `  mcpsec audit prove 4711 > proof.txt
  mcpsec audit prove 0193a1e0-5b4c-7d2e-8f00-0123456789ab -o proof.txt`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if output == "" && cmd.Flags().Changed("output") {
				return usagef("--output needs the path of a file")
			}
			found, err := findRecords(cmd.Context(), dir, args[0])
			if err != nil {
				return err
			}
			if len(found) > 1 && output == "" {
				return fmt.Errorf("the call has %d records, %s: prove one by its number, or all into files with -o", len(found), listRecords(found))
			}
			var list proofList
			for _, r := range found {
				p, err := proveRecord(cmd.Context(), dir, r, cmd.ErrOrStderr())
				if err != nil {
					return err
				}
				if output != "" {
					p.File = outputFor(output, r.Seq, len(found))
					if err := writePrivate(p.File, []byte(p.Proof)); err != nil {
						return err
					}
					p.Proof = ""
				}
				list.Proofs = append(list.Proofs, p)
			}
			return a.emit(cmd, list, list.text())
		},
	}
	dirFlag(cmd, &dir)
	cmd.Flags().StringVarP(&output, "output", "o", "", "file to write the proof to")
	return cmd
}

// A provenRecord is a proof as the user sees it; its members are those of the JSON form.
type provenRecord struct {
	Seq   uint64 `json:"seq"`
	Event string `json:"event"`
	File  string `json:"file"`
	Proof string `json:"proof"`
}

type proofList struct {
	Proofs []provenRecord `json:"proofs"`
}

func (l proofList) text() string {
	var b bytes.Buffer
	for _, p := range l.Proofs {
		b.WriteString(p.Proof)
		if p.File != "" {
			fmt.Fprintf(&b, "%s  record %d (%s)\n", p.File, p.Seq, shown(p.Event, 32))
		}
	}
	return b.String()
}

// maxProofs bounds the records of one call.
const maxProofs = 64

// findRecords returns the records that name means. What is a number is a record's.
func findRecords(ctx context.Context, dir, name string) ([]provenRecord, error) {
	if seq, err := strconv.ParseUint(name, 10, 64); err == nil {
		r, err := readLedger(dir, seq, &auditFilter{})
		if err != nil {
			return nil, err
		}
		defer r.close()
		e, err := r.next(ctx)
		switch {
		case errors.Is(err, io.EOF):
			return nil, fmt.Errorf("the ledger has no record %d", seq)
		case err != nil:
			return nil, err
		case e.seq != seq:
			return nil, fmt.Errorf("the ledger has no record %d; the next is number %d", seq, e.seq)
		case e.fault != nil:
			return nil, fmt.Errorf("line %d is no record: %w", seq, e.fault)
		}
		return []provenRecord{{Seq: seq, Event: string(e.event.Kind)}}, nil
	}
	r, err := readLedger(dir, 0, &auditFilter{ids: []string{name}})
	if err != nil {
		return nil, err
	}
	defer r.close()
	var found []provenRecord
	err = r.each(ctx, func(e auditEntry) error {
		if e.event == nil {
			return nil // its id cannot be known
		}
		if found = append(found, provenRecord{Seq: e.seq, Event: string(e.event.Kind)}); len(found) > maxProofs {
			return fmt.Errorf("more than %d records have this id: prove them by their numbers", maxProofs)
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case len(found) == 0 && r.unread > 0:
		return nil, r.err()
	case len(found) == 0:
		return nil, fmt.Errorf("the ledger has no record of a call %s", sentence(name, maxQuoted))
	}
	return found, nil
}

func listRecords(found []provenRecord) string {
	var parts []string
	for _, r := range found {
		parts = append(parts, fmt.Sprintf("%d (%s)", r.Seq, shown(r.Event, 32)))
	}
	return strings.Join(parts, ", ")
}

func proveRecord(ctx context.Context, dir string, r provenRecord, errs io.Writer) (provenRecord, error) {
	bar := newProgress(errs)
	p, err := ledger.Prove(ctx, dir, r.Seq, bar.callback())
	bar.done()
	if err != nil {
		return r, err
	}
	r.Proof = string(p.Text())
	return r, nil
}

// outputFor puts the number of a record into the name of its file, if there are several.
func outputFor(path string, seq uint64, records int) string {
	if records == 1 {
		return path
	}
	ext := filepath.Ext(path)
	return strings.TrimSuffix(path, ext) + "-" + strconv.FormatUint(seq, 10) + ext
}
