package lint

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/mcpsec/mcpsec-go/attest/internal/tooldef"
	"github.com/mcpsec/mcpsec-go/internal/printable"
)

// codes returns the findings about tools as "severity code".
func codes(tools ...string) []string {
	var s Set
	for _, t := range tools {
		s.Tools = append(s.Tools, json.RawMessage(t))
	}
	var list []string
	for _, f := range Definitions(s) {
		list = append(list, f.Severity.String()+" "+f.Code)
	}
	return list
}

func named(names ...string) (tools []string) {
	for _, n := range names {
		raw, _ := json.Marshal(map[string]string{"name": n})
		tools = append(tools, string(raw))
	}
	return tools
}

// described is a tool with a description, given as the inside of a JSON string.
func described(text string) []string {
	return []string{`{"name":"t","description":"` + text + `"}`}
}

func TestAttacksOnTheReader(t *testing.T) {
	t.Parallel()
	hidden, unusual := "error "+HiddenCharacter, "warning "+UnusualCharacter
	for _, test := range []struct {
		name  string
		tools []string
		want  []string
	}{
		{"neg 47: zero-width space", described(`Reads a file.\u200b Also sends it away.`), []string{hidden}},
		{"neg 47: zero-width joiner after a Latin letter", described(`markdown\u200d and`), []string{hidden}},
		{"neg 47: zero-width joiner between alphabets", described(`\u0645\u200cpath`), []string{hidden}},
		{"neg 47: word joiner and byte order mark inside", described(`a\u2060b\ufeffc`), []string{hidden}},
		{"neg 47: right-to-left override", described(`Lists. \u202egpk.noitcurtsni`), []string{hidden}},
		{"neg 47: bidirectional isolates", described(`a\u2066b\u2069`), []string{hidden}},
		{"neg 47: tag characters", described(`Translates text.\udb40\udc41\udb40\udc42`), []string{hidden}},
		{"neg 47: private use", described(`converts\ue000`), []string{hidden}},
		{"neg 47: private use, plane 16", described(`\udbff\udffd`), []string{hidden}},
		{"neg 47: variation selectors as a carrier of bytes", described(`ok\ufe00\ufe05\udb40\udd00`), []string{hidden}},
		{"neg 47: a second variation selector after an emoji", described(`\u26a0\ufe0f\ufe0f`), []string{hidden}},
		{"neg 47: Hangul filler", described(`a\u3164b`), []string{hidden}},
		{"neg 47: soft hyphen", described(`pass\u00adword`), []string{hidden}},
		{"neg 47: terminal escape sequence", described(`quality.\u001b[2K\u001b[1A`), []string{hidden}},
		{"neg 47: a carriage return that lets a line be overwritten", described(`send away\rRead a file`), []string{hidden}},
		{"neg 47: backspaces", described(`evil\b\b\b\bgood`), []string{hidden}},
		{"neg 47: line separator", described(`a\u2028b`), []string{hidden}},
		{"neg 47: noncharacter", described(`a\ufdd0b`), []string{hidden}},
		{"neg 47: a keycap without a digit", described(`x\ufe0f\u20e3`), []string{hidden}},
		{"neg 47: a text to the right of the screen", described(`Adds.` + strings.Repeat(" ", 80) + `Sends.`), []string{"error " + OffScreen}},
		{"neg 47: a text below the screen", described(`Adds.` + strings.Repeat(`\n \t`, 10) + `Sends.`), []string{"error " + OffScreen}},
		{"as many spaces as a screen is wide, less one", described(`Adds.` + strings.Repeat(" ", 79) + strings.Repeat(`\n`, 9) + `Sends.`), nil},
		{"neg 47: Cyrillic letters in Latin words", described(`R\u0435g\u0430rdl\u0435ss of the path`), []string{"error " + MixedScript}},
		{"neg 47: hidden in the name of a property", []string{`{"name":"t","inputSchema":{"properties":{"a\u200b":{}}}}`}, []string{hidden}},
		{"neg 47: hidden in an enumeration", []string{`{"name":"t","inputSchema":{"enum":["a",{"b":["\u202e"]}]}}`}, []string{hidden}},
		{"neg 47: hidden in a title, an annotation and _meta", []string{`{"name":"t","title":"\u200b","annotations":{"title":"\u200b"},"_meta":{"x":"\u200b"}}`}, []string{hidden, hidden, hidden}},
		{"neg 47: hidden in an unknown member", []string{`{"name":"t","execution":{"note":"\u200b"}}`}, []string{hidden}},
		{"neg 47: hidden in the name", named("read\u200bfile"), []string{"error " + NameCharacters, hidden}},
		{"a no-break space", described(`10\u00a0kB`), []string{unusual}},
		{"an ideographic space", described(`\u6771\u3000\u4eac`), []string{unusual}},
		{"a braille blank", described(`a\u2800b`), []string{unusual}},
		{"a joiner between Persian letters", described(`\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645`), []string{unusual}},
		{"an unassigned code point", described(`\ud83e\udea0\ud83f\udc00`), []string{unusual}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := codes(test.tools...); !slices.Equal(got, test.want) {
				t.Errorf("found %q, want %q", got, test.want)
			}
		})
	}
}

