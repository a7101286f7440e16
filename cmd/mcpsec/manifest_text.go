package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/mcpsec/mcpsec-go/attest/lock"
	"github.com/mcpsec/mcpsec-go/attest/manifest"
)

// A manifestReport is what manifest prints; its members are those of the JSON form.
type manifestReport struct {
	Written     bool               `json:"written"`
	File        string             `json:"file"`
	Definitions string             `json:"definitions,omitempty"`
	Digest      string             `json:"digest"`
	Manifest    *manifest.Manifest `json:"manifest"`
	Findings    []remark           `json:"findings"`
	Changes     []string           `json:"changes"`
}

func (r *manifestReport) text(of *reviewed) string {
	var b bytes.Buffer
	covered(&b, r.Manifest, of.definitions)
	for _, c := range r.Changes {
		fmt.Fprintf(&b, "since the previous one: %s\n", c)
	}
	writeFindings(&b, r.Findings)
	rows := []row{{"digest", "sha256:" + r.Digest}}
	if r.Written {
		rows = append(rows, row{"written", shown(r.File, 500)})
		if r.Definitions != "" {
			rows = append(rows, row{"definitions", shown(r.Definitions, 500)})
		}
		rows = append(rows, row{"next", "read the above, then mcpsec sign " + shown(r.File, 500)})
	}
	align(&b, "", rows)
	return b.String()
}

func writeFindings(b *bytes.Buffer, list []remark) {
	for _, f := range list {
		fmt.Fprintf(b, "%s: %s: %s (%s): %s\n", f.Severity, oneLine(f.Where), f.Message, f.Code, f.Remedy)
	}
}

// covered writes what a manifest covers, and what it says where definitions are at hand.
func covered(b *bytes.Buffer, m *manifest.Manifest, seen *lock.Server) {
	if seen == nil {
		seen = &lock.Server{}
	}
	sequence := fmt.Sprint(m.Sequence)
	if m.Previous != "" {
		sequence += ", after sha256:" + m.Previous
	}
	const layout = time.RFC3339
	rows := []row{
		{"server", visible(m.ServerName + " " + m.ServerVersion)},
		{"sequence", sequence},
		{"valid", m.NotBefore.Format(layout) + " until " + m.Expires.Format(layout)},
		{"describes itself", itself(m, seen)},
		{"instructions", instructions(m, seen)},
	}
	add := func(name, format string, args ...any) { rows = append(rows, row{name, fmt.Sprintf(format, args...)}) }
	for _, e := range m.Executables {
		add("executable", "%s sha256:%s, %d bytes%s", e.Platform, e.SHA256, e.Size, built(e.GoBuild))
	}
	for _, t := range m.Tools {
		name := t.Name
		if t.Version != "" {
			name += "@" + t.Version
		}
		uses := ""
		if len(t.Artifacts) > 0 {
			uses = ", uses " + visible(strings.Join(t.Artifacts, " "))
		}
		add("tool", "%s sha256:%s%s%s", name, t.SHA256, uses, describes(seen.Tools[t.Name]))
	}
	for _, kind := range []struct {
		name string
		list []manifest.Definition
		seen map[string]*lock.Definition
	}{{"prompt", m.Prompts, seen.Prompts}, {"resource", m.Resources, seen.Resources}, {"template", m.ResourceTemplates, seen.ResourceTemplates}} {
		for _, d := range kind.list {
			add(kind.name, "%s sha256:%s%s", visible(d.Name), d.SHA256, describes(kind.seen[d.Name]))
		}
	}
	for _, a := range m.Artifacts {
		add("artifact", "%s: %s, %s %s sha256:%s, %d bytes", visible(a.Name), visible(a.Path), a.Bind, a.Role, a.SHA256, a.Size)
	}
	if m.PolicySHA256 != "" {
		add("policy", "sha256:%s", m.PolicySHA256)
	}
	if s := m.SBOM; s != nil {
		add("sbom", "%s %s sha256:%s", visible(s.Format), visible(s.SpecVersion), s.SHA256)
	}
	if v := m.Vuln; v != nil {
		add("vulnerabilities", "%s, database of %s", v.Gate, v.DBModified.Format(layout))
	}
	align(b, "", rows)
}

func built(g *manifest.GoBuild) string {
	if g == nil {
		return ""
	}
	return visible(", " + strings.TrimSpace(g.Main+" "+g.Version) + ", " + g.GoVersion)
}

// itself returns what the server says of itself, besides its instructions.
func itself(m *manifest.Manifest, seen *lock.Server) string {
	var members map[string]json.RawMessage
	var text bytes.Buffer
	if seen.Identity == nil || json.Unmarshal(seen.Identity.Text, &members) != nil || json.Compact(&text, members["serverInfo"]) != nil {
		return "sha256:" + m.ServerSHA256
	}
	return shown(text.String(), maxShown)
}

func instructions(m *manifest.Manifest, seen *lock.Server) string {
	if seen.Identity == nil {
		return "sha256:" + m.InstructionsSHA256
	}
	text := member(seen.Identity, "instructions")
	if text == "" {
		return "none"
	}
	return shown(text, maxShown)
}

// describes returns a definition's description, for the line below it.
func describes(d *lock.Definition) string {
	if d == nil {
		return ""
	}
	if text := member(d, "description"); text != "" {
		return ": " + shown(text, maxShown)
	}
	return ""
}

// maxShown bounds a text in a summary, in characters; the file of definitions has it all.
const maxShown = 1000

// member returns a text in a definition, by its exact name.
func member(d *lock.Definition, name string) (text string) {
	var members map[string]json.RawMessage
	if json.Unmarshal(d.Text, &members) != nil || json.Unmarshal(members[name], &text) != nil {
		return ""
	}
	return text
}
