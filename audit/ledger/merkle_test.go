package ledger

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/tlog"
)

// stored keeps all nodes of a tree, to make proofs of any size from.
type stored map[int64]tlog.Hash

func (s stored) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		h, ok := s[index]
		if !ok {
			return nil, fmt.Errorf("no hash %d", index)
		}
		hashes[i] = h
	}
	return hashes, nil
}

func hashesOf[T ~[]tlog.Hash](p T) [][]byte {
	var all [][]byte
	for _, h := range p {
		all = append(all, bytes.Clone(h[:]))
	}
	return all
}

// Roots, inclusion and consistency are what an implementation of others says.
func TestTreeAgreesWithAnotherImplementation(t *testing.T) {
	t.Parallel()
	const (
		all  = 130
		most = 3000
	)
	var (
		ours   tree
		roots  = []tlog.Hash{ours.root()}
		nodes  = make(stored)
		hasher = rfc6962.DefaultHasher
		theirs = (&compact.RangeFactory{Hash: hasher.HashChildren}).NewEmptyRange(0)
		hash   = newLeafHasher()
		leaves [][]byte
	)
	if !bytes.Equal(roots[0][:], hasher.EmptyRoot()) {
		t.Error("the root of nothing is another one")
	}
	for n := range most {
		line := appendRecord(nil, ours.size, &ours.last, object(fmt.Sprint(n)))
		leaf := hash.leaf(line)
		if !bytes.Equal(leaf[:], hasher.HashLeaf(line)) {
			t.Fatalf("leaf %d differs", n)
		}
		leaves = append(leaves, hasher.HashLeaf(line))
		ours.push(leaf, func(level int, n int64, h tlog.Hash) { nodes[tlog.StoredHashIndex(level, n)] = h })
		if err := theirs.Append(hasher.HashLeaf(line), nil); err != nil {
			t.Fatal(err)
		}
		want, err := theirs.GetRootHash(nil)
		root := ours.root()
		if err != nil || !bytes.Equal(root[:], want) {
			t.Fatalf("the roots of %d records differ: %v", n+1, err)
		}
		roots = append(roots, root)
	}
	inclusion := func(size, index int) {
		p, err := tlog.ProveRecord(int64(size), int64(index), nodes)
		if err != nil {
			t.Fatal(err)
		}
		check := func(leaf, root []byte) error {
			return proof.VerifyInclusion(hasher, uint64(index), uint64(size), leaf, hashesOf(p), root)
		}
		if err := check(leaves[index], roots[size][:]); err != nil {
			t.Fatalf("record %d of %d: %v", index, size, err)
		}
		if check(leaves[(index+1)%most], roots[size][:]) == nil {
			t.Fatalf("record %d of %d: another record is proved as well", index, size)
		}
	}
	consistency := func(from, to int) {
		p, err := tlog.ProveTree(int64(to), int64(from), nodes)
		if err != nil {
			t.Fatal(err)
		}
		check := func(root []byte) error {
			return proof.VerifyConsistency(hasher, uint64(from), uint64(to), hashesOf(p), roots[from][:], root)
		}
		if err := check(roots[to][:]); err != nil {
			t.Fatalf("%d to %d: %v", from, to, err)
		}
		if from < to && check(roots[to-1][:]) == nil {
			t.Fatalf("%d to %d: another tree is proved as well", from, to)
		}
	}
	for size := 1; size <= all; size++ {
		for i := range size {
			inclusion(size, i)
			consistency(i+1, size)
		}
	}
	for range 500 {
		size := all + rand.IntN(most-all)
		inclusion(size, rand.IntN(size))
		consistency(1+rand.IntN(size), size)
	}
}

// What the ledger itself proves, others accept: of every record of a log in several
// segments.
func TestProofsAreAcceptedByAnotherImplementation(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	l := start(t, dir, Options{SegmentBytes: 2 << 10})
	put(t, l, 0, 131)
	put(t, l, 131, 200)
	stop(t, l)
	for seq := range uint64(200) {
		p, err := Prove(t.Context(), dir, seq, nil)
		if err != nil {
			t.Fatal(err)
		}
		h, err := openHead(p.Checkpoint, verifiers(l))
		if err != nil {
			t.Fatal(err)
		}
		hasher := rfc6962.DefaultHasher
		if err := proof.VerifyInclusion(hasher, seq, h.size, hasher.HashLeaf(p.Record), hashesOf(p.Hashes), h.root[:]); err != nil {
			t.Errorf("record %d: %v", seq, err)
		}
	}
}
