package manifest

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mcpsec/mcpsec-go/internal/jcs"
	"github.com/mcpsec/mcpsec-go/internal/strictjson"
)

// ErrFormat is wrapped by every error about a statement or a manifest that is not as it
// must be.
var ErrFormat = errors.New("manifest")

// A statement is an in-toto Statement v1. Its members are in canonical order.
type statement struct {
	Type          string    `json:"_type"`
	Predicate     *Manifest `json:"predicate"`
	PredicateType string    `json:"predicateType"`
	Subject       []Subject `json:"subject"`
}

// A Subject is one thing that a manifest speaks of, as in-toto lists it. Other statements
// about the same thing, such as its provenance, name the same subject.
type Subject struct {
	Digest Digests `json:"digest"`
	Name   string  `json:"name"`
}

// Digests are the digests of a subject: SHA-256 and no other.
type Digests struct {
	SHA256 string `json:"sha256"`
}

// Digest returns the digest of a statement, as it was signed, byte by byte: 64 lower-case
// hexadecimal digits.
func Digest(statement []byte) string {
	sum := sha256.Sum256(statement)
	return hex.EncodeToString(sum[:])
}

// Decode reads a statement of at most [MaxSize] bytes. White space, the order of members
// and escapes are free; everything else is as [Manifest.Encode] writes it, so that a
// reviewer, this program and every other reader see one manifest: no member is unknown,
// missing, null, twice or in another case, subjects and lists are complete and sorted,
// and times are in UTC, whole seconds and end in Z. in-toto lets consumers ignore what
// they do not know; a closed manifest cannot, for what it does not name is forbidden.
//
// It does not check whether the manifest is valid now: see [Manifest.At]. Errors wrap
// [ErrFormat].
func Decode(data []byte) (*Manifest, error) {
	var s statement
	if err := strictjson.Decode(data, MaxSize, &s); err != nil {
		return nil, fmt.Errorf("%w: the statement: %w", ErrFormat, err)
	}
	switch {
	case s.Type != StatementType:
		return nil, fmt.Errorf("%w: _type is %s, not %s", ErrFormat, quote(s.Type), StatementType)
	case s.PredicateType != PredicateType:
		return nil, fmt.Errorf("%w: predicateType is %s, not %s", ErrFormat, quote(s.PredicateType), PredicateType)
	case s.Predicate == nil:
		return nil, fmt.Errorf("%w: predicate is missing", ErrFormat)
	}
	m := s.Predicate
	want, err := m.Encode()
	if err != nil {
		return nil, err
	}
	if err := compareSubjects(s.Subject, m.Subjects()); err != nil {
		return nil, err
	}
	got, err := jcs.Append(nil, data)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if !bytes.Equal(got, want) {
		return nil, fmt.Errorf("%w: a member is missing, null or not spelled as it must be, near %s", ErrFormat, quote(near(got, want)))
	}
	return m, nil
}

// Encode returns the statement in its one canonical form (RFC 8785), which is what is
// signed. It refuses what [Manifest.Validate] refuses, and more than [MaxSize] bytes.
func (m *Manifest) Encode() ([]byte, error) {
	if err := m.Validate(); err != nil {
		return nil, err
	}
	raw, err := json.Marshal(statement{StatementType, m, PredicateType, m.Subjects()})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	canonical, err := jcs.Append(nil, raw)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	case len(canonical) > MaxSize:
		return nil, fmt.Errorf("%w: the statement has %d bytes, the limit is %d", ErrFormat, len(canonical), MaxSize)
	}
	return canonical, nil
}

// Subjects returns what the manifest speaks of, sorted by name: "tool:NAME@VERSION" (or
// "tool:NAME" without a version), "prompt:NAME", "resource:URI", "resource-template:URI",
// "instructions", "server", "executable/OS-ARCH", "artifact:ROLE/NAME", "sbom" and "policy".
func (m *Manifest) Subjects() []Subject {
	var list []Subject
	add := func(name, digest string) { list = append(list, Subject{Digests{digest}, name}) }
	add("instructions", m.InstructionsSHA256)
	add("server", m.ServerSHA256)
	for _, t := range m.Tools {
		add(t.title(), t.SHA256)
	}
	for _, d := range m.Prompts {
		add("prompt:"+d.Name, d.SHA256)
	}
	for _, d := range m.Resources {
		add("resource:"+d.Name, d.SHA256)
	}
	for _, d := range m.ResourceTemplates {
		add("resource-template:"+d.Name, d.SHA256)
	}
	for _, e := range m.Executables {
		add("executable/"+strings.Replace(e.Platform, "/", "-", 1), e.SHA256)
	}
	for _, a := range m.Artifacts {
		add("artifact:"+a.Role+"/"+a.Name, a.SHA256)
	}
	if m.SBOM != nil {
		add("sbom", m.SBOM.SHA256)
	}
	if m.PolicySHA256 != "" {
		add("policy", m.PolicySHA256)
	}
	slices.SortFunc(list, func(a, b Subject) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

func (t Tool) title() string {
	if t.Version == "" {
		return "tool:" + t.Name
	}
	return "tool:" + t.Name + "@" + t.Version
}

// compareSubjects refuses subjects that are not those of the predicate: a stock verifier
// looks at nothing else, and would vouch for a file that the manifest does not name.
func compareSubjects(got, want []Subject) error {
	for i, s := range got {
		if i >= len(want) || s != want[i] {
			return fmt.Errorf("%w: subject[%d], %s, is not what the predicate says: subjects are derived from it and sorted by name", ErrFormat, i, quote(s.Name))
		}
	}
	if len(got) < len(want) {
		return fmt.Errorf("%w: the subject %s is missing", ErrFormat, quote(want[len(got)].Name))
	}
	return nil
}

// near returns what stands around the first difference of two texts.
func near(got, want []byte) string {
	i := 0
	for i < len(got) && i < len(want) && got[i] == want[i] {
		i++
	}
	return string(got[max(0, i-20):min(len(got), i+20)])
}
