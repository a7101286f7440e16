package ledger

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"slices"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// A tree is the Merkle tree of RFC 6962, section 2.1, over the records so far, as
// far as one has to remember to go on: the roots of its complete subtrees, the
// largest first. Its zero value is the empty tree. It is a value: a copy is a
// snapshot.
type tree struct {
	size  uint64
	roots [64]tlog.Hash // those of the bits set in size, from the highest
	used  int
	last  tlog.Hash // hash of the last leaf; zero for the empty tree
}

// push adds the hash of a leaf. It tells visit, if there is one, every node that it
// completes: the leaf is at level 0.
func (t *tree) push(leaf tlog.Hash, visit func(level int, n int64, h tlog.Hash)) {
	t.last = leaf
	h, n := leaf, t.size
	if visit != nil {
		visit(0, int64(n), h) //nolint:gosec // no log has 2^63 records
	}
	for level := 1; n&1 == 1; level++ {
		t.used--
		h = tlog.NodeHash(t.roots[t.used], h)
		n >>= 1
		if visit != nil {
			visit(level, int64(n), h)
		}
	}
	t.roots[t.used] = h
	t.used++
	t.size++
}

// root returns the hash of the whole tree.
func (t *tree) root() tlog.Hash {
	if t.used == 0 {
		return sha256.Sum256(nil)
	}
	h := t.roots[t.used-1]
	for i := t.used - 2; i >= 0; i-- {
		h = tlog.NodeHash(t.roots[i], h)
	}
	return h
}

// equal reports whether two trees are of the same records.
func (t *tree) equal(o *tree) bool {
	return t.size == o.size && t.last == o.last && slices.Equal(t.roots[:t.used], o.roots[:o.used])
}

// subtrees tells visit the nodes that the tree remembers.
func (t *tree) subtrees(visit func(level int, n int64, h tlog.Hash)) {
	i, start := 0, uint64(0)
	for level := 63; level >= 0; level-- {
		if t.size>>level&1 == 1 {
			visit(level, int64(start>>level), t.roots[i]) //nolint:gosec // less than 2^63
			start += 1 << level
			i++
		}
	}
}

// A leafHasher hashes records as leaves, without an allocation each.
type leafHasher struct {
	sha hash.Hash
	sum tlog.Hash
}

func newLeafHasher() *leafHasher { return &leafHasher{sha: sha256.New()} }

var leafPrefix = []byte{0}

func (l *leafHasher) leaf(line []byte) tlog.Hash {
	l.sha.Reset()
	_, _ = l.sha.Write(leafPrefix) // a hash.Hash never fails
	_, _ = l.sha.Write(line)
	l.sha.Sum(l.sum[:0])
	return l.sum
}

// accept adds a record line to the tree if it is the one that follows.
func (t *tree) accept(line []byte, leaves *leafHasher) error {
	seq, prev, ok := parseRecord(line)
	switch {
	case !ok, bytes.IndexByte(line, 0) >= 0: // a block that was never written
		return errors.New("the line is no record")
	case seq != t.size:
		return fmt.Errorf("the line is record %d, and record %d belongs here", seq, t.size)
	case !bytes.Equal(prev[:], t.last[:prevBytes]):
		return errLink
	}
	t.push(leaves.leaf(line), nil)
	return nil
}

var errLink = errors.New("the record before it is not the one that it was written after")

// confirm compares the tree with a checkpoint of it.
func (t *tree) confirm(text, origin string, keys []note.Verifier) error {
	h, err := openHead(text, keys)
	switch {
	case err != nil:
		return err
	case h.origin != origin:
		return fmt.Errorf("the checkpoint is of another log, %q", h.origin)
	case h.size > t.size:
		return fmt.Errorf("%w: the checkpoint covers %d records, and %d are here", errMissing, h.size, t.size)
	case h.size < t.size:
		return fmt.Errorf("the checkpoint covers %d records, and %d are here", h.size, t.size)
	case h.root != t.root():
		return errRoot
	}
	return nil
}

var (
	errRoot    = errors.New("the records are not those that were signed")
	errMissing = errors.New("a record is missing")
)