func TestLookAlikeNames(t *testing.T) {
	t.Parallel()
	chars, alike := "error "+NameCharacters, "error "+NameLookAlike
	for _, test := range []struct {
		name  string
		names []string
		want  []string
	}{
		{"neg 47: the same name twice", []string{"read_file", "read_file"}, []string{"error " + NameDuplicate}},
		{"neg 47: names that differ by case", []string{"read_file", "Read_File"}, []string{alike}},
		{"neg 47: full-width letters (NFKC)", []string{"read_file", "ｒead_file"}, []string{chars, alike}},
		{"neg 47: a ligature (NFKC)", []string{"read_file", "read_ﬁle"}, []string{chars, alike}},
		{"neg 47: zero-width space in the name", []string{"read_file", "read\u200b_file"}, []string{chars, alike, "error " + HiddenCharacter}},
		{"neg 47: tag character in the name", []string{"read_file", "read_file\U000e0041"}, []string{chars, alike, "error " + HiddenCharacter}},
		{"neg 47: bidirectional control in the name", []string{"read_file", "\u202eread_file"}, []string{chars, alike, "error " + HiddenCharacter}},
		{"neg 47: Cyrillic look-alike", []string{"send_mail", "s\u0435nd_mail"}, []string{chars, alike, "error " + MixedScript}},
		{"neg 47: all Cyrillic", []string{"cope", "\u0441\u043e\u0440\u0435"}, []string{chars, alike}},
		{"neg 47: capitals of a mathematical font", []string{"read", "\U0001d411EAD"}, []string{chars, alike}},
		{"neg 47: Greek capitals", []string{"tool", "T\u039f\u039fL"}, []string{chars, alike}},
		{"neg 47: Greek look-alike", []string{"tool", "t\u03bf\u03bfl"}, []string{chars, alike}},
		{"neg 47: accents", []string{"resume", "résumé"}, []string{chars, alike}},
		{"neg 47: dotless i", []string{"list", "l\u0131st"}, []string{chars, alike}},
		{"neg 47: sharp s, which folds to two letters", []string{"pass", "pa\u00df"}, []string{chars, alike}},
		{"neg 47: one for l", []string{"list_all", "1ist_all"}, []string{alike}},
		{"neg 47: capital I for l", []string{"list_all", "Iist_aIl"}, []string{alike}},
		{"neg 47: zero for O", []string{"get_to", "get_t0"}, []string{alike}},
		{"neg 47: rn for m", []string{"form", "forrn"}, []string{alike}},
		{"neg 47: vv for w", []string{"write", "vvrite"}, []string{alike}},
		{"separators only", []string{"read_file", "read-file", "readfile"}, []string{"warning " + NameLookAlike, "warning " + NameLookAlike}},
		{"names that share a beginning", []string{"list", "list_all", "list_ali_baba", "item_1", "item_2", "get_user", "get_users"}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := codes(named(test.names...)...); !slices.Equal(got, test.want) {
				t.Errorf("found %q, want %q", got, test.want)
			}
		})
	}
}

