package redact

import (
	"math/bits"
	"unicode/utf8"
)

// Grams are the three bytes in a row that a text has in any of its readings: as they
// are, escaped, or out of hex or base64. Most held secrets are not in most texts, and
// this tells so for a secret at the price of a few bits, however many are held. It may
// have more than the text, and never less.
type grams struct {
	bits  []uint64
	shift int
}

// maxGrams bounds what is kept for the next text, in words.
const maxGrams = 1 << 12

// of takes the grams of a text.
func (g *grams) of(text string, escapes bool) {
	size := min(max(bits.Len(uint(len(text)))+4, 12), 24) // sixteen bits or more for each byte
	if n := 1 << (size - 6); n <= cap(g.bits) {
		g.bits = g.bits[:n]
		clear(g.bits)
	} else {
		g.bits = make([]uint64, n)
	}
	g.shift = 32 - size
	for i := 0; i+2 < len(text); i++ {
		g.add(uint32(text[i])<<16 | uint32(text[i+1])<<8 | uint32(text[i+2]))
	}
	g.decode(text)
	if escapes {
		for i := range len(text) {
			g.unescape(text[i:], 0, 0)
		}
	}
}

// decode adds what stands in every six characters of hex and every four of base64.
func (g *grams) decode(text string) {
	var hex, sixes uint32
	hexes, groups := 0, 0
	for i := range len(text) {
		c := text[i]
		if hexes++; hexChar[c] {
			hex = hex<<4 | uint32(unhex(text[i:i+1])) //nolint:gosec // one digit
		} else {
			hexes = 0
		}
		if groups++; base64any[c] {
			sixes = sixes<<6 | sixBits(c)
		} else {
			groups = 0
		}
		if hexes >= 6 {
			g.add(hex & 0xffffff)
		}
		if groups >= 4 {
			g.add(sixes & 0xffffff)
		}
	}
}

// sixBits is the value of a character of either base64 alphabet.
func sixBits(c byte) uint32 {
	switch {
	case c >= 'a':
		return uint32(c-'a') + 26
	case c == '_', c == '/':
		return 63
	case c >= 'A':
		return uint32(c - 'A')
	case c >= '0':
		return uint32(c-'0') + 52
	default: // + and -
		return 62
	}
}

// unescape adds what the text begins with when each escape in it is one, or is none,
// after n bytes of a gram.
func (g *grams) unescape(t string, gram uint32, n int) {
	if n == 3 {
		g.add(gram)
		return
	}
	if t == "" {
		return
	}
	g.unescape(t[1:], gram<<8|uint32(t[0]), n+1)
	var room [utf8.UTFMax]byte
	b, size := unescape(t, room[:0])
	if len(b) == 0 {
		return
	}
	for _, c := range b[:min(len(b), 3-n)] {
		gram = gram<<8 | uint32(c)
	}
	g.unescape(t[size:], gram, min(n+len(b), 3))
}

func (g *grams) place(gram uint32) (word uint32, bit uint64) {
	at := gram * 0x9e3779b1 >> g.shift
	return at >> 6, 1 << (at & 63)
}

func (g *grams) add(gram uint32) {
	word, bit := g.place(gram)
	g.bits[word] |= bit
}

// has reports whether the text may have the first three of the bytes in a row.
func (g *grams) has(b []byte) bool {
	word, bit := g.place(uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2]))
	return g.bits[word]&bit != 0
}

// may reports whether the text may have the secret, of minHeld bytes or more, as it is,
// in hex or in base64. There its threes are whole groups of four, from the first, second
// or third byte on.
func (g *grams) may(secret []byte) bool {
	head := secret[:min(len(secret), 15)]
	for from := range 3 {
		i := from
		for i+3 <= len(head) && g.has(head[i:]) {
			i += 3
		}
		if i+3 > len(head) {
			return true
		}
	}
	return false
}
