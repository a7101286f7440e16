package draft

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/mcpsec/mcpsec-go/attest/lint"
	"github.com/mcpsec/mcpsec-go/attest/lock"
	"github.com/mcpsec/mcpsec-go/attest/manifest"
)

// Suffix is at the end of the name of a file of definitions, in the place of ".json".
const Suffix = ".tools.json"

// MaxSize bounds a file of definitions, in bytes.
const MaxSize = lock.MaxSize

// Encode returns the definitions of a server as a file for review: a lock file of one
// server, with hidden characters escaped. It says "first-use" of each, for nobody has
// looked at them yet; that somebody did, the signature of the manifest says.
func Encode(seen *lock.Server, now time.Time) ([]byte, error) {
	who, err := identify(seen)
	if err != nil {
		return nil, err
	}
	at := now.UTC().Truncate(time.Second)
	dated := func(list map[string]*lock.Definition) map[string]*lock.Definition {
		out := make(map[string]*lock.Definition, len(list))
		for name, d := range list {
			out[name] = &lock.Definition{SHA256: d.SHA256, How: lock.OnFirstUse, At: at, Text: d.Text}
		}
		return out
	}
	file := lock.File{Servers: map[string]*lock.Server{who.name: {
		Identity: dated(map[string]*lock.Definition{"": seen.Identity})[""],
		Tools:    dated(seen.Tools), Prompts: dated(seen.Prompts),
		Resources: dated(seen.Resources), ResourceTemplates: dated(seen.ResourceTemplates),
	}}}
	data, err := file.Encode()
	if err != nil {
		return nil, err
	}
	if _, err := Decode(data); err != nil { // what cannot be read again is not written
		return nil, err
	}
	return data, nil
}

// Decode reads what [Encode] wrote. Definitions whose digest is not theirs are refused.
func Decode(data []byte) (*lock.Server, error) {
	file, err := lock.Decode(data)
	if err != nil {
		return nil, fmt.Errorf("definitions: %w", err)
	}
	if len(file.Servers) != 1 {
		return nil, fmt.Errorf("definitions: the file is of %d servers, not one", len(file.Servers))
	}
	for name, s := range file.Servers {
		who, err := identify(s)
		if err != nil {
			return nil, fmt.Errorf("definitions: %w", err)
		}
		if who.name != name {
			return nil, errors.New("definitions: the server has another name than the file says")
		}
		return s, nil
	}
	return nil, nil // there is one
}

// Match reports, in words and all at once, in what a server differs from a manifest: who
// it is, its instructions, and every tool, prompt and resource that is missing, extra or
// another. seen is a server that was observed or read with [Decode].
func Match(m *manifest.Manifest, seen *lock.Server) error {
	who, err := identify(seen)
	if err != nil {
		return err
	}
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if who.name != m.ServerName || who.version != m.ServerVersion {
		fault("the server is %q %q, the manifest is of %q %q", who.name, who.version, m.ServerName, m.ServerVersion)
	}
	if who.digest != m.ServerSHA256 {
		fault("the server's title, description, site or icons are other ones: expected sha256:%s, found sha256:%s", m.ServerSHA256, who.digest)
	}
	if digest(who.instructions) != m.InstructionsSHA256 {
		fault("the instructions are other ones")
	}
	tools := make([]manifest.Definition, 0, len(m.Tools))
	for _, t := range m.Tools {
		tools = append(tools, manifest.Definition{Name: t.Name, SHA256: t.SHA256})
	}
	for _, kind := range []struct {
		name string
		want []manifest.Definition
		got  map[string]*lock.Definition
	}{
		{"tool", tools, seen.Tools},
		{"prompt", m.Prompts, seen.Prompts},
		{"resource", m.Resources, seen.Resources},
		{"resource template", m.ResourceTemplates, seen.ResourceTemplates},
	} {
		extra := maps.Clone(kind.got)
		for _, d := range kind.want {
			got := extra[d.Name]
			delete(extra, d.Name)
			switch {
			case got == nil:
				fault("the %s %q is missing", kind.name, d.Name)
			case got.SHA256 != d.SHA256:
				fault("the %s %q changed: expected sha256:%s, found sha256:%s", kind.name, d.Name, d.SHA256, got.SHA256)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(extra)) {
			fault("the %s %q is not in the manifest", kind.name, name)
		}
	}
	return errors.Join(faults...)
}

// Set returns the definitions of a server for the linter.
func Set(seen *lock.Server) (lint.Set, error) {
	who, err := identify(seen)
	if err != nil {
		return lint.Set{}, err
	}
	texts := func(list map[string]*lock.Definition) (out []json.RawMessage) {
		for _, name := range slices.Sorted(maps.Keys(list)) {
			out = append(out, list[name].Text)
		}
		return out
	}
	return lint.Set{
		Instructions: who.instructions,
		Tools:        texts(seen.Tools), Prompts: texts(seen.Prompts),
		Resources: texts(seen.Resources), ResourceTemplates: texts(seen.ResourceTemplates),
	}, nil
}

// Names returns the names in a manifest for the linter, when there is nothing else.
func Names(m *manifest.Manifest) (lint.Set, error) {
	var set lint.Set
	var faults []error
	add := func(to *[]json.RawMessage, member, name string) {
		wire, err := json.Marshal(map[string]string{member: name})
		*to, faults = append(*to, wire), append(faults, err)
	}
	for _, t := range m.Tools {
		add(&set.Tools, "name", t.Name)
	}
	for _, d := range m.Prompts {
		add(&set.Prompts, "name", d.Name)
	}
	for _, d := range m.Resources {
		add(&set.Resources, "uri", d.Name)
	}
	for _, d := range m.ResourceTemplates {
		add(&set.ResourceTemplates, "uriTemplate", d.Name)
	}
	return set, errors.Join(faults...)
}
