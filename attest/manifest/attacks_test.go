package manifest

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

// TestStatementsThatTwoReadersReadInTwoWays: each attack is on a statement that was
// accepted before it.
func TestStatementsThatTwoReadersReadInTwoWays(t *testing.T) {
	t.Parallel()
	good := encoded(t, full())
	if _, err := Decode([]byte(good)); err != nil {
		t.Fatal(err)
	}
	const closed = `"closed":true`
	subjects := func(change func(list []any) []any) string {
		return edited(t, good, func(s, _ map[string]any) { s["subject"] = change(s["subject"].([]any)) })
	}
	without := func(name string) string {
		return edited(t, good, func(_, p map[string]any) { delete(p, name) })
	}
	with := func(name string, value any) string {
		return edited(t, good, func(_, p map[string]any) { p[name] = value })
	}
	tests := map[string]string{
		"neg 8: right signature, wrong predicate type":           replaced(t, good, PredicateType, "https://slsa.dev/provenance/v1"),
		"neg 8: predicate v2":                                    replaced(t, good, "mcp-manifest/v1", "mcp-manifest/v2"),
		"neg 8: predicate type missing":                          edited(t, good, func(s, _ map[string]any) { delete(s, "predicateType") }),
		"neg 8: statement v0.1":                                  replaced(t, good, StatementType, "https://in-toto.io/Statement/v0.1"),
		"neg 8: predicate missing":                               edited(t, good, func(s, _ map[string]any) { delete(s, "predicate") }),
		"neg 8: predicate null":                                  edited(t, good, func(s, _ map[string]any) { s["predicate"] = nil }),
		"neg 8: predicate empty":                                 edited(t, good, func(s, _ map[string]any) { s["predicate"] = map[string]any{} }),
		"neg 9: predicate v1 with unknown field":                 with("allowExtraTools", true),
		"neg 9: unknown field in a tool":                         replaced(t, good, `"name":"ask"`, `"name":"ask","open":true`),
		"neg 9: unknown field in the statement":                  edited(t, good, func(s, _ map[string]any) { s["x"] = 1 }),
		"neg 10, library trap 3: duplicate key in the statement": replaced(t, good, `"predicateType"`, `"predicateType":"x","predicateType"`),
		"neg 10: duplicate key in the predicate":                 replaced(t, good, closed, closed+`,"closed":false`),
		"neg 10: duplicate key, escaped":                         replaced(t, good, closed, closed+`,"cl\u006fsed":false`),
		"neg 10: duplicate key in a tool":                        replaced(t, good, `"name":"ask"`, `"name":"ask","name":"ask2"`),
		"neg 10: duplicate predicate":                            replaced(t, good, `"predicate":`, `"predicate":null,"predicate":`),
		"neg 10, library trap 4: PREDICATETYPE overrides":        replaced(t, good, `"predicateType"`, `"PREDICATETYPE":"x","predicateType"`),
		"neg 10, library trap 4: a key in another case alone":    replaced(t, good, `"closed"`, `"Closed"`),
		"neg 10: a key in a case that Unicode folds":             replaced(t, good, `"closed"`, `"clo\u017fed"`),
		"neg 11: trailing bytes":                                 good + "x",
		"neg 11: a second statement":                             good + good,
		"neg 11: byte order mark":                                "\xef\xbb\xbf" + good,
		"neg 11: invalid UTF-8":                                  replaced(t, good, `"files"`, "\"files\xff\""),
		"neg 11: lone surrogate":                                 replaced(t, good, `"files"`, `"files\udc00"`),
		"neg 11: depth bomb":                                     replaced(t, good, `"files"`, strings.Repeat("[", 500000)),
		"neg 11: a file of 100 MB":                               strings.Repeat(" ", 100<<20),
		"neg 11: one byte above the limit":                       good + strings.Repeat(" ", MaxSize-len(good)+1),
		"neg 11: empty":                                          "",
		"neg 11: null":                                           "null",
		"neg 11: an array":                                       "[" + good + "]",
		"neg 12: sequence 2^53+1":                                replaced(t, good, `"sequence":7`, `"sequence":9007199254740993`),
		"neg 12: sequence 1e400":                                 replaced(t, good, `"sequence":7`, `"sequence":1e400`),
		"neg 12: sequence -0":                                    replaced(t, good, `"sequence":7`, `"sequence":-0`),
		"neg 12: sequence 2^64+7":                                replaced(t, good, `"sequence":7`, `"sequence":18446744073709551623`),
		"neg 12: sequence -1":                                    replaced(t, good, `"sequence":7`, `"sequence":-1`),
		"neg 12: sequence as a string":                           replaced(t, good, `"sequence":7`, `"sequence":"7"`),
		"neg 12: size 1.5":                                       replaced(t, good, `"size":5`, `"size":5.5`),
		"neg 15: uppercase digest":                               strings.ReplaceAll(good, digest("a"), digest("A")),
		"neg 15: short digest":                                   strings.ReplaceAll(good, digest("a"), digest("a")[1:]),
		"neg 15: sha1-only digest": subjects(func(l []any) []any {
			l[0].(map[string]any)["digest"] = map[string]any{"sha1": digest("a")[:40]}
			return l
		}),
		"neg 15: a second digest beside": subjects(func(l []any) []any { l[0].(map[string]any)["digest"].(map[string]any)["sha512"] = "x"; return l }),
		"neg 15: empty subject list":     subjects(func([]any) []any { return []any{} }),
		"neg 15: no subject list":        edited(t, good, func(s, _ map[string]any) { delete(s, "subject") }),
		"neg 60, library trap 5: a subject that is not ours": subjects(func(l []any) []any {
			return append(l, map[string]any{"name": "zz", "digest": map[string]any{"sha256": digest("f")}})
		}),
		"neg 60, library trap 5: a subject missing": subjects(func(l []any) []any { return l[1:] }),
		"neg 60, library trap 5: right digests, names exchanged": subjects(func(l []any) []any {
			a, b := l[0].(map[string]any), l[1].(map[string]any)
			a["name"], b["name"] = b["name"], a["name"]
			return l
		}),
		"neg 60, library trap 5: right digest in the wrong role": replaced(t, good, `"name":"artifact:model/model"`, `"name":"artifact:script/model"`),
		"neg 60, library trap 5: another digest": subjects(func(l []any) []any {
			l[0].(map[string]any)["digest"].(map[string]any)["sha256"] = digest("f")
			return l
		}),
		"subjects in another order":            subjects(func(l []any) []any { l[0], l[1] = l[1], l[0]; return l }),
		"a subject twice":                      subjects(func(l []any) []any { return append(l, l[len(l)-1]) }),
		"a subject that is null":               subjects(func(l []any) []any { return append(l, nil) }),
		"a subject with an unknown member":     subjects(func(l []any) []any { l[0].(map[string]any)["uri"] = "x"; return l }),
		"closed missing":                       without("closed"),
		"closed null":                          with("closed", nil),
		"closed 1":                             with("closed", 1),
		"allowSymlinks missing":                without("allowSymlinks"),
		"allowSymlinks null":                   with("allowSymlinks", nil),
		"serverVersion missing":                without("serverVersion"),
		"prompts null":                         with("prompts", nil),
		"prompts missing":                      without("prompts"),
		"a member that is optional, and null":  with("sbom", nil),
		"a member that is optional, and empty": edited(t, good, func(s, p map[string]any) { p["previous"] = "" }),
		"a size missing":                       replaced(t, good, `,"size":0`, ``),
		"a build that does not say whether the tree was changed": replaced(t, good, `"modified":false,`, ``),
		"a tool without a version member":                        replaced(t, good, `,"version":""`, ``),
		"a tool that is null":                                    edited(t, good, func(_, p map[string]any) { p["tools"] = append([]any{nil}, p["tools"].([]any)...) }),
		"an artifact of a tool that is null":                     replaced(t, good, `"artifacts":[]`, `"artifacts":[null]`),
		"a time in another zone":                                 replaced(t, good, `2026-11-22T10:00:00Z`, `2026-11-22T11:00:00+01:00`),
		"a time with an offset of zero":                          replaced(t, good, `2026-11-22T10:00:00Z`, `2026-11-22T10:00:00+00:00`),
		"a time with a fraction":                                 replaced(t, good, `2026-11-22T10:00:00Z`, `2026-11-22T10:00:00.5Z`),
		"a time with a fraction of zero":                         replaced(t, good, `2026-11-22T10:00:00Z`, `2026-11-22T10:00:00.0Z`),
		"a time with one digit for the hour":                     replaced(t, good, `2026-11-22T10:00:00Z`, `2026-11-22T9:00:00Z`),
		"a time with a comma":                                    replaced(t, good, `2026-11-22T10:00:00Z`, `2026-11-22T10:00:00,0Z`),
		"a time as a number":                                     with("issuedAt", 1763805600),
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, err := Decode([]byte(text))
			if !errors.Is(err, ErrFormat) || m != nil {
				t.Errorf("got %v, %v", m, err)
			}
		})
	}
}

