package ledger

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// A Proof shows to someone who does not have the log, and trusts only its key, that
// a record is in it (RFC 6962, section 2.1.1).
type Proof struct {
	Record     []byte // the line, without its end
	Index      uint64 // its number
	Hashes     tlog.RecordProof
	Checkpoint string // signed, of a tree that holds the record
}

// Prove makes a proof for a record, from the log's first checkpoint that covers it.
// It reads the log up to there. A record that no checkpoint covers yet cannot be
// proved; that takes a second at most while the log is open.
func Prove(ctx context.Context, dir string, seq uint64, progress func(done, total int64)) (*Proof, error) {
	p := &Proof{Index: seq}
	size, err := p.find(ctx, dir)
	if err != nil {
		return nil, err
	}
	if seq >= 1<<62 || size >= 1<<62 {
		return nil, fmt.Errorf("ledger: record %d is beyond what can be proved", seq)
	}
	r := &nodes{ctx: ctx, dir: dir, size: size, progress: progress}
	if p.Hashes, err = tlog.ProveRecord(int64(size), int64(seq), r); err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	return p, nil
}

// find reads the record and the first checkpoint after it.
func (p *Proof) find(ctx context.Context, dir string) (size uint64, err error) {
	s, err := Scan(dir, p.Index)
	if err != nil {
		return 0, err
	}
	defer func() { _ = s.Close() }() // nothing was written
	for n := 0; ; n++ {
		if n%progressEvery == 0 && ctx.Err() != nil {
			return 0, ctx.Err()
		}
		l, err := s.Next()
		switch {
		case errors.Is(err, io.EOF) && p.Record == nil:
			return 0, fmt.Errorf("ledger: %s holds no record %d", dir, p.Index)
		case errors.Is(err, io.EOF):
			return 0, fmt.Errorf("ledger: no checkpoint covers record %d yet: try again in a second, or once the log is closed", p.Index)
		case err != nil:
			return 0, err
		case l.Kind == Record && l.Seq == p.Index:
			p.Record = bytes.Clone(l.Text)
		case l.Kind == Record && p.Record == nil:
			return 0, fmt.Errorf("ledger: %s does not hold record %d any more: it begins with record %d", dir, p.Index, l.Seq)
		case l.Kind == Checkpoint && p.Record != nil && l.Seq > p.Index:
			p.Checkpoint = l.Checkpoint
			return l.Seq, nil
		}
	}
}

// nodes reads the hashes of a tree's nodes from the log.
type nodes struct {
	ctx      context.Context //nolint:containedctx // of one call of Prove
	dir      string
	size     uint64
	progress func(done, total int64)
}

// ReadHashes implements tlog.HashReader in one pass over the log.
func (r *nodes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	wanted := make(map[int64]*tlog.Hash, len(indexes))
	for _, i := range indexes {
		wanted[i] = nil
	}
	visit := func(level int, n int64, h tlog.Hash) {
		i := tlog.StoredHashIndex(level, n)
		if known, ok := wanted[i]; ok && known == nil {
			wanted[i] = &h
		}
	}
	if err := r.walk(visit); err != nil {
		return nil, err
	}
	hashes := make([]tlog.Hash, len(indexes))
	for k, i := range indexes {
		if wanted[i] == nil {
			return nil, errors.New("the log has changed while it was read, or its beginning has been pruned")
		}
		hashes[k] = *wanted[i]
	}
	return hashes, nil
}

