package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/mcpsec/mcpsec-go/audit/ledger"
)

const auditVerifyHelp = `Read the whole ledger and check every hash, every checkpoint and every signature. Memory
does not grow with the ledger. The exit code is 1 if anything is wrong, and the first bad
record is named.

What the answer is worth depends on what it is compared with:
  anchored  covered by a checkpoint you keep elsewhere (--anchor): nobody can have changed
            it since that checkpoint left the machine
  signed    covered by a checkpoint in the folder only: changed only by who has the key
  neither   written after the last checkpoint: the hashes fit together, and whoever may
            write to the folder could have cut or made them
Without --key the public key is read from the folder itself, which proves nothing against
who can write there.

Members with --json:
  schema      1; a higher number when a member changes its meaning
  ok          true if nothing is wrong
  origin      name of the ledger
  first, records, segments, checkpoints, bytes
  anchored, signed, neither   number of records that are so, each counted once
  lost        number of records that the log says were lost before they reached it
  torn        bytes of an unfinished last line: a write under way, or cut short by a crash
  key         "given" (--key) or "folder"
  faults      list, empty if nothing is wrong; each with seq, segment, offset, reason`

func newAuditVerify(a *app) *cobra.Command {
	var dir, save string
	var trust auditTrust
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Check that the record is whole and unchanged",
		Long:  auditVerifyHelp,
		Example: `  mcpsec audit verify
  mcpsec audit verify --dir /var/lib/files/audit --key audit.pub
  mcpsec audit verify --save checkpoint-monday.txt
  mcpsec audit verify --anchor checkpoint-monday.txt --anchor checkpoint-tuesday.txt --key audit.pub`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v, err := trust.verify(cmd.Context(), dir, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			if err := a.emit(cmd, v, v.text(colourful(cmd.OutOrStdout(), os.Getenv))); err != nil {
				return err
			}
			if err := v.err(); err != nil || save == "" {
				return err
			}
			text, err := lastCheckpoint(cmd.Context(), dir, v.signedSize)
			if err != nil {
				return err
			}
			return writePrivate(save, []byte(text))
		},
	}
	dirFlag(cmd, &dir)
	cmd.Flags().StringVar(&save, "save", "", "file to write the last checkpoint to, if nothing is wrong: keep it elsewhere, as a later --anchor")
	trust.flags(cmd)
	return cmd
}

// A verification is what verify prints; its members are those of the JSON form.
type verification struct {
	Schema      int          `json:"schema"`
	OK          bool         `json:"ok"`
	Origin      string       `json:"origin"`
	First       uint64       `json:"first"`
	Records     uint64       `json:"records"` // that are there, from First on
	Segments    int          `json:"segments"`
	Checkpoints int          `json:"checkpoints"`
	Bytes       int64        `json:"bytes"`
	Anchored    uint64       `json:"anchored"`
	Signed      uint64       `json:"signed"`
	Neither     uint64       `json:"neither"`
	Lost        uint64       `json:"lost"`
	Torn        int64        `json:"torn"`
	Key         string       `json:"key"`
	Faults      []auditFault `json:"faults"`

	signedSize uint64 // what the last good checkpoint covers, counted from record 0
}

type auditFault struct {
	Seq     uint64 `json:"seq"`
	Segment string `json:"segment"`
	Offset  int64  `json:"offset"`
	Reason  string `json:"reason"`
}

func newVerification(r *ledger.Report, keyGiven, anchorGiven bool) *verification {
	v := &verification{
		Schema: 1, Origin: r.Origin, First: r.First, Records: r.Records - min(r.Records, r.First), Segments: r.Segments,
		Checkpoints: r.Checkpoints, Bytes: r.Bytes, Lost: r.Lost, Torn: r.Torn, Key: "folder", Faults: []auditFault{},
	}
	if keyGiven {
		v.Key = "given"
	}
	v.signedSize = r.Signed
	// The ledger counts from record 0 on, also when the first segments are gone.
	held := func(covered uint64) uint64 { return min(covered-min(covered, r.First), v.Records) }
	v.Anchored = held(r.Anchored)
	v.Signed = max(held(r.Signed), v.Anchored) - v.Anchored
	v.Neither = v.Records - v.Anchored - v.Signed
	for _, f := range r.Faults {
		v.Faults = append(v.Faults, auditFault(f))
	}
	if anchorGiven && r.Anchored == 0 && len(v.Faults) == 0 {
		v.Faults = append(v.Faults, auditFault{Reason: "no checkpoint given with --anchor covers a record of this ledger"})
	}
	v.OK = len(v.Faults) == 0
	return v
}

func (v *verification) err() error {
	switch {
	case v.OK:
		return nil
	case len(v.Faults) == 1:
		return errors.New("the record is not what was written: 1 fault")
	}
	return fmt.Errorf("the record is not what was written: %d faults", len(v.Faults))
}

func (v *verification) text(colours bool) string {
	var b bytes.Buffer
	label := paint("ok  ", statusOK.colour(), colours)
	if !v.OK {
		label = paint("fail", statusFail.colour(), colours)
	}
	fmt.Fprintf(&b, "%s  %s\n", label, shown(v.Origin, 200))
	align(&b, "  ", []row{
		{"records", v.held()},
		{"anchored", v.anchoredText()},
		{"signed", v.signedText()},
		{"neither", v.neitherText()},
	})
	if v.Lost > 0 {
		fmt.Fprintf(&b, "  %d records were lost before they reached the log: see mcpsec audit query --event gap\n", v.Lost)
	}
	if v.Torn > 0 {
		fmt.Fprintf(&b, "  %d bytes at the end are an unfinished line: a write under way, or one that a crash cut short\n", v.Torn)
	}
	for i, f := range v.Faults {
		if i == 20 {
			fmt.Fprintf(&b, "  and %d faults more\n", len(v.Faults)-i)
			break
		}
		begin := "then"
		if i == 0 {
			begin = "first fault"
		}
		fmt.Fprintf(&b, "  %s: %s\n", begin, f)
	}
	return b.String()
}

func (f auditFault) String() string {
	if f.Segment == "" {
		return shown(f.Reason, 500)
	}
	return fmt.Sprintf("record %d, in %s at byte %d: %s", f.Seq, shown(f.Segment, 100), f.Offset, shown(f.Reason, 500))
}

func (v *verification) held() string {
	if v.Records == 0 {
		return "none"
	}
	return fmt.Sprintf("%d, number %d to %d, in %s, %s; %s",
		v.Records, v.First, v.First+v.Records-1, plural(v.Segments, "segment"), size(v.Bytes), plural(v.Checkpoints, "checkpoint"))
}

func (v *verification) anchoredText() string {
	if v.Anchored == 0 {
		return "none: compare with a checkpoint kept elsewhere (--anchor) to rule out a rewrite"
	}
	return fmt.Sprintf("%d, up to number %d: unchanged since that checkpoint was taken away", v.Anchored, v.First+v.Anchored-1)
}

func (v *verification) signedText() string {
	s := fmt.Sprintf("%d more, covered by a checkpoint in the folder only", v.Signed)
	if v.Key == "folder" {
		s += "; the key is from the folder too, which proves nothing against who can write there (--key)"
	}
	return s
}

func (v *verification) neitherText() string {
	if v.Neither == 0 {
		return "0 at the end"
	}
	return fmt.Sprintf("%d at the end, after the last checkpoint: nothing vouches for them yet", v.Neither)
}
