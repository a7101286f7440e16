package manifest

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

var issued = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

func digest(c string) string { return strings.Repeat(c, 64) }

// full is a manifest that uses every member.
func full() *Manifest {
	return &Manifest{
		ServerName: "files", ServerVersion: "1.2.0", Sequence: 7, Previous: digest("0"),
		IssuedAt: issued, NotBefore: issued.Add(time.Minute), Expires: issued.Add(30 * 24 * time.Hour),
		Closed: true, DefinitionScheme: DefinitionScheme, ServerSHA256: digest("f"), InstructionsSHA256: digest("1"),
		Tools: []Tool{
			{Name: "ask", Version: "1.0.0", SHA256: digest("2"), Artifacts: []string{"model", "prompt"}},
			{Name: "read_file", Version: "", SHA256: digest("3"), Artifacts: []string{}},
		},
		Prompts:           []Definition{{Name: "summary", SHA256: digest("4")}},
		Resources:         []Definition{{Name: "file:///readme", SHA256: digest("5")}},
		ResourceTemplates: []Definition{{Name: "file:///{path}", SHA256: digest("6")}},
		Executables: []Executable{
			{Platform: "darwin/arm64", SHA256: digest("7"), Size: 10},
			{Platform: "linux/amd64", SHA256: digest("8"), Size: 20, GoBuild: &GoBuild{
				Main: "example.com/files", Version: "v1.2.0", Sum: "h1:abc=", GoVersion: "go1.26.8", Revision: "0123abcd", SettingsSHA256: digest("9"),
			}},
		},
		Artifacts: []Artifact{
			{Name: "model", Role: "model", Path: "models/m.bin", Size: 5, SHA256: digest("a"), Bind: Snapshot},
			{Name: "prompt", Role: "prompt", Path: "prompt.txt", Size: 0, SHA256: digest("b"), Bind: Watch},
		},
		PolicySHA256: digest("c"),
		SBOM:         &SBOM{Format: "CycloneDX", SpecVersion: "1.5", SHA256: digest("d")},
		Vuln:         &Vuln{DBModified: issued.Add(-time.Hour), Gate: "passed", VEXSHA256: digest("e")},
	}
}

// bare is the least manifest there is.
func bare() *Manifest {
	return &Manifest{
		ServerName: "files", Sequence: 1, IssuedAt: issued, NotBefore: issued, Expires: issued.Add(time.Second),
		Closed: true, DefinitionScheme: DefinitionScheme, ServerSHA256: digest("f"), InstructionsSHA256: digest("1"),
		Tools: []Tool{}, Prompts: []Definition{}, Resources: []Definition{}, ResourceTemplates: []Definition{},
		Executables: []Executable{}, Artifacts: []Artifact{},
	}
}

func encoded(tb testing.TB, m *Manifest) string {
	tb.Helper()
	raw, err := m.Encode()
	if err != nil {
		tb.Fatal(err)
	}
	return string(raw)
}

// replaced changes a text in which the old must be.
func replaced(tb testing.TB, text, old, with string) string {
	tb.Helper()
	if !strings.Contains(text, old) || old == with {
		tb.Fatalf("%s is not in the statement, or nothing changes", old)
	}
	return strings.Replace(text, old, with, 1)
}

// edited changes a statement as an object.
func edited(tb testing.TB, text string, change func(statement, predicate map[string]any)) string {
	tb.Helper()
	var s map[string]any
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		tb.Fatal(err)
	}
	change(s, s["predicate"].(map[string]any))
	out, err := json.Marshal(s)
	if err != nil {
		tb.Fatal(err)
	}
	return string(out)
}
