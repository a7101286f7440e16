package draft

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/mcpsec/mcpsec-go/attest"
	"github.com/mcpsec/mcpsec-go/attest/lock"
	"github.com/mcpsec/mcpsec-go/attest/manifest"
)

// New makes a manifest of what a server shows, to which the caller adds executables,
// artifacts and evidence. It has sequence 1 and is valid from now on, rounded down to the
// second, because a clock that is a little behind would find it not valid yet. Tools get
// the version of the server if that is semantic.
func New(seen *lock.Server, now time.Time, lifetime time.Duration) (*manifest.Manifest, error) {
	who, err := identify(seen)
	if err != nil {
		return nil, err
	}
	m := &manifest.Manifest{
		ServerName: who.name, ServerVersion: who.version,
		Sequence: 1, Closed: true, DefinitionScheme: manifest.DefinitionScheme,
		ServerSHA256: who.digest, InstructionsSHA256: digest(who.instructions),
		Tools:             []manifest.Tool{},
		Prompts:           define(seen.Prompts),
		Resources:         define(seen.Resources),
		ResourceTemplates: define(seen.ResourceTemplates),
		Executables:       []manifest.Executable{}, Artifacts: []manifest.Artifact{},
	}
	Date(m, now, lifetime)
	for _, d := range define(seen.Tools) {
		m.Tools = append(m.Tools, manifest.Tool{Name: d.Name, Version: who.version, SHA256: d.SHA256, Artifacts: []string{}})
	}
	if m.Validate() != nil { // the version may be why: not every one is semantic
		for i := range m.Tools {
			m.Tools[i].Version = ""
		}
	}
	if err := m.Validate(); err != nil {
		return nil, err
	}
	return m, nil
}

// Date makes a manifest valid from now on, for the lifetime.
func Date(m *manifest.Manifest, now time.Time, lifetime time.Duration) {
	m.IssuedAt = now.UTC().Truncate(time.Second)
	m.NotBefore, m.Expires = m.IssuedAt, m.IssuedAt.Add(lifetime.Truncate(time.Second))
}

// Follow makes a manifest the one after another, whose statement is given: the sequence
// rises by one. Both must be of one server.
func Follow(m *manifest.Manifest, statement []byte) (before *manifest.Manifest, err error) {
	if before, err = manifest.Decode(statement); err != nil {
		return nil, fmt.Errorf("the previous manifest: %w", err)
	}
	if before.ServerName != m.ServerName {
		return nil, fmt.Errorf("the previous manifest is of the server %q, this one of %q", before.ServerName, m.ServerName)
	}
	m.Sequence, m.Previous = before.Sequence+1, manifest.Digest(statement)
	return before, nil
}

// SetVersion gives a tool a version of its own.
func SetVersion(m *manifest.Manifest, tool, version string) error {
	i := slices.IndexFunc(m.Tools, func(t manifest.Tool) bool { return t.Name == tool })
	if i < 0 {
		return fmt.Errorf("the server has no tool %q", tool)
	}
	m.Tools[i].Version = version
	return nil
}

func define(list map[string]*lock.Definition) []manifest.Definition {
	out := []manifest.Definition{}
	for _, name := range slices.Sorted(maps.Keys(list)) {
		out = append(out, manifest.Definition{Name: name, SHA256: list[name].SHA256})
	}
	return out
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// An identity is what a server says of itself.
type identity struct {
	name, version, instructions string
	digest                      string // of serverInfo
}

// identify reads the definition that lock keeps of a server itself. Members are taken by
// their exact names: a decoder that folds case would let one stand in for another.
func identify(seen *lock.Server) (who identity, err error) {
	if seen == nil || seen.Identity == nil {
		return who, errors.New("the server did not say who it is")
	}
	var members, info map[string]json.RawMessage
	err = json.Unmarshal(seen.Identity.Text, &members)
	if err == nil {
		err = json.Unmarshal([]byte(cmp.Or(string(members["serverInfo"]), "{}")), &info)
	}
	text := func(from map[string]json.RawMessage, name string, to *string) {
		if raw, ok := from[name]; ok && err == nil {
			if err = json.Unmarshal(raw, to); err != nil {
				err = fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	text(info, "name", &who.name)
	text(info, "version", &who.version)
	text(members, "instructions", &who.instructions)
	if err == nil {
		who.digest, err = attest.DigestJSON(members["serverInfo"])
	}
	if err != nil {
		return who, fmt.Errorf("what the server says of itself: %w", err)
	}
	return who, nil
}
