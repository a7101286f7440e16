package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"golang.org/x/mod/sumdb/note"
)

// VerifyOptions say what to believe.
type VerifyOptions struct {
	// Keys are those whose checkpoints count. Without any, those of the public key
	// file in the folder do, which proves nothing against whoever can write there.
	Keys []note.Verifier
	// Anchors are signed checkpoints that were kept elsewhere. The log must hold the
	// same records as when each of them was signed.
	Anchors []string
	// Progress is told from time to time how many bytes of all have been read.
	Progress func(done, total int64)
}

// A Report is what a verification has found.
type Report struct {
	Origin      string
	First       uint64 // number of the first record that is still there
	Records     uint64 // size of the log: the number of the next record
	Segments    int
	Checkpoints int
	Bytes       int64
	// Signed is how many records the last good checkpoint covers. Those after it can
	// be changed or cut off by anyone who can write to the folder.
	Signed uint64
	// Anchored is how many records the last good anchor covers. Those after it can be
	// changed or cut off by whoever has the signing key as well.
	Anchored uint64
	// Torn is how many bytes of an unfinished line end the log: a process is writing
	// it, or was ended while it did.
	Torn int64
	// Lost is how many records the log says were lost before they reached it.
	Lost uint64
	// Faults are what is wrong; none if the log is as it was written. The first one
	// names the first bad record. What comes after it has not been checked.
	Faults []Fault
}

// A Fault is a place at which the log is not what was written.
type Fault struct {
	Seq     uint64 // number of the record
	Segment string // file
	Offset  int64  // of the line in it, in bytes
	Reason  string
}

// Verify reads a whole log and compares it with its signatures, and with anchors.
// It returns an error only if it could not do so; what it finds wrong is in the
// report. Its memory does not grow with the log. It can run beside the writer.
func Verify(ctx context.Context, dir string, o VerifyOptions) (*Report, error) {
	keys := o.Keys
	if len(keys) == 0 {
		var err error
		if keys, err = ReadKeys(filepath.Join(dir, PublicKeyFile)); err != nil {
			return nil, err
		}
	}
	v := &verifier{ctx: ctx, keys: keys, hash: newLeafHasher(), report: &Report{}, progress: o.Progress}
	for i, text := range o.Anchors {
		h, err := openHead(text, keys)
		if err != nil {
			return nil, fmt.Errorf("ledger: anchor %d: %w", i+1, err)
		}
		v.anchors = append(v.anchors, h)
	}
	slices.SortStableFunc(v.anchors, func(a, b head) int { return int(a.size) - int(b.size) }) //nolint:gosec // less than 2^63
	s, err := Scan(dir, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = s.Close() }() // nothing was written
	if v.total, err = v.weigh(dir); err != nil {
		return nil, err
	}
	if err := v.run(s); err != nil {
		return nil, err
	}
	return v.report, nil
}

type verifier struct {
	ctx      context.Context //nolint:containedctx // of one call of Verify
	keys     []note.Verifier
	anchors  []head // still to be compared, the smallest first
	hash     *leafHasher
	tree     tree
	before   Line   // the line before, without its text
	pruned   uint64 // up to where the log says that it was pruned
	report   *Report
	progress func(done, total int64)
	total    int64
}

func (v *verifier) weigh(dir string) (total int64, err error) {
	names, err := segments(dir)
	if err != nil {
		return 0, fmt.Errorf("ledger: %w", err)
	}
	for _, name := range names {
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil {
			total += info.Size()
		}
	}
	return total, nil
}

// progressEvery is how many lines lie between two looks at context and progress.
const progressEvery = 8192

func (v *verifier) run(s *Scanner) error {
	r := v.report
	for n := 0; ; n++ {
		if n%progressEvery == 0 {
			if err := v.ctx.Err(); err != nil {
				return err
			}
			if v.progress != nil {
				v.progress(r.Bytes, v.total)
			}
		}
		l, err := s.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if errors.Is(err, errLong) {
			r.Records = v.tree.size
			r.Faults = append(r.Faults, Fault{v.tree.size, s.name, s.off, errLong.Error()})
			return nil
		}
		if err != nil {
			return err
		}
		if seq, why := v.line(&l); why != "" {
			r.Records = v.tree.size
			r.Faults = append(r.Faults, Fault{seq, l.Segment, l.Offset, why})
			return nil
		}
		r.Bytes += int64(len(l.Text)) + 1
		v.before = Line{Kind: l.Kind, Segment: l.Segment, Offset: l.Offset}
	}
	r.Records, r.Torn = v.tree.size, s.Rest()
	v.end()
	if v.progress != nil {
		v.progress(v.total, v.total)
	}
	return nil
}

// end judges what is not there.
func (v *verifier) end() {
	r := v.report
	fault := func(seq uint64, why string) {
		r.Faults = append(r.Faults, Fault{seq, v.before.Segment, v.before.Offset, why})
	}
	if len(v.anchors) > 0 {
		fault(v.tree.size, fmt.Sprintf("the log ends here, and an anchor covers %d records: the end was cut off", v.anchors[0].size))
	}
	if r.First > v.pruned {
		fault(0, fmt.Sprintf("the records before %d are missing, and no record says that they were pruned", r.First))
	}
}

