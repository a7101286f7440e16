package attest

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"unsafe"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// A framer lays a live definition out in memory so that two different ones never
// give the same bytes: every part is preceded by a tag, and every string and list
// by its length. That is all a comparison within one process needs, and it costs a
// twentieth of what the canonical form of [Digest] does.
//
// The layout is not an interface: it never leaves the process.
type framer struct {
	buf    []byte
	limit  int
	memory arena
	err    error
}

// A sum identifies a frame.
type sum struct {
	hash [sha256.Size]byte
	size int
}

var framers = sync.Pool{New: func() any { return &framer{buf: make([]byte, 0, 4096)} }}

// sumTool frames and hashes a definition. It gives up above limit bytes, so that
// a definition that grew without bound costs nothing to refuse. What lies in memory
// is framed by its place.
func sumTool(t *mcp.Tool, memory arena, limit int) (sum, error) {
	f := framers.Get().(*framer) //nolint:forcetypeassert // the pool holds nothing else
	defer framers.Put(f)
	f.buf, f.limit, f.memory, f.err = f.buf[:0], limit, memory, nil
	f.tool(t)
	return f.sum()
}

// sumServer does the same for what a server says of itself.
func sumServer(impl *mcp.Implementation, instructions string, limit int) (sum, error) {
	f := framers.Get().(*framer) //nolint:forcetypeassert // the pool holds nothing else
	defer framers.Put(f)
	f.buf, f.limit, f.memory, f.err = f.buf[:0], limit, arena{}, nil
	f.implementation(impl)
	f.text(instructions)
	return f.sum()
}

func (f *framer) sum() (sum, error) {
	if f.err != nil {
		return sum{}, f.err
	}
	return sum{sha256.Sum256(f.buf), len(f.buf)}, nil
}

// tool frames every member that tools/list sends. A test fails when the SDK's
// type gains one that is not here.
func (f *framer) tool(t *mcp.Tool) {
	if t == nil {
		f.err = errors.New("no definition")
		return
	}
	f.text(t.Name)
	f.text(t.Title)
	f.text(t.Description)
	f.schema(t.InputSchema)
	f.schema(t.OutputSchema)
	f.annotations(t.Annotations)
	f.icons(t.Icons)
	f.object(t.Meta, 0)
}

func (f *framer) implementation(i *mcp.Implementation) {
	if i == nil {
		f.tag(0)
		return
	}
	f.tag(1)
	f.text(i.Name)
	f.text(i.Title)
	f.text(i.Description)
	f.text(i.Version)
	f.text(i.WebsiteURL)
	f.icons(i.Icons)
}

func (f *framer) annotations(a *mcp.ToolAnnotations) {
	if a == nil {
		f.tag(0)
		return
	}
	f.tag(1)
	f.text(a.Title)
	f.truth(a.ReadOnlyHint)
	f.truth(a.IdempotentHint)
	f.maybe(a.DestructiveHint)
	f.maybe(a.OpenWorldHint)
}

func (f *framer) icons(icons []mcp.Icon) {
	f.length(len(icons))
	for i := range icons {
		f.text(icons[i].Source)
		f.text(icons[i].MIMEType)
		f.text(string(icons[i].Theme))
		f.length(len(icons[i].Sizes))
		for _, size := range icons[i].Sizes {
			f.text(size)
		}
	}
}

// schema takes raw JSON, which is what [mcpsec.AddTool] registers, byte by byte.
// Anything else is encoded anew, so that a write to any part of it shows.
func (f *framer) schema(v any) {
	switch s := v.(type) {
	case nil:
		f.tag(0)
	case json.RawMessage:
		f.tag(1)
		f.bytes(s)
	default:
		f.tag(1)
		f.encoded(v)
	}
}

// place frames n bytes at an address by where they lie, or else their length alone,
// and reports which: the lowest bit tells.
func (f *framer) place(p unsafe.Pointer, n int) bool {
	at, sealed := f.memory.find(p, n)
	if !sealed {
		f.number(uint64(n) << 1) //nolint:gosec // a length is never negative
		return false
	}
	f.number(uint64(n)<<1 | 1) //nolint:gosec // see above
	f.number(at)
	return true
}

func (f *framer) text(s string) {
	if !f.place(unsafe.Pointer(unsafe.StringData(s)), len(s)) && f.room(len(s)) { //nolint:gosec // an address to compare
		f.buf = append(f.buf, s...)
	}
}

func (f *framer) bytes(b []byte) {
	if !f.place(unsafe.Pointer(unsafe.SliceData(b)), len(b)) && f.room(len(b)) { //nolint:gosec // see above
		f.buf = append(f.buf, b...)
	}
}

// room reports whether n more bytes fit, and otherwise gives up.
func (f *framer) room(n int) bool {
	if f.err == nil && n > f.limit-len(f.buf) {
		f.err = fmt.Errorf("larger than %d bytes", f.limit)
	}
	return f.err == nil
}

func (f *framer) length(n int) { f.number(uint64(n)) } //nolint:gosec // a length is never negative

func (f *framer) number(n uint64) {
	if f.room(binary.MaxVarintLen64) {
		f.buf = binary.AppendUvarint(f.buf, n)
	}
}

func (f *framer) tag(b byte) {
	if f.room(1) {
		f.buf = append(f.buf, b)
	}
}

func (f *framer) truth(b bool) {
	if b {
		f.tag('t')
	} else {
		f.tag('f')
	}
}

func (f *framer) maybe(b *bool) {
	if b == nil {
		f.tag('-')
		return
	}
	f.truth(*b)
}
