package leak

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

const (
	// leastCanary is how long a secret must be for a part of it to be told from chance.
	leastCanary = 16
	// window is how much of a secret in a row is a leak.
	window = 12
)

// A Finding says where a secret was found and in which form. It does not have it.
type Finding struct {
	Place  string // of the text that was scanned
	Secret string // its name
	Form   string
}

func (f Finding) String() string { return fmt.Sprintf("%s: %s, %s", f.Place, f.Secret, f.Form) }

// A Scanner knows the secrets of a test. The zero value knows none. It is not safe for
// concurrent use.
type Scanner struct {
	needles []needle
}

type needle struct {
	secret, form string
	text         []byte
}

// Add makes the scanner look for a secret of at least 16 bytes, under a name that says
// which it is.
func (s *Scanner) Add(name, secret string) error {
	if len(secret) < leastCanary {
		return fmt.Errorf("leak: %s has %d bytes: a secret to look for has %d or more", name, len(secret), leastCanary)
	}
	add := func(form string, text string) {
		for _, n := range s.needles {
			if bytes.Equal(n.text, []byte(text)) {
				return
			}
		}
		s.needles = append(s.needles, needle{name, form, []byte(text)})
	}
	add("as it is", secret)
	for i := 0; i+window <= len(secret); i += window { // whichever piece of 23 bytes gets out has one of these
		add("in part", secret[i:i+window])
	}
	quoted, err := json.Marshal(secret)
	if err != nil {
		return err
	}
	add("in JSON", string(quoted[1:len(quoted)-1]))
	add("in a URL", url.QueryEscape(secret))
	add("in a path of a URL", url.PathEscape(secret))
	add("quoted", strings.Trim(fmt.Sprintf("%+q", secret), `"`))
	add("in hexadecimal", hex.EncodeToString([]byte(secret)))
	add("in hexadecimal", strings.ToUpper(hex.EncodeToString([]byte(secret))))
	add("in hexadecimal", fmt.Sprintf("% x", secret))
	add("in decimal", strings.Trim(fmt.Sprintf("%d", []byte(secret)), "[]"))
	reversed := []byte(secret)
	slices.Reverse(reversed)
	add("backwards", string(reversed))
	for _, b := range aligned(secret) {
		add("in base64", b)
		add("in base64", strings.NewReplacer("+", "-", "/", "_").Replace(b))
	}
	return nil
}

// aligned returns what is the same in the base64 of every text that has the secret in
// it, for each of the three ways in which the secret can fall into groups of three.
func aligned(secret string) []string {
	var all []string
	for skip := range 3 {
		whole := (len(secret) - skip) / 3 * 3
		all = append(all, base64.RawStdEncoding.EncodeToString([]byte(secret[skip:skip+whole])))
	}
	return all
}

// Scan returns the secrets that are in a text, each in each form once. It also looks at
// the text without its white space and quotes, into which a long line may have been broken.
func (s *Scanner) Scan(place string, text []byte) []Finding {
	joined := bytes.Map(func(r rune) rune {
		if strings.ContainsRune(" \t\r\n\"'`|", r) {
			return -1
		}
		return r
	}, text)
	var found []Finding
	for _, n := range s.needles {
		f := Finding{place, n.secret, n.form}
		if bytes.Contains(text, n.text) || bytes.Contains(joined, n.text) {
			if !slices.Contains(found, f) {
				found = append(found, f)
			}
		}
	}
	return found
}