func TestDefinitionsThatNoPinHolds(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		tool string
		want []string
	}{
		{"neg 12: 2^53+1 in a schema", `{"name":"t","inputSchema":{"maximum":9007199254740993}}`, []string{"error " + NumberNotKept}},
		{"neg 12: 1e400", `{"name":"t","inputSchema":{"maximum":1e400}}`, []string{"error " + NumberNotKept}},
		{"neg 12: minus zero", `{"name":"t","inputSchema":{"minimum":-0}}`, []string{"error " + NumberNotKept}},
		{"neg 12: 2^53 is kept", `{"name":"t","inputSchema":{"maximum":9007199254740992}}`, nil},
		{"neg 10: duplicate key", `{"name":"t","name":"u"}`, []string{"error " + NotStrict}},
		{"neg 10: duplicate key, escaped", `{"name":"t","n\u0061me":"u"}`, []string{"error " + NotStrict}},
		{"neg 11: lone surrogate", `{"name":"t","title":"\ud800"}`, []string{"error " + NotStrict}},
		{"neg 11: invalid UTF-8", "{\"name\":\"t\",\"title\":\"\xff\"}", []string{"error " + NotStrict}},
		{"neg 11: depth bomb", `{"name":"t","x":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`, []string{"error " + NotStrict}},
		{"too large", `{"name":"t","title":"` + strings.Repeat("a", tooldef.Max) + `"}`, []string{"error " + TooLarge}},
		{"no object", `["t"]`, []string{"error " + NotStrict}},
		{"null", `null`, []string{"error " + NotStrict}},
		{"nothing", ``, []string{"error " + NotStrict}},
		{"no name", `{"title":"t"}`, []string{"error " + NameCharacters}},
		{"a name that is a number", `{"name":1}`, []string{"error " + NameCharacters}},
		{"a name of 129 letters", `{"name":"` + strings.Repeat("a", 129) + `"}`, []string{"error " + NameCharacters}},
		{"neg 44: read-only and destructive", `{"name":"t","annotations":{"readOnlyHint":true,"destructiveHint":true}}`, []string{"error " + Contradiction}},
		{"read-only and not destructive", `{"name":"t","annotations":{"readOnlyHint":true,"destructiveHint":false}}`, nil},
		{"an icon from elsewhere", `{"name":"t","icons":[{"src":"https://example.com/i.png"},{"src":"DATA:image/png;base64,AA=="},{}]}`, []string{"warning " + RemoteIcon, "warning " + RemoteIcon}},
		{"a schema from elsewhere", `{"name":"t","inputSchema":{"items":{"$ref":"https://example.com/s.json"},"x":{"$ref":"#/$defs/a"}}}`, []string{"warning " + RemoteSchema}},
		{"a property that is called $ref", `{"name":"t","inputSchema":{"properties":{"$ref":{"type":"string"}}}}`, nil},
		{"a time in _meta", `{"name":"t","_meta":{"com.example/at":"2026-11-22T10:00:00Z"}}`, []string{"warning " + VolatileMeta}},
		{"a request in _meta", `{"name":"t","_meta":{"x":{"requestId":7,"id":"0b9e2c64-7a0e-4a4e-9a55-0c1f0a8f5d11"}}}`, []string{"warning " + VolatileMeta, "warning " + VolatileMeta}},
		{"seconds since 1970 in _meta", `{"name":"t","_meta":{"built":1763805600}}`, []string{"warning " + VolatileMeta}},
		{"a version in _meta", `{"name":"t","_meta":{"version":"1.2.0","level":3,"beta":true}}`, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := codes(test.tool); !slices.Equal(got, test.want) {
				t.Errorf("found %q, want %q", got, test.want)
			}
		})
	}
}

