package attest

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"unsafe"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/internal/memfd"
)

// An arena is sealed memory that parts of a definition were moved to. What lies in it cannot
// change, so that a frame holds where a part lies instead of the part: that is what keeps
// the check of a large definition as cheap as that of a small one. The zero arena holds
// nothing.
//
// It is sound because the memory is a shared read-only mapping of a sealed memfd, which
// nothing in the process can make writable, and because whoever changes a definition
// otherwise than in place has to store another address or length in it, which the frame
// shows.
type arena []region

// A region is one mapping.
type region struct{ base, size uintptr }

// least is how long a part must be to be moved, in bytes.
const least = 256

// find returns the address of n bytes that lie in the arena.
func (a arena) find(p unsafe.Pointer, n int) (address uint64, ok bool) {
	if n < least {
		return 0, false
	}
	for _, r := range a {
		at := uintptr(p) - r.base // wraps around below the region
		if at < r.size && uintptr(n) <= r.size-at {
			return uint64(uintptr(p)), true
		}
	}
	return 0, false
}

// texts are the parts that were moved so far, by their digests. The SDK's definitions point
// into the memory, which the garbage collector does not know: it stays until the process
// ends. So equal parts share it, and a program that makes a server for each session neither
// gathers mappings nor moves a definition that its servers share away from where the first
// of them has sealed it.
var texts struct {
	sync.Mutex
	known map[[sha256.Size]byte]moved
}

// A moved is where a part lies.
type moved struct {
	at unsafe.Pointer
	in region
}

// moveTools moves what is long in the definitions into sealed memory. Where there is none
// everything stays where it is and is hashed for every call.
func moveTools(tools map[string]*sealedTool) (faults []error) {
	texts.Lock()
	defer texts.Unlock()
	if err := keepTexts(tools); err != nil {
		return nil
	}
	for _, t := range tools {
		var memory arena
		eachPart(t.live, func(part []byte) (unsafe.Pointer, bool) {
			to, known := texts.known[sha256.Sum256(part)] // not if it changed meanwhile, which shows below
			if known && !slices.Contains(memory, to.in) {
				memory = append(memory, to.in)
			}
			return to.at, known
		})
		if err := t.moved(memory); err != nil {
			faults = append(faults, fmt.Errorf("tool %q: %w", t.name, err))
		}
	}
	return faults
}

// keepTexts makes sealed copies of the parts that have none. The lock is held.
func keepTexts(tools map[string]*sealedTool) error {
	var text []byte
	fresh := make(map[[sha256.Size]byte][2]int) // where in text
	for _, t := range tools {
		eachPart(t.live, func(part []byte) (unsafe.Pointer, bool) {
			sum := sha256.Sum256(part)
			_, known := texts.known[sum]
			if _, twice := fresh[sum]; !known && !twice {
				fresh[sum] = [2]int{len(text), len(text) + len(part)}
				text = append(text, part...)
			}
			return nil, false
		})
	}
	if len(text) == 0 {
		return nil
	}
	blob, err := memfd.Copy("mcpsec-definitions", text)
	if err != nil {
		return err
	}
	blob.Keep()
	sealed := blob.Bytes()
	in := region{uintptr(unsafe.Pointer(unsafe.SliceData(sealed))), uintptr(len(sealed))} //nolint:gosec // an address to compare with
	if texts.known == nil {
		texts.known = make(map[[sha256.Size]byte]moved)
	}
	for sum, at := range fresh {
		part := sealed[at[0]:at[1]]
		if sha256.Sum256(part) == sum { // of what was read twice, and may have changed
			texts.known[sum] = moved{unsafe.Pointer(unsafe.SliceData(part)), in} //nolint:gosec // mapped until the process ends
		}
	}
	return nil
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
		if at, ok := move([]byte(*s)); ok && at != unsafe.Pointer(unsafe.StringData(*s)) { //nolint:gosec // an address to compare
			*s = unsafe.String((*byte)(at), len(*s)) //nolint:gosec // memory that cannot change
		}
	}
	schema := func(v *any) {
		if raw, ok := (*v).(json.RawMessage); ok && len(raw) >= least {
			if at, ok := move(raw); ok && at != unsafe.Pointer(unsafe.SliceData(raw)) { //nolint:gosec // see above
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
