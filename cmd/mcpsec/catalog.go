package main

import (
	"cmp"
	"slices"
	"strings"

	"github.com/mcpsec/mcpsec-go/attest"
	"github.com/mcpsec/mcpsec-go/attest/lock"
	"github.com/mcpsec/mcpsec-go/audit"
	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/creds/aws"
	"github.com/mcpsec/mcpsec-go/mcpsec"
	"github.com/mcpsec/mcpsec-go/mcpsec/allowlist"
	"github.com/mcpsec/mcpsec-go/ratelimit"
	"github.com/mcpsec/mcpsec-go/transport/https"
	"github.com/mcpsec/mcpsec-go/transport/stdio/egress"
)

// A shelf holds the codes of one package.
type shelf struct {
	pkg    string // path of the package inside the module
	prefix string // what its code names begin with: the last element of pkg; core says "guard"
	codes  []mcpsec.Code
}

// catalog returns all codes, by package. A test fails if a package that has codes
// is not here.
func catalog() []shelf {
	shelves := []shelf{
		{"attest", "attest", attest.Codes()},
		{"attest/lock", "lock", lock.Codes()},
		{"audit", "audit", audit.Codes()},
		{"creds", "creds", creds.Codes()},
		{"creds/aws", "creds", aws.Codes()},
		{"mcpsec", "guard", mcpsec.Codes()},
		{"mcpsec/allowlist", "allowlist", allowlist.Codes()},
		{"ratelimit", "ratelimit", ratelimit.Codes()},
		{"transport/https", "https", https.Codes()},
		{"transport/stdio/egress", "egress", egress.Codes()},
	}
	for _, s := range shelves {
		slices.SortFunc(s.codes, func(a, b mcpsec.Code) int { return cmp.Compare(a.Name, b.Name) })
	}
	return shelves
}

// find returns the explanation of a code.
func find(shelves []shelf, name string) (explanation, bool) {
	for _, s := range shelves {
		for _, c := range s.codes {
			if c.Name == name {
				return explain(s, c), true
			}
		}
	}
	return explanation{}, false
}

func codeNames(shelves []shelf) []string {
	var names []string
	for _, s := range shelves {
		for _, c := range s.codes {
			names = append(names, c.Name)
		}
	}
	return names
}

// maxNearest bounds how many names a message suggests.
const maxNearest = 3

// tolerance is how many changes a word may need to be near: two swapped letters
// are two, and a long word may have more of them wrong.
func tolerance(word string) int {
	if len(word) < 4 {
		return 1
	}
	return max(2, len(word)/3)
}

// nearest returns up to three candidates that word may have been meant to be, best
// first: those it is a part of, then those a few typing errors away. The part of a
// code name behind the dot may stand for the whole.
func nearest(word string, candidates []string) []string {
	word = strings.ToLower(strings.TrimSpace(word))
	if word == "" || len(word) > maxQuoted {
		return nil
	}
	type match struct {
		name     string
		distance int
	}
	var near []match
	for _, c := range candidates {
		d := distance(word, c)
		if _, reason, ok := strings.Cut(c, "."); ok {
			d = min(d, distance(word, reason))
		}
		if len(word) > 2 && strings.Contains(c, word) {
			d = 0
		}
		if d <= tolerance(word) {
			near = append(near, match{c, d})
		}
	}
	slices.SortStableFunc(near, func(a, b match) int { return cmp.Compare(a.distance, b.distance) })
	var names []string
	for _, m := range near[:min(len(near), maxNearest)] {
		names = append(names, m.name)
	}
	return names
}

// distance counts the bytes to insert, remove or replace to get from a to b
// (Levenshtein), keeping one row of the table.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
