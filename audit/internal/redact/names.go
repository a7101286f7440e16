package redact

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxName bounds the names that are judged, in bytes; a longer one is secret.
const maxName = 128

// stems make a name secret wherever they stand in it, once case and separators are
// gone: client_secret, dbPassword, X-Api-Key, sessionid.
var stems = byFirst(
	"secret", "passw", "passphrase", "passcode", "token", "credential", "session", "cookie", "authorization", "bearer", "apikey", "accesskey",
	"privatekey", "signingkey", "encryptionkey", "masterkey", "connectionstring", "mnemonic", "seedphrase",
)

// words make a name secret where they are one of its words only: pin, but not
// pinned.
var words = byFirst("-pwd-", "-pw-", "-pass-", "-pin-", "-otp-", "-totp-", "-jwt-", "-auth-", "-sas-", "-cvv-", "-cvc-", "-creds-", "-dsn-", "-oauth-")

// pieces are texts by their first letter.
type pieces [256][]string

func byFirst(all ...string) *pieces {
	var p pieces
	for _, s := range all {
		c := strings.TrimPrefix(s, "-")[0]
		p[c] = append(p[c], s)
	}
	return &p
}

// in reports whether one of the pieces is in a name.
func (p *pieces) in(name []byte) bool {
	for i, c := range name {
		for _, s := range p[c] {
			at := i
			if s[0] == '-' {
				at--
			}
			if at >= 0 && len(name)-at >= len(s) && string(name[at:at+len(s)]) == s {
				return true
			}
		}
	}
	return false
}

// counts are names around "token" that count the tokens of a model.
var counts = map[string]bool{
	"maxtokens": true, "mintokens": true, "numtokens": true, "totaltokens": true, "inputtokens": true, "outputtokens": true,
	"prompttokens": true, "completiontokens": true, "maxoutputtokens": true, "maxcompletiontokens": true, "maxnewtokens": true,
	"tokencount": true, "tokenlimit": true, "tokenizer": true,
}

// names decides which member names are secret.
type names struct {
	words [][]byte // "-card-no-"
	whole map[string]bool
}

func (n *names) add(further []string) (errs []error) {
	n.whole = make(map[string]bool, len(further))
	if len(further) > maxNames {
		errs = append(errs, fmt.Errorf("redact.Config.Names: %d names, the limit is %d", len(further), maxNames))
	}
	for _, name := range further {
		folded := fold(nil, name)
		switch {
		case !utf8.ValidString(name) || len(folded) <= 1:
			errs = append(errs, fmt.Errorf("redact.Config.Names: %.32q has no letter or digit, or is not UTF-8", name))
		case len(name) > maxName/2:
			errs = append(errs, errors.New("redact.Config.Names: a name is longer than 64 bytes"))
		default:
			n.words = append(n.words, folded)
			n.whole[string(squash(nil, folded))] = true
		}
	}
	return errs
}

// secret reports whether a member of this name holds a secret.
func (n *names) secret(name string) bool {
	if len(name) > maxName {
		return true
	}
	var room, room2 [2*maxName + 2]byte
	folded := fold(room[:0], name)
	if words.in(folded) || slices.ContainsFunc(n.words, func(w []byte) bool { return bytes.Contains(folded, w) }) {
		return true
	}
	squashed := squash(room2[:0], folded)
	if counts[string(squashed)] {
		return n.whole[string(squashed)]
	}
	return stems.in(squashed) || n.whole[string(squashed)]
}

// fold appends a name as lower-case words between hyphens: apiKey, API-Key, APIKey
// and api.key all become "-api-key-".
func fold(b []byte, name string) []byte {
	b = append(b, '-')
	var last rune // class of the rune before: 'a', 'A', '0', or zero
	for i, r := range name {
		class := rune(0)
		switch {
		case unicode.IsUpper(r):
			class = 'A'
		case unicode.IsLetter(r):
			class = 'a'
		case unicode.IsDigit(r):
			class = '0'
		}
		starts := last != 0 && class != last && (last != 'A' || class != 'a')
		if last == 'A' && class == 'A' { // the K of APIKey
			next, _ := utf8.DecodeRuneInString(name[i+utf8.RuneLen(r):])
			starts = unicode.IsLower(next)
		}
		if (class == 0 || starts) && b[len(b)-1] != '-' {
			b = append(b, '-')
		}
		if class != 0 {
			if r == 'ſ' { // encoding/json takes it for an s
				r = 's'
			}
			b = utf8.AppendRune(b, unicode.ToLower(r))
		}
		last = class
	}
	if b[len(b)-1] != '-' {
		b = append(b, '-')
	}
	return b
}

// squash appends a folded name without its hyphens.
func squash(b, folded []byte) []byte {
	for _, c := range folded {
		if c != '-' {
			b = append(b, c)
		}
	}
	return b
}

// Held is [Policy.Text] for a text in which what looks like a secret is none, such
// as the public half of a credential: only what the process holds is replaced.
func (p *Policy) Held(s string) (string, bool) {
	if hits := p.heldIn(s, nil); len(hits) > 0 {
		return "[secret:held]", true
	}
	return s, false
}

// SecretName reports whether a member of this name is never recorded.
func (p *Policy) SecretName(name string) bool { return p.names.secret(name) }
