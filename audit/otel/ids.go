package otel

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"

	"github.com/mcpsec/mcpsec-go/audit"
)

// An identity places a call in a trace.
type identity struct {
	trace, span, parent []byte // parent is nil at the root
	flags               uint32
	remote              bool // the parent is the caller's
}

// Flags of a span beside those of W3C: whether it is known that the parent is
// another process's, and whether it is.
const (
	remoteKnown = 1 << 8
	remoteYes   = 1 << 9
)

// identify derives the ids of a call from what the record knows of it, so that a
// record sent again is the same span again. The trace is the one the caller sent; a
// call without one, or made during another, has a trace derived from the outermost
// call's id.
func identify(e *audit.Event) identity {
	id := identity{span: spanID(e.ID, e.Round)}
	root := e.ID
	if e.Parent != "" {
		root, id.parent = e.Parent, spanID(e.Parent, 0)
	}
	if trace := fromHex(e.Trace.ID, 16); trace != nil {
		id.trace = trace
		if span := fromHex(e.Trace.Span, 8); span != nil && id.parent == nil {
			id.parent, id.remote = span, true
		}
		if flags := fromHex(e.Trace.Flags, 1); flags != nil {
			id.flags = uint32(flags[0])
		}
		return id
	}
	sum := sha256.Sum256([]byte("mcpsec trace\x00" + root))
	id.trace = sum[:16]
	return id
}

func spanID(call string, round int) []byte {
	sum := sha256.Sum256([]byte("mcpsec span\x00" + strconv.Itoa(round) + "\x00" + call))
	return sum[:8]
}

// fromHex reads exactly n bytes, which must not all be zero unless it is one.
func fromHex(s string, n int) []byte {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != n {
		return nil
	}
	for _, c := range b {
		if c != 0 || n == 1 {
			return b
		}
	}
	return nil
}