// TestOtherSpellings: white space, order and escapes are free, and the digest is over the
// bytes as they were signed.
func TestOtherSpellings(t *testing.T) {
	t.Parallel()
	want := full()
	good := encoded(t, want)
	pretty, err := json.MarshalIndent(json.RawMessage(good), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"canonical": good,
		"pretty":    string(pretty),
		"sorted":    edited(t, good, func(_, _ map[string]any) {}),
		"escaped":   replaced(t, good, `"files"`, `"\u0066iles"`),
		"number":    replaced(t, good, `"sequence":7`, `"sequence": 7`),
	} {
		m, err := Decode([]byte(text))
		if err != nil || !reflect.DeepEqual(m, want) {
			t.Errorf("%s: %+v, %v", name, m, err)
		}
		if same := Digest([]byte(text)) == Digest([]byte(good)); same != (text == good) {
			t.Errorf("%s: the digest is not over the bytes", name)
		}
	}
}

func TestValidateRefuses(t *testing.T) {
	t.Parallel()
	if err := bare().Validate(); err != nil {
		t.Fatal(err)
	}
	hidden := []string{"a\u200bb", "\u202ea", "a\nb", "a\x00", "\xff", "a\U000e0041"}
	tests := map[string]func(m *Manifest){
		"no server name":         func(m *Manifest) { m.ServerName = "" },
		"long server name":       func(m *Manifest) { m.ServerName = strings.Repeat("a", maxName+1) },
		"space around the name":  func(m *Manifest) { m.ServerName = " files" },
		"sequence 0":             func(m *Manifest) { m.Sequence = 0 },
		"sequence 2^53+1":        func(m *Manifest) { m.Sequence = maxNumber + 1 },
		"open":                   func(m *Manifest) { m.Closed = false },
		"symlinks":               func(m *Manifest) { m.AllowSymlinks = true },
		"tooldef/2":              func(m *Manifest) { m.DefinitionScheme = "tooldef/2" },
		"no scheme":              func(m *Manifest) { m.DefinitionScheme = "" },
		"no server digest":       func(m *Manifest) { m.ServerSHA256 = "" },
		"no instructions digest": func(m *Manifest) { m.InstructionsSHA256 = "" },
		"previous is no digest":  func(m *Manifest) { m.Previous = "sha256:" + digest("a") },
		"valid before issued":    func(m *Manifest) { m.NotBefore = m.IssuedAt.Add(-time.Second) },
		"expires at once":        func(m *Manifest) { m.Expires = m.NotBefore },
		"issued after the end":   func(m *Manifest) { m.IssuedAt = m.Expires.Add(time.Second) },
		"lives three years":      func(m *Manifest) { m.Expires = m.IssuedAt.AddDate(3, 0, 0) },
		"begins in three years":  func(m *Manifest) { m.NotBefore = m.IssuedAt.AddDate(3, 0, 0); m.Expires = m.NotBefore.Add(1e9) },
		"no times":               func(m *Manifest) { m.IssuedAt, m.NotBefore, m.Expires = time.Time{}, time.Time{}, time.Time{} },
		"local time":             func(m *Manifest) { m.IssuedAt = m.IssuedAt.In(time.FixedZone("x", 3600)) },
		"nanoseconds":            func(m *Manifest) { m.IssuedAt = m.IssuedAt.Add(-1) },
		"nil lists":              func(m *Manifest) { m.Resources = nil },
		"nil artifacts of tool":  func(m *Manifest) { m.Tools[0].Artifacts = nil },
		"two tools of a name":    func(m *Manifest) { m.Tools[1].Name = m.Tools[0].Name },
		"tools out of order":     func(m *Manifest) { m.Tools[0], m.Tools[1] = m.Tools[1], m.Tools[0] },
		"tool without a name":    func(m *Manifest) { m.Tools[0].Name = "" },
		"tool name with a slash": func(m *Manifest) { m.Tools[0].Name = "a/b" },
		"tool name with an at":   func(m *Manifest) { m.Tools[0].Name = "a@1" },
		"tool name, 129 letters": func(m *Manifest) { m.Tools[0].Name = strings.Repeat("a", 129) },
		"tool name, Cyrillic":    func(m *Manifest) { m.Tools[0].Name = "\u0430sk" },
		"tool version with v":    func(m *Manifest) { m.Tools[0].Version = "v1.0.0" },
		"tool artifact unknown":  func(m *Manifest) { m.Tools[0].Artifacts = []string{"none"} },
		"tool artifact twice":    func(m *Manifest) { m.Tools[0].Artifacts = []string{"model", "model"} },
		"tool artifacts order":   func(m *Manifest) { m.Tools[0].Artifacts = []string{"prompt", "model"} },
		"prompts out of order":   func(m *Manifest) { m.Prompts = append(m.Prompts, Definition{"a", digest("a")}) },
		"two prompts of a name":  func(m *Manifest) { m.Prompts = append(m.Prompts, m.Prompts[0]) },
		"long resource":          func(m *Manifest) { m.Resources[0].Name = strings.Repeat("a", maxURI+1) },
		"platform without arch":  func(m *Manifest) { m.Executables[0].Platform = "darwin" },
		"platform, three parts":  func(m *Manifest) { m.Executables[0].Platform = "darwin/arm64/v8" },
		"platform with a hyphen": func(m *Manifest) { m.Executables[0].Platform = "a-b/c" },
		"executable of no bytes": func(m *Manifest) { m.Executables[0].Size = 0 },
		"build without module":   func(m *Manifest) { m.Executables[1].GoBuild.Main = "" },
		"build without settings": func(m *Manifest) { m.Executables[1].GoBuild.SettingsSHA256 = "" },
		"artifact without name":  func(m *Manifest) { m.Artifacts[0].Name = "" },
		"role of two words":      func(m *Manifest) { m.Artifacts[0].Role = "a b" },
		"role with a slash":      func(m *Manifest) { m.Artifacts[0].Role = "a/b" },
		"size below zero":        func(m *Manifest) { m.Artifacts[0].Size = -1 },
		"bind unknown":           func(m *Manifest) { m.Artifacts[0].Bind = "none" },
		"bind missing":           func(m *Manifest) { m.Artifacts[0].Bind = "" },
		"two artifacts, a path":  func(m *Manifest) { m.Artifacts[1].Path = m.Artifacts[0].Path },
		"paths that fold":        func(m *Manifest) { m.Artifacts[1].Path = strings.ToUpper(m.Artifacts[0].Path) },
		"policy is no digest":    func(m *Manifest) { m.PolicySHA256 = "x" },
		"sbom without format":    func(m *Manifest) { m.SBOM.Format = "" },
		"sbom without digest":    func(m *Manifest) { m.SBOM.SHA256 = "" },
		"vuln without a date":    func(m *Manifest) { m.Vuln.DBModified = time.Time{} },
		"vuln without a gate":    func(m *Manifest) { m.Vuln.Gate = "" },
	}
	for _, p := range []string{
		"", ".", "..", "/etc/passwd", "../x", "a/../../x", "a/../b", "./a", "a/", "a//b", `a\b`, `..\x`, `C:\x`, "C:x", "a:b", "a/.", "a\x00b", "a\nb", " a", "a ", "a.", "a./b", "a /b", "a...",
		strings.Repeat("a", maxPath+1), "a\u200b",
	} {
		tests[fmt.Sprintf("neg 53: path %q", p)] = func(m *Manifest) { m.Artifacts[0].Path = p }
	}
	for _, s := range hidden {
		tests[fmt.Sprintf("neg 47: hidden %q in the server's name", s)] = func(m *Manifest) { m.ServerName = s }
		tests[fmt.Sprintf("neg 47: hidden %q in the server's version", s)] = func(m *Manifest) { m.ServerVersion = s }
		tests[fmt.Sprintf("neg 47: hidden %q in a prompt", s)] = func(m *Manifest) { m.Prompts[0].Name = s }
		tests[fmt.Sprintf("neg 47: hidden %q in a resource", s)] = func(m *Manifest) { m.Resources[0].Name = s }
		tests[fmt.Sprintf("neg 47: hidden %q in an artifact", s)] = func(m *Manifest) { m.Artifacts[0].Name = s; m.Tools[0].Artifacts = []string{} }
		tests[fmt.Sprintf("neg 47: hidden %q in the build", s)] = func(m *Manifest) { m.Executables[1].GoBuild.Revision = s }
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := full()
			change(m)
			if err := m.Validate(); !errors.Is(err, ErrFormat) {
				t.Errorf("got %v", err)
			}
			if raw, err := m.Encode(); err == nil || raw != nil {
				t.Errorf("encoded as %s", raw)
			}
		})
	}
	var none *Manifest
	if err := none.Validate(); !errors.Is(err, ErrFormat) {
		t.Error(err)
	}
}