func (r *nodes) walk(visit func(level int, n int64, h tlog.Hash)) error {
	s, err := Scan(r.dir, 0)
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }() // nothing was written
	var (
		t     tree
		hash  = newLeafHasher()
		first = true
	)
	for n := uint64(0); t.size < r.size || first; n++ {
		if n%progressEvery == 0 {
			if err := r.ctx.Err(); err != nil {
				return err
			}
			if r.progress != nil {
				r.progress(int64(t.size), int64(r.size)) //nolint:gosec // less than 2^62
			}
		}
		l, err := s.Next()
		if err != nil {
			return fmt.Errorf("record %d cannot be read: %w", t.size, err)
		}
		switch l.Kind {
		case Header:
			if !first {
				continue
			}
			h, err := parseHeader(l.Text)
			if err != nil {
				return err
			}
			if t, err = h.tree(); err != nil {
				return err
			}
			t.subtrees(visit)
			first = false
		case Record:
			if l.Seq != t.size {
				return fmt.Errorf("record %d stands where record %d belongs: verify the log", l.Seq, t.size)
			}
			t.push(hash.leaf(l.Text), visit)
		case Checkpoint, Garbage: // no leaves; the proof is checked against a signature
		}
	}
	return nil
}

// proofStart is the first line of a C2SP tlog-proof.
const proofStart = "c2sp.org/tlog-proof@v1"

// Text returns the proof as a C2SP tlog-proof, with the record as its extra data.
func (p *Proof) Text() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\nextra %s\nindex %d\n", proofStart, base64.StdEncoding.EncodeToString(p.Record), p.Index)
	for _, h := range p.Hashes {
		fmt.Fprintf(&b, "%s\n", h)
	}
	fmt.Fprintf(&b, "\n%s", p.Checkpoint)
	return b.Bytes()
}

// maxProof bounds the text of a proof in bytes: a record in base64, 63 hashes and a
// checkpoint.
const maxProof = 2*maxLine + 64<<10

// ParseProof reads what [Proof.Text] writes. It checks nothing but the form.
func ParseProof(text []byte) (*Proof, error) {
	if len(text) > maxProof {
		return nil, fmt.Errorf("ledger: a proof has at most %d bytes", maxProof)
	}
	body, checkpoint, ok := strings.Cut(string(text), "\n\n")
	lines := strings.Split(body, "\n")
	if !ok || len(lines) < 3 || lines[0] != proofStart {
		return nil, fmt.Errorf("ledger: not a proof: its first line is %q", proofStart)
	}
	extra, ok := strings.CutPrefix(lines[1], "extra ")
	if !ok {
		return nil, errors.New("ledger: the proof holds no record: its second line begins with \"extra\"")
	}
	p := &Proof{Checkpoint: checkpoint}
	var err error
	if p.Record, err = base64.StdEncoding.Strict().DecodeString(extra); err != nil {
		return nil, fmt.Errorf("ledger: the proof's record: %w", err)
	}
	index, ok := strings.CutPrefix(lines[2], "index ")
	if p.Index, err = strconv.ParseUint(index, 10, 62); !ok || err != nil || strconv.FormatUint(p.Index, 10) != index {
		return nil, errors.New("ledger: the proof's third line is its index")
	}
	if len(lines)-3 > 63 {
		return nil, errors.New("ledger: no proof has that many hashes")
	}
	for _, line := range lines[3:] {
		h, err := parseHash(line)
		if err != nil {
			return nil, fmt.Errorf("ledger: the proof's hashes: %w", err)
		}
		p.Hashes = append(p.Hashes, h)
	}
	return p, nil
}

// Check returns nil if the record is in the log that one of the keys signs for. What
// the record says, and when it was written, the proof does not vouch for: whoever
// has the key can sign anything once.
func (p *Proof) Check(keys ...note.Verifier) error {
	h, err := openHead(p.Checkpoint, keys)
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	if p.Index >= h.size || h.size >= 1<<62 {
		return fmt.Errorf("ledger: the checkpoint covers %d records, and this is record %d", h.size, p.Index)
	}
	if err := tlog.CheckRecord(p.Hashes, int64(h.size), h.root, int64(p.Index), newLeafHasher().leaf(p.Record)); err != nil { //nolint:gosec // less than 2^62
		return errors.New("ledger: the record is not in the log that was signed")
	}
	if seq, _, ok := parseRecord(p.Record); !ok || seq != p.Index {
		return errors.New("ledger: the record does not have the number that the proof names")
	}
	return nil
}