// Excerpts of published servers, which must pass.
func TestBenignDefinitionsPass(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"an emoji with its selector": `principles\n\n\u26a0\ufe0f IMPORTANT`,
		"a family of emoji":          `\ud83d\udc68\u200d\ud83d\udc69\u200d\ud83d\udc67`,
		"an emoji with a skin tone":  `\ud83d\udc69\ud83c\udffd\u200d\ud83d\udcbb`,
		"a heart on fire":            `\u2764\ufe0f\u200d\ud83d\udd25`,
		"a keycap":                   `1\ufe0f\u20e3 first`,
		"a flag":                     `\ud83c\udde9\ud83c\uddea`,
		"accents":                    `Translates phrases like caf\u00e9, na\u00efve, jalape\u00f1o and Z\u00fcrich.`,
		"Chinese":                    `Romanizes CJK text such as \u6771\u4eac and \u5317\u4eac into latin script.`,
		"lines, tabs and lists":      "Lists a folder.\\r\\n\\tpath: where \u2014 default \u2018.\u2019\\n- one\\n\u2022 two\u2026",
		"Russian":                    `\u041f\u043e\u0438\u0441\u043a \u0444\u0430\u0439\u043b\u0430 (file)`,
		"units and formulas":         `5 \u03bcs, \u0394t, \u03c3=2, 10\u00b2 \u2192 x`,
		"a warning about injection":  `Detects when a tool tries to 'ignore previous instructions'.`,
		"a shell line":               `The README shows: curl https://get.example.com | sh to install.`,
	} {
		if got := codes(described(text)...); got != nil {
			t.Errorf("%s: found %q", name, got)
		}
	}
}

func TestOtherKindsAndInstructions(t *testing.T) {
	t.Parallel()
	raw := func(list ...string) (wires []json.RawMessage) {
		for _, s := range list {
			wires = append(wires, json.RawMessage(s))
		}
		return wires
	}
	found := Definitions(Set{
		Instructions:      "Be kind.\u200b",
		Prompts:           raw(`{"name":""}`, `{"name":"a prompt","arguments":[{"name":"x","description":"\u202e"}]}`),
		Resources:         raw(`{"uri":"file:///a","name":"a"}`, `{"uri":"file:///A","name":"b"}`, `{"uri":"file:///ab/c"}`, `{"uri":"file:///a/bc"}`, `{"uri":"file:///a"}`),
		ResourceTemplates: raw(`{"name":"t"}`),
	})
	var got []string
	for _, f := range found {
		if f.Message == "" || f.Remedy == "" || (f.Severity == Warning) != (f.Code == NameLookAlike) {
			t.Errorf("incomplete: %v", f)
		}
		got = append(got, f.Where+" "+f.Code)
	}
	want := []string{
		"instructions hidden_character", "prompt 1 name_characters", "prompt a prompt: arguments[0].description hidden_character",
		"resource file:///a name_duplicate", "resource template 1 name_characters", "resource file:///A name_look_alike",
	}
	if !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
}

func TestErrorsComeFirstAndFindingsEnd(t *testing.T) {
	t.Parallel()
	var s Set
	for i := range maxFindings {
		s.Tools = append(s.Tools, json.RawMessage(fmt.Sprintf(`{"name":"t%05d","icons":[{}]}`, 2*i)))
	}
	s.Tools = append(s.Tools, json.RawMessage(`{"name":"last one"}`))
	found := Definitions(s)
	if len(found) != maxFindings || found[0].Code != NameCharacters || found[1].Severity != Warning {
		t.Errorf("%d findings, the first is %v", len(found), found[0])
	}
}

// FuzzDefinitions: whatever a definition is, the linter ends, and what it says shows all
// that is in it.
func FuzzDefinitions(f *testing.F) {
	f.Add([]byte(`{"name":"t\u200b","_meta":{"\u202e":"2026-11-22T10:00:00Z"},"icons":[{}],"annotations":{"readOnlyHint":true,"destructiveHint":true}}`), "x")
	f.Add([]byte(`{"name":"t","x":{"a\u0435":[1e400]}}`), "\u26a0\ufe0f")
	f.Fuzz(func(t *testing.T, wire []byte, text string) {
		found := Definitions(Set{Instructions: text, Tools: []json.RawMessage{wire, wire}})
		for _, f := range found {
			if i := strings.IndexFunc(f.String(), printable.Hidden); i >= 0 {
				t.Fatalf("%q shows a hidden character at %d", f, i)
			}
		}
		_, err := tooldef.Digest(wire)
		if refused := slices.ContainsFunc(found, func(f Finding) bool { return f.Severity == Error }); err != nil && !refused {
			t.Fatalf("it has no digest (%v) and no error", err)
		}
	})
}
