package lint

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/mcpsec/mcpsec-go/internal/printable"
)

// walk checks every text at and below a value, and every name of a member.
func (l *linter) walk(where, at string, value any) {
	switch v := value.(type) {
	case string:
		l.text(where+": "+at, v)
	case []any:
		for i, e := range v {
			l.walk(where, at+"["+strconv.Itoa(i)+"]", e)
		}
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			below := strings.TrimPrefix(at+"."+visible(name), ".")
			l.text(where+": the name of "+below, name)
			l.walk(where, below, v[name])
			if ref, ok := v[name].(string); ok && (name == "$ref" || name == "$dynamicRef") && remote(ref) {
				l.add(Warning, where+": "+below, RemoteSchema, "the schema is fetched from elsewhere, and can change after it was signed", "write it into $defs")
			}
		}
	}
}

func remote(url string) bool {
	scheme, _, ok := strings.Cut(strings.ToLower(url), "://")
	return ok && scheme != "" || strings.HasPrefix(url, "//")
}

// text checks what a person reviews and a model reads.
func (l *linter) text(where, s string) {
	var hidden, unusual []string
	runes := []rune(s)
	for i, r := range runes {
		switch judge(runes, i) {
		case bad:
			hidden = append(hidden, fmt.Sprintf("%U", r))
		case odd:
			unusual = append(unusual, fmt.Sprintf("%U", r))
		case good:
		}
	}
	if len(hidden) > 0 {
		l.add(Error, where, HiddenCharacter, "a reader does not see what a model reads: "+some(hidden), "remove the characters")
	}
	if offScreen(s) {
		l.add(Error, where, OffScreen, "what comes after so much white space is not on the reader's screen", "remove the white space")
	}
	if word := mixed(s); word != "" {
		l.add(Error, where, MixedScript, "the word "+visible(word)+" mixes Latin with Cyrillic or Armenian letters that look like them", "write the word in one alphabet")
	}
	if len(unusual) > 0 {
		l.add(Warning, where, UnusualCharacter, "characters that a reader may not tell from a space, or from nothing: "+some(unusual), "replace them if nothing needs them")
	}
}

// maxSpaces and maxLines bound what is left empty in a text, in a row. Definitions of
// published servers have up to 30 spaces and 3 line feeds.
const (
	maxSpaces = 79
	maxLines  = 9
)

// offScreen reports whether a text is moved out of sight.
func offScreen(s string) bool {
	spaces, lines := 0, 0
	for _, r := range s {
		switch {
		case !unicode.IsSpace(r):
			spaces, lines = 0, 0
		case r == '\n':
			spaces, lines = 0, lines+1
		default:
			spaces++
		}
		if spaces > maxSpaces || lines > maxLines {
			return true
		}
	}
	return false
}

// mixed returns a word whose letters are of alphabets that nobody mixes. To a reader it is
// a word; to a filter it is none. Greek is left out: units and formulas mix it.
func mixed(s string) string {
	for word := range strings.FieldsFuncSeq(s, func(r rune) bool { return !unicode.IsLetter(r) }) {
		isLatin := func(r rune) bool { return unicode.Is(unicode.Latin, r) }
		isOther := func(r rune) bool { return unicode.In(r, unicode.Cyrillic, unicode.Armenian) }
		if strings.ContainsFunc(word, isOther) && strings.ContainsFunc(word, isLatin) {
			return word
		}
	}
	return ""
}

// some lists the first few of many.
func some(list []string) string {
	const most = 5
	if len(list) <= most {
		return strings.Join(list, " ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:most], " "), len(list)-most)
}

// A verdict is what a character is where it stands.
type verdict int

const (
	good verdict = iota
	odd
	bad
)

const (
	zeroWidthNonJoiner = '\u200c'
	zeroWidthJoiner    = '\u200d'
	textSelector       = '\ufe0e'
	emojiSelector      = '\ufe0f'
	keycap             = '\u20e3'
	brailleBlank       = '\u2800' // prints, as nothing
)

// judge looks at one character and its neighbours. Characters that are needed to write a
// language, or an emoji, are not hidden where they do that, once.
func judge(runes []rune, i int) verdict {
	r := runes[i]
	before, after := at(runes, i-1), at(runes, i+1)
	switch {
	case r == '\n' || r == '\t' || r == '\r' && after == '\n':
		return good
	case r == brailleBlank:
		return odd
	case !printable.Hidden(r):
		return good
	case r == textSelector || r == emojiSelector:
		return selector(before, after)
	case r == zeroWidthJoiner || r == zeroWidthNonJoiner:
		return joiner(r, before, after)
	case unicode.Is(unicode.Zs, r) || unassigned(r): // no-break space, ideographic space, a new emoji
		return odd
	}
	return bad
}

// selector judges the choice between an emoji and a sign, as in ⚠️.
func selector(before, after rune) verdict {
	if pictograph(before) || after == keycap && strings.ContainsRune("0123456789#*", before) {
		return good
	}
	return bad
}

// joiner judges what makes one emoji of two, or joins letters as their script needs it.
func joiner(r, before, after rune) verdict {
	switch {
	case r == zeroWidthJoiner && (pictograph(before) || before == emojiSelector || skinTone(before)) && pictograph(after):
		return good
	case unicode.In(before, joining...) && unicode.In(after, joining...):
		return odd
	}
	return bad
}

func at(runes []rune, i int) rune {
	if i < 0 || i >= len(runes) {
		return 0
	}
	return runes[i]
}

// pictograph reports whether a character can be an emoji, roughly: a symbol that is no
// letter or digit.
func pictograph(r rune) bool {
	return unicode.Is(unicode.So, r) && r != brailleBlank || strings.ContainsRune("‼⁉↔↕↖↗↘↙↩↪⤴⤵〰〽", r)
}

func skinTone(r rune) bool { return r >= 0x1f3fb && r <= 0x1f3ff }

// unassigned reports whether this version of Unicode knows nothing of a character, which
// may be a new emoji. Noncharacters and ignorable code points stay hidden.
func unassigned(r rune) bool {
	return !unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Cs, unicode.Z, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector, unicode.Noncharacter_Code_Point)
}

// joining are the scripts that need joiners to write words.
var joining = []*unicode.RangeTable{
	unicode.Arabic, unicode.Syriac, unicode.Nko, unicode.Mongolian, unicode.Devanagari, unicode.Bengali,
	unicode.Gurmukhi, unicode.Gujarati, unicode.Oriya, unicode.Tamil, unicode.Telugu, unicode.Kannada,
	unicode.Malayalam, unicode.Sinhala, unicode.Khmer, unicode.Myanmar, unicode.Tibetan,
}
