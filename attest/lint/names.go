package lint

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/mcpsec/mcpsec-go/internal/printable"
)

// names are the names of one kind so far: by what they are, by how they look, and by how
// they read when separators and case do not count.
type names struct {
	exact, looks, reads map[string]string
}

// alike compares a name with those before it. URIs are chosen by programs more than by
// models, and differ by case and separators in earnest.
func (l *linter) alike(n *names, where, name string, uri bool) {
	if n.exact == nil {
		n.exact, n.looks, n.reads = map[string]string{}, map[string]string{}, map[string]string{}
	}
	severity, look := Error, skeleton(name)
	if uri {
		severity = Warning
	}
	read := strings.NewReplacer("_", "", "-", "", ".", "", "/", "", " ", "").Replace(look)
	switch {
	case n.exact[name] != "":
		l.add(Error, where, NameDuplicate, "the name is there twice", "rename one of them")
	case n.looks[look] != "":
		l.add(severity, where, NameLookAlike, "the name can be taken for "+visible(n.looks[look]), "rename one of them so that they differ by more than case and look-alike letters")
	case n.reads[read] != "" && !uri:
		l.add(Warning, where, NameLookAlike, "the name differs from "+visible(n.reads[read])+" by separators only", "rename one of them so that they differ by a word")
	}
	n.exact[name] = name
	keep(n.looks, look, name)
	keep(n.reads, read, name)
}

func keep(m map[string]string, key, name string) {
	if m[key] == "" {
		m[key] = name
	}
}

// skeleton returns the same text for names that look alike: compatibility forms (NFKD),
// case, accents, what is hidden, letters of other alphabets and letters that resemble
// digits or pairs of letters do not count.
func skeleton(name string) string {
	var b strings.Builder
	for _, r := range norm.NFKD.String(name) {
		if unicode.Is(unicode.M, r) || printable.Hidden(r) && r != ' ' {
			continue
		}
		r = unicode.ToLower(unicode.ToUpper(r)) // by way of upper case, which more letters share
		if latin, ok := latinOf[r]; ok {
			r = latin
		}
		b.WriteRune(r)
	}
	return lookAlike.Replace(b.String())
}

// lookAlike maps what resembles a letter in common fonts.
var lookAlike = strings.NewReplacer("ß", "ss", "rn", "m", "vv", "w", "0", "o", "1", "l", "i", "l", "|", "l", "!", "l")

// latinOf maps letters of other alphabets, in lower case, to the Latin letters they
// resemble; after Unicode's confusables (UTS 39), as far as they are common.
var latinOf = map[rune]rune{
	// Cyrillic
	'а': 'a', 'в': 'b', 'ь': 'b', 'с': 'c', 'ԁ': 'd', 'е': 'e', 'ё': 'e', 'һ': 'h', 'н': 'h', 'і': 'i', 'ї': 'i', 'ӏ': 'l',
	'ј': 'j', 'к': 'k', 'м': 'm', 'п': 'n', 'о': 'o', 'р': 'p', 'ԛ': 'q', 'г': 'r', 'ѕ': 's', 'т': 't', 'ц': 'u', 'ѵ': 'v',
	'ѡ': 'w', 'ԝ': 'w', 'х': 'x', 'у': 'y', 'ү': 'y', 'з': '3',
	// Greek
	'α': 'a', 'β': 'b', 'ϲ': 'c', 'ε': 'e', 'η': 'n', 'ι': 'i', 'κ': 'k', 'μ': 'u', 'ν': 'v', 'ο': 'o', 'ρ': 'p', 'σ': 'o',
	'τ': 't', 'υ': 'u', 'χ': 'x', 'γ': 'y', 'ω': 'w', 'ζ': 'z', 'ϳ': 'j',
	// Armenian
	'ա': 'w', 'օ': 'o', 'ս': 'u', 'հ': 'h', 'ո': 'n', 'ց': 'g', 'զ': 'q', 'ք': 'p',
	// Latin letters without a decomposition, and marks that stand for a separator
	'ı': 'i', 'ȷ': 'j', 'ł': 'l', 'ø': 'o', 'đ': 'd', 'ħ': 'h', 'ɑ': 'a', 'ɡ': 'g', 'ɩ': 'i', 'ʏ': 'y', 'ǀ': 'l', 'ℓ': 'l',
	'‐': '-', '‑': '-', '‒': '-', '–': '-', '—': '-', '−': '-', '․': '.', '∕': '/', '⁄': '/',
}
