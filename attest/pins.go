package attest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mcpsec/mcpsec-go/internal/strictjson"
)

// MaxManifest bounds a manifest, in bytes.
const MaxManifest = 1 << 20

// manifestVersion is the only version of the format.
const manifestVersion = 1

// Pins are what a manifest pins: who the server is, which tools it offers and no
// others, each by the digest of its definition, and the executable. All digests
// are SHA-256 in 64 lower-case hexadecimal digits.
//
// In a manifest they are one JSON object. Members with other names, or in another
// case, are refused: somebody took them for a promise that nobody keeps.
type Pins struct {
	Version int       `json:"version"` // of the format: 1
	Server  ServerPin `json:"server"`
	// InstructionsSHA256 is the digest of the instructions, UTF-8, as they are;
	// of the empty text when there are none.
	InstructionsSHA256 string `json:"instructionsSha256"`
	// Tools is sorted by name. It is a closed set, and may be empty but not nil.
	Tools []ToolPin `json:"tools"`
	// ExecutableSHA256 may be empty only with [AllowUnpinnedExecutable].
	ExecutableSHA256 string `json:"executableSha256"`
}

// A ServerPin is the name and version that a server gives itself.
type ServerPin struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// A ToolPin is one reviewed definition. Version is for people and the audit
// record; it may be empty. SHA256 is the definition's [Digest].
type ToolPin struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	SHA256  string `json:"sha256"`
}

// Decode reads a manifest of at most [MaxManifest] bytes, strictly: duplicate,
// unknown and missing members, digests that are not lower-case hexadecimal SHA-256,
// and tools that are not sorted by name or named twice are errors.
func Decode(data []byte) (*Pins, error) {
	p := &Pins{}
	if err := strictjson.Decode(data, MaxManifest, p); err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	if err := p.validate(); err != nil {
		return nil, err
	}
	return p, nil
}

// Encode returns the manifest, indented and with a final line feed: the same pins
// give the same bytes. It refuses pins that Decode would refuse.
func (p *Pins) Encode() ([]byte, error) {
	if err := p.validate(); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(p); err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	if b.Len() > MaxManifest {
		return nil, fmt.Errorf("manifest: %d bytes, the limit is %d", b.Len(), MaxManifest)
	}
	return b.Bytes(), nil
}

func (p *Pins) clone() *Pins {
	c := *p
	c.Tools = slices.Clone(p.Tools)
	return &c
}

// validate reports everything that is wrong with the pins.
func (p *Pins) validate() error {
	if p == nil {
		return errors.New("manifest: nil pins")
	}
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf("manifest: "+format, args...)) }
	if p.Version != manifestVersion {
		fault("version is %d, this program reads version %d", p.Version, manifestVersion)
	}
	if p.Server.Name == "" {
		fault("server.name is missing")
	}
	if !isDigest(p.InstructionsSHA256) {
		fault("instructionsSha256 is not a SHA-256 digest of 64 lower-case hexadecimal digits")
	}
	if p.ExecutableSHA256 != "" && !isDigest(p.ExecutableSHA256) {
		fault("executableSha256 is not a SHA-256 digest of 64 lower-case hexadecimal digits")
	}
	if p.Tools == nil {
		fault("tools is missing")
	}
	for i, t := range p.Tools {
		if t.Name == "" || len(t.Name) > maxToolName {
			fault("tools[%d].name has %d bytes, not 1 to %d", i, len(t.Name), maxToolName)
		}
		if !isDigest(t.SHA256) {
			fault("tools[%d].sha256 is not a SHA-256 digest of 64 lower-case hexadecimal digits", i)
		}
		if i == 0 {
			continue
		}
		switch strings.Compare(p.Tools[i-1].Name, t.Name) {
		case 0:
			fault("tools[%d] has the name of the one before it", i)
		case 1:
			fault("tools[%d] is out of order: sort tools by name", i)
		}
	}
	return errors.Join(faults...)
}

// maxToolName is the specification's limit on the name of a tool.
const maxToolName = 128

func isDigest(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}
