package attest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"unsafe"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/attest/internal/memfd"
)

// An arena is sealed memory that parts of definitions were moved to. What lies in it cannot
// change, so that a frame holds where a part lies instead of the part: that is what keeps
// the check of a large definition as cheap as that of a small one. The zero arena holds
// nothing.
//
// It is sound because the memory is a shared read-only mapping of a sealed memfd, which
// nothing in the process can make writable, and because whoever changes a definition
// otherwise than in place has to store another address or length in it, which the frame
// shows.
type arena struct{ base, size uintptr }

// least is how long a part must be to be moved, in bytes.
const least = 256

// find returns where in the arena n bytes at an address lie.
func (a arena) find(p unsafe.Pointer, n int) (offset uint64, ok bool) {
	at := uintptr(p) - a.base // wraps around below the arena
	return uint64(at), n >= least && at < a.size && uintptr(n) <= a.size-at
}

// moveTools moves what is long in the definitions into one arena. Where there is no sealed
// memory everything stays where it is and is hashed for every call.
func moveTools(tools map[string]*sealedTool) (faults []error) {
	var text []byte
	order := slices.Collect(maps.Values(tools)) // both passes meet them in one order
	for _, t := range order {
		eachPart(t.live, func(part []byte) (unsafe.Pointer, bool) {
			text = append(text, part...)
			return nil, false
		})
	}
	if len(text) == 0 {
		return nil
	}
	blob, err := memfd.Copy("mcpsec-definitions", text)
	if err != nil {
		return nil
	}
	// The SDK's definitions will point into the memory, which the garbage collector does
	// not know: it stays until the process ends.
	blob.Keep()
	sealed := blob.Bytes()
	memory := arena{uintptr(unsafe.Pointer(unsafe.SliceData(sealed))), uintptr(len(sealed))} //nolint:gosec // an address to compare with
	for _, t := range order {
		eachPart(t.live, func(part []byte) (unsafe.Pointer, bool) {
			if len(part) > len(sealed) { // it grew meanwhile, which shows below
				return nil, false
			}
			at := unsafe.Pointer(unsafe.SliceData(sealed)) //nolint:gosec // mapped until the process ends
			sealed = sealed[len(part):]
			return at, true
		})
		if err := t.moved(memory); err != nil {
			faults = append(faults, fmt.Errorf("tool %q: %w", t.name, err))
		}
	}
	return faults
}

// moved makes sure that nothing but the place of the definition's parts changed.
func (s *sealedTool) moved(memory arena) error {
	s.memory = memory
	now, err := sumTool(s.live, memory, maxFrame)
	whole, errWhole := sumTool(s.live, arena{}, maxFrame)
	digest, errDigest := Digest(s.live)
	if err := errors.Join(err, errWhole, errDigest); err != nil {
		return err
	}
	if whole != s.whole || digest != s.digest {
		return errMoved
	}
	s.now = now
	return nil
}

// eachPart calls move with the long parts of a definition, always in the same order, and
// lets it put equal bytes elsewhere in the place of each.
func eachPart(t *mcp.Tool, move func([]byte) (unsafe.Pointer, bool)) {
	text := func(s *string) {
		if len(*s) < least {
			return
		}
		if at, ok := move([]byte(*s)); ok {
			*s = unsafe.String((*byte)(at), len(*s)) //nolint:gosec // memory that cannot change
		}
	}
	schema := func(v *any) {
		if raw, ok := (*v).(json.RawMessage); ok && len(raw) >= least {
			if at, ok := move(raw); ok {
				*v = json.RawMessage(unsafe.Slice((*byte)(at), len(raw))) //nolint:gosec // see above
			}
		}
	}
	text(&t.Title)
	text(&t.Description)
	schema(&t.InputSchema)
	schema(&t.OutputSchema)
	for i := range t.Icons {
		text(&t.Icons[i].Source)
	}
}
