package lint

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"github.com/mcpsec/mcpsec-go/attest/internal/tooldef"
	"github.com/mcpsec/mcpsec-go/attest/manifest"
	"github.com/mcpsec/mcpsec-go/internal/printable"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// A Severity says whether a definition may be signed. The zero value says no.
type Severity int

// The severities.
const (
	Error   Severity = iota // do not sign
	Warning                 // sign if you know why it is there
)

// String returns "error" or "warning".
func (s Severity) String() string {
	if s == Warning {
		return "warning"
	}
	return "error"
}

// The codes of findings. A code never changes its meaning.
const (
	HiddenCharacter  = "hidden_character"
	UnusualCharacter = "unusual_character"
	MixedScript      = "mixed_script"
	NameCharacters   = "name_characters"
	NameDuplicate    = "name_duplicate"
	NameLookAlike    = "name_look_alike"
	OffScreen        = "off_screen"
	NotStrict        = "not_strict_json"
	NumberNotKept    = "number_not_kept"
	TooLarge         = "too_large"
	RemoteIcon       = "remote_icon"
	RemoteSchema     = "remote_schema"
	VolatileMeta     = "volatile_meta"
	Contradiction    = "annotations_contradict"
)

// A Finding is one thing that speaks against signing.
type Finding struct {
	Severity Severity
	Where    string // "tool read_file: inputSchema.properties.path.description"
	Code     string
	Message  string // what is wrong; holds no hidden character
	Remedy   string // what to do about it
}

// String returns the finding in one line.
func (f Finding) String() string {
	return f.Severity.String() + ": " + f.Where + ": " + f.Message + " (" + f.Code + "): " + f.Remedy
}

// A Set is what a server offers, each definition as it goes over the wire. Only such raw
// bytes hold what a client decodes and drops.
type Set struct {
	Instructions      string
	Tools             []json.RawMessage
	Prompts           []json.RawMessage
	Resources         []json.RawMessage
	ResourceTemplates []json.RawMessage
}

// maxFindings bounds the findings of one set.
const maxFindings = 1000

// Definitions returns what speaks against signing the set, errors first, otherwise in the
// order of the set; at most 1000 findings, of which errors are kept first.
func Definitions(s Set) []Finding {
	var l linter
	l.text("instructions", s.Instructions)
	l.list("tool", "name", s.Tools)
	l.list("prompt", "name", s.Prompts)
	l.list("resource", "uri", s.Resources)
	l.list("resource template", "uriTemplate", s.ResourceTemplates)
	slices.SortStableFunc(l.found, func(a, b Finding) int { return cmp.Compare(a.Severity, b.Severity) })
	return l.found[:min(len(l.found), maxFindings)]
}

// A linter collects findings.
type linter struct{ found []Finding }

func (l *linter) add(severity Severity, where, code, message, remedy string) {
	l.found = append(l.found, Finding{severity, where, code, message, remedy})
}

// list checks the definitions of one kind, which are named by a member.
func (l *linter) list(kind, member string, wires []json.RawMessage) {
	var seen names
	for i, wire := range wires {
		where := kind + " " + strconv.Itoa(i+1)
		fields, ok := l.strict(where, wire)
		if !ok {
			continue
		}
		name, ok := fields[member].(string)
		if !ok || name == "" {
			l.add(Error, where, NameCharacters, "it has no "+member, "give it one")
			continue
		}
		where = kind + " " + visible(name)
		if kind == "tool" && !manifest.IsToolName(name) {
			l.add(Error, where, NameCharacters, "the name is not 1 to 128 ASCII letters, digits, underscores, hyphens and dots (SEP-986)", "rename it")
		}
		l.alike(&seen, where, name, member != "name")
		l.walk(where, "", fields)
		l.icons(where, fields)
		l.annotations(where, fields)
		if meta, ok := fields["_meta"].(map[string]any); ok {
			l.meta(where, "_meta", meta)
		}
	}
}

// strict decodes a definition of which there is one reading only.
func (l *linter) strict(where string, wire json.RawMessage) (fields map[string]any, ok bool) {
	if len(wire) > tooldef.Max {
		l.add(Error, where, TooLarge, fmt.Sprintf("the definition has %d bytes, the limit is %d", len(wire), tooldef.Max), "shorten it")
		return nil, false
	}
	if err := mcpsec.CheckJSON(wire); err != nil {
		l.add(Error, where, NotStrict, err.Error(), "write each member once, in valid UTF-8, and not too deep")
		return nil, false
	}
	d := json.NewDecoder(bytes.NewReader(wire))
	d.UseNumber()
	if err := d.Decode(&fields); err != nil || fields == nil {
		l.add(Error, where, NotStrict, "the definition is no JSON object", "give the object as it is in the list")
		return nil, false
	}
	if _, err := tooldef.Canonical(wire); err != nil {
		l.add(Error, where, NumberNotKept, err.Error(), "use integers up to 2^53 and decimals of at most 15 digits, or a string")
	}
	return fields, true
}

// visible returns what a stranger wrote as a reader may see it, shortened.
func visible(s string) string {
	const most = 80
	if len(s) > most {
		s = s[:most] + "..."
	}
	text := string(printable.AppendString(nil, s))
	return text[1 : len(text)-1]
}