// line checks one line. It returns what is wrong with which record.
func (v *verifier) line(l *Line) (uint64, string) {
	if r := v.report; l.Offset == 0 {
		if l.Kind != Header {
			return v.tree.size, "the segment has no header"
		}
		r.Segments++
		return v.header(l)
	}
	switch l.Kind {
	case Checkpoint:
		return v.checkpoint(l)
	case Record:
		return v.record(l)
	default:
		return v.tree.size, "the line is no record"
	}
}

func (v *verifier) header(l *Line) (uint64, string) {
	r := v.report
	h, err := parseHeader(l.Text)
	if err != nil {
		return v.tree.size, err.Error()
	}
	claimed, err := h.tree()
	if err != nil {
		return v.tree.size, err.Error()
	}
	if named, _ := segmentFirst(l.Segment); named != h.First {
		return v.tree.size, fmt.Sprintf("the file's name and its header (%d) do not agree", h.First)
	}
	if r.Segments == 1 {
		r.Origin, r.First = h.Origin, h.First
		v.tree = claimed // the next checkpoint covers it
		for len(v.anchors) > 0 && v.anchors[0].size < h.First {
			v.anchors = v.anchors[1:] // its records have been pruned
		}
		return v.anchored()
	}
	switch {
	case h.Origin != r.Origin:
		return h.First, fmt.Sprintf("the segment belongs to another log, %q", h.Origin)
	case h.First > v.tree.size:
		return v.tree.size, fmt.Sprintf("records %d to %d are missing", v.tree.size, h.First-1)
	case h.First < v.tree.size:
		return h.First, "the segment begins with records that the one before it holds"
	case !claimed.equal(&v.tree):
		return lastOf(v.tree.size), "the record before the segment is not the one that it was begun after"
	}
	return 0, ""
}

func lastOf(size uint64) uint64 { return max(size, 1) - 1 }

func (v *verifier) checkpoint(l *Line) (uint64, string) {
	r := v.report
	err := v.tree.confirm(l.Checkpoint, r.Origin, v.keys)
	switch {
	case errors.Is(err, errRoot) && max(r.Signed, r.First) < v.tree.size:
		from := max(r.Signed, r.First)
		return from, fmt.Sprintf("of the records %d to %d, at least one is not what was signed", from, lastOf(v.tree.size))
	case errors.Is(err, errMissing):
		return v.tree.size, err.Error()
	case err != nil:
		return lastOf(v.tree.size), err.Error()
	}
	r.Checkpoints++
	r.Signed = v.tree.size
	return 0, ""
}

func (v *verifier) record(l *Line) (uint64, string) {
	at := v.tree.size
	switch err := v.tree.accept(l.Text, v.hash); {
	case errors.Is(err, errLink):
		return lastOf(at), fmt.Sprintf("the record is not the one that record %d was written after", at)
	case err != nil:
		return at, err.Error()
	}
	v.listen(l.Text)
	return v.anchored()
}

// listen takes what the log says of itself from its own records.
func (v *verifier) listen(record []byte) {
	if !bytes.Contains(record[:min(len(record), 160)], []byte(`,"event":"`)) {
		return
	}
	switch eventOf(record) {
	case eventGap:
		v.report.Lost += numberAfter(record, `,"count":`)
	case eventPruned:
		v.pruned = max(v.pruned, numberAfter(record, `"next":"`))
	}
}

// eventOf returns the value of a record's event member, which comes third or
// fourth.
func eventOf(record []byte) string {
	head := record[:min(len(record), 160)]
	_, after, ok := bytes.Cut(head, []byte(`,"event":"`))
	if !ok {
		return ""
	}
	name, _, ok := bytes.Cut(after, []byte{'"'})
	if !ok {
		return ""
	}
	return string(name)
}

// numberAfter returns the number behind the first appearance of a text.
func numberAfter(record []byte, text string) uint64 {
	_, after, ok := bytes.Cut(record, []byte(text))
	if !ok {
		return 0
	}
	i := 0
	for i < len(after) && after[i] >= '0' && after[i] <= '9' {
		i++
	}
	n, err := strconv.ParseUint(string(after[:i]), 10, 63)
	if err != nil {
		return 0
	}
	return n
}

// anchored compares the tree with the anchors of its size.
func (v *verifier) anchored() (uint64, string) {
	r := v.report
	for len(v.anchors) > 0 && v.anchors[0].size == v.tree.size {
		a := v.anchors[0]
		if a.origin != r.Origin {
			return lastOf(a.size), fmt.Sprintf("the anchor is of another log, %q", a.origin)
		}
		if a.root != v.tree.root() {
			return max(r.Anchored, r.First), fmt.Sprintf("of the records %d to %d, at least one is not what the anchor was signed for: the log was rewritten", max(r.Anchored, r.First), lastOf(a.size))
		}
		r.Anchored = a.size
		v.anchors = v.anchors[1:]
	}
	return 0, ""
}