// TestErrorsAreBounded: a statement of many faults does not fill the log.
func TestErrorsAreBounded(t *testing.T) {
	t.Parallel()
	m := bare()
	for range 10000 {
		m.Tools = append(m.Tools, Tool{Name: strings.Repeat("\u202e", 1000)})
	}
	err := m.Validate()
	if text := fmt.Sprint(err); err == nil || len(text) > 10000 || strings.Contains(text, "\u202e") {
		t.Errorf("%d bytes: %.300s", len(text), text)
	}
}

func TestTooLargeToEncode(t *testing.T) {
	t.Parallel()
	m := bare()
	for i := range 10000 {
		m.Tools = append(m.Tools, Tool{Name: fmt.Sprintf("tool%05d", i), SHA256: digest("a"), Artifacts: []string{}})
	}
	if raw, err := m.Encode(); !errors.Is(err, ErrFormat) || raw != nil {
		t.Errorf("%d bytes, %v", len(raw), err)
	}
}

func TestAt(t *testing.T) {
	t.Parallel()
	m := full()
	for _, test := range []struct {
		name     string
		at       time.Time
		lifetime time.Duration
		want     error
	}{
		{"at its beginning", m.NotBefore, 0, nil},
		{"just before its end", m.Expires.Add(-1), 0, nil},
		{"neg 34: expired manifest", m.Expires, 0, ErrExpired},
		{"neg 34: long expired", m.Expires.AddDate(10, 0, 0), 0, ErrExpired},
		{"neg 35: notBefore in the future", m.NotBefore.Add(-1), 0, ErrNotYet},
		{"lives longer than allowed", m.NotBefore, 24 * time.Hour, ErrLongLived},
		{"lives as long as allowed", m.NotBefore, m.Expires.Sub(m.NotBefore), nil},
	} {
		if err := m.At(test.at, test.lifetime); !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", test.name, err, test.want)
		}
	}
	m.Expires = m.NotBefore.Add(MaxLifetime + time.Second)
	if err := m.At(m.NotBefore, 0); !errors.Is(err, ErrLongLived) {
		t.Error("the default does not hold:", err)
	}
}
