package audit

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"hash"
	"sync"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// resultOf measures the content of a result. The digest is SHA-256 over the parts
// of the content in their order, each a letter for its kind, its length as eight
// bytes, the highest first, and its bytes: t text, i image and a audio (MIME type,
// then data), l link (URI), r embedded or read resource (URI, then text), b its data if it is not text, s
// structured content, e the mark of an error, p the role of a prompt's message.
// Lists and other results have none. It does not encode the result: that would cost
// as much as the call.
func resultOf(res mcp.Result) Result {
	m := measures.Get().(*measure) //nolint:forcetypeassert // New makes nothing else
	defer measures.Put(m)
	m.sha.Reset()
	m.bytes, m.parts = 0, 0
	switch r := res.(type) {
	case *mcp.CallToolResult:
		m.tool(r)
	case *mcp.ReadResourceResult:
		if r != nil {
			for _, c := range r.Contents {
				m.resource(c)
			}
		}
	case *mcp.GetPromptResult:
		if r != nil {
			for _, msg := range r.Messages {
				if msg != nil {
					m.text('p', string(msg.Role))
					m.content(msg.Content)
				}
			}
		}
	}
	if m.parts == 0 {
		return Result{}
	}
	m.line = hex.AppendEncode(append(m.line[:0], "sha256:"...), m.sha.Sum(m.sum[:0]))
	return Result{m.bytes, string(m.line)}
}

// A measure is the digest in the making.
type measure struct {
	sha   hash.Hash
	head  [9]byte
	copy  []byte // of a string
	sum   [sha256.Size]byte
	line  []byte // of the digest
	bytes int
	parts int
}

var measures = sync.Pool{New: func() any { return &measure{sha: sha256.New()} }}

func (m *measure) tool(r *mcp.CallToolResult) {
	if r == nil {
		return
	}
	for _, c := range r.Content {
		m.content(c)
	}
	if raw, ok := r.StructuredContent.(json.RawMessage); ok { // the SDK and the guard encode all others before
		m.part('s', raw)
	}
	if r.IsError {
		m.part('e', nil)
	}
}

func (m *measure) content(c mcp.Content) {
	switch c := c.(type) {
	case *mcp.TextContent:
		m.text('t', c.Text)
	case *mcp.ImageContent:
		m.text('i', c.MIMEType)
		m.part('i', c.Data)
	case *mcp.AudioContent:
		m.text('a', c.MIMEType)
		m.part('a', c.Data)
	case *mcp.ResourceLink:
		m.text('l', c.URI)
	case *mcp.EmbeddedResource:
		m.resource(c.Resource)
	}
}

func (m *measure) resource(c *mcp.ResourceContents) {
	if c == nil {
		return
	}
	m.text('r', c.URI)
	if c.Blob != nil {
		m.part('b', c.Blob)
		return
	}
	m.text('r', c.Text)
}

func (m *measure) start(kind byte, n int) {
	m.head[0] = kind
	binary.BigEndian.PutUint64(m.head[1:], uint64(n)) //nolint:gosec // a length
	_, _ = m.sha.Write(m.head[:])                     // a hash.Hash never fails
	m.bytes += n
	m.parts++
}

func (m *measure) part(kind byte, b []byte) {
	m.start(kind, len(b))
	_, _ = m.sha.Write(b) // as above
}

// chunk bounds the memory for hashing a string.
const chunk = 4 << 10

func (m *measure) text(kind byte, s string) {
	m.start(kind, len(s))
	for s != "" {
		n := min(len(s), chunk)
		m.copy = append(m.copy[:0], s[:n]...)
		_, _ = m.sha.Write(m.copy) // as above
		s = s[n:]
	}
}
