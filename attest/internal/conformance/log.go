package conformance

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"math/bits"
	"sync"
	"testing"
	"time"

	common "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	rekorv1 "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	rekornote "github.com/sigstore/rekor-tiles/v2/pkg/note"
	rekorutil "github.com/sigstore/rekor/pkg/util"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	"github.com/sigstore/sigstore/pkg/signature"
	formats "github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"

	"github.com/mcpsec/mcpsec-go/internal/jcs"
)

// A Log is a transparency log, of Rekor v1 or v2.
type Log struct {
	Host string

	tb  testing.TB
	key *ecdsa.PrivateKey
	v1  bool

	mu     sync.Mutex
	leaves [][]byte // hashes
}

// treeID is the number that a log of Rekor v1 has in its origin.
const treeID = 1193050959916656506

func newLog(tb testing.TB, host string, v1 bool) *Log {
	tb.Helper()
	l := &Log{Host: host, tb: tb, key: newKey(tb), v1: v1}
	for _, other := range []string{"somebody", "else's", "entries"} {
		l.leaves = append(l.leaves, rfc6962.DefaultHasher.HashLeaf([]byte(other)))
	}
	return l
}

// ID is the name of the log's key in a trusted root.
func (l *Log) ID() string { return logID(l.tb, l.key) }

// Add appends an entry and returns the proof of it.
func (l *Log) Add(kind, version string, body []byte, at time.Time) *rekorv1.TransparencyLogEntry {
	l.tb.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	index := len(l.leaves)
	l.leaves = append(l.leaves, rfc6962.DefaultHasher.HashLeaf(body))
	id, err := hex.DecodeString(l.ID())
	if err != nil {
		l.tb.Fatal(err)
	}
	e := &rekorv1.TransparencyLogEntry{
		LogIndex: int64(index), LogId: &common.LogId{KeyId: id}, KindVersion: &rekorv1.KindVersion{Kind: kind, Version: version},
		CanonicalizedBody: body,
		InclusionProof: &rekorv1.InclusionProof{
			LogIndex: int64(index), TreeSize: int64(len(l.leaves)), RootHash: treeHash(l.leaves), Hashes: path(index, l.leaves),
			Checkpoint: &rekorv1.Checkpoint{Envelope: l.checkpoint()},
		},
	}
	if l.v1 {
		e.LogIndex += 1000 // entries of older trees come before
		e.IntegratedTime = at.Unix()
		e.InclusionPromise = &rekorv1.InclusionPromise{SignedEntryTimestamp: l.promise(e)}
	}
	return e
}

func (l *Log) checkpoint() string {
	l.tb.Helper()
	s, err := signature.LoadECDSASignerVerifier(l.key, crypto.SHA256)
	if err != nil {
		l.tb.Fatal(err)
	}
	size, hash := uint64(len(l.leaves)), treeHash(l.leaves)
	if l.v1 {
		cp, err := rekorutil.CreateAndSignCheckpoint(context.Background(), l.Host, treeID, size, hash, s)
		if err != nil {
			l.tb.Fatal(err)
		}
		return string(cp)
	}
	ns, err := rekornote.NewNoteSigner(context.Background(), l.Host, s)
	if err != nil {
		l.tb.Fatal(err)
	}
	cp, err := note.Sign(&note.Note{Text: string(formats.Checkpoint{Origin: l.Host, Size: size, Hash: hash}.Marshal())}, ns)
	if err != nil {
		l.tb.Fatal(err)
	}
	return string(cp)
}

// promise is the signed entry timestamp of Rekor v1.
func (l *Log) promise(e *rekorv1.TransparencyLogEntry) []byte {
	l.tb.Helper()
	data, err := json.Marshal(tlog.RekorPayload{
		Body: base64.StdEncoding.EncodeToString(e.GetCanonicalizedBody()), IntegratedTime: e.GetIntegratedTime(),
		LogIndex: e.GetLogIndex(), LogID: l.ID(),
	})
	if err != nil {
		l.tb.Fatal(err)
	}
	if data, err = jcs.Append(nil, data); err != nil {
		l.tb.Fatal(err)
	}
	s, err := signature.LoadECDSASigner(l.key, crypto.SHA256)
	if err != nil {
		l.tb.Fatal(err)
	}
	sig, err := s.SignMessage(bytes.NewReader(data))
	if err != nil {
		l.tb.Fatal(err)
	}
	return sig
}

// treeHash and path are MTH and PATH of RFC 6962, 2.1.
func treeHash(leaves [][]byte) []byte {
	if len(leaves) == 1 {
		return leaves[0]
	}
	k := split(len(leaves))
	return rfc6962.DefaultHasher.HashChildren(treeHash(leaves[:k]), treeHash(leaves[k:]))
}

func path(i int, leaves [][]byte) [][]byte {
	if len(leaves) == 1 {
		return nil
	}
	k := split(len(leaves))
	if i < k {
		return append(path(i, leaves[:k]), treeHash(leaves[k:]))
	}
	return append(path(i-k, leaves[k:]), treeHash(leaves[:k]))
}

// split is the largest power of two below n.
func split(n int) int { return 1 << (bits.Len(uint(n-1)) - 1) }
