package bindings

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/mcpsec/mcpsec-go/internal/regular"
)

// A decoder makes providers of what is written, and collects what is wrong with it.
type decoder struct {
	bases  map[string]any // those that were opened; nil where one could not be
	faults []error
}

// A place is where a member stands: "tools.list_notes.db".
type place string

var ordinary = regexp.MustCompile(`^[A-Za-z0-9_/-]{1,80}$`)

func (p place) in(member string) place {
	if !ordinary.MatchString(member) {
		member = strconv.QuoteToASCII(member[:min(len(member), 80)])
	}
	return p + "." + place(member)
}

// faultf notes a fault. Its text has no value that may be a secret.
func (d *decoder) faultf(at place, format string, args ...any) {
	d.faults = append(d.faults, fmt.Errorf("%s: %w", at, fmt.Errorf(format, args...)))
}

// only returns the one member that is given of a struct with pointers, and its name.
func only[T any](d *decoder, at place, union any) (name string, one T) {
	v := reflect.ValueOf(union)
	var given, known []string
	if !v.IsNil() {
		for field, value := range v.Elem().Fields() {
			member, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			known = append(known, member)
			if value.IsNil() {
				continue
			}
			given = append(given, member)
			one, _ = reflect.TypeAssert[T](value)
		}
	}
	if len(given) == 1 {
		return given[0], one
	}
	var none T
	switch {
	case given != nil:
		d.faultf(at, "has %s: give one of them", strings.Join(given, " and "))
	case known == nil:
		d.faultf(at, "is null")
	default:
		d.faultf(at, "is empty: give one of %s", strings.Join(known, ", "))
	}
	return "", none
}

// baseOf returns the base of the name, or the zero value if there is none of this kind;
// what tells which kind that is.
func baseOf[T any](d *decoder, at place, name, what string) (b T) {
	found, ok := d.bases[name]
	switch found := found.(type) {
	case nil:
		if !ok { // what could not be opened has its fault already
			d.faultf(at.in("base"), "%.80q is not under bases: name there %s", name, what)
		}
	case T:
		return found
	default:
		d.faultf(at.in("base"), "%.80q is another kind of base: this needs %s", name, what)
	}
	return b
}

// required notes which members are missing.
func (d *decoder) required(at place, members ...string) {
	for i := 0; i+1 < len(members); i += 2 {
		if members[i+1] == "" {
			d.faultf(at.in(members[i]), "is missing")
		}
	}
}

func (d *decoder) duration(at place, text string) time.Duration {
	if text == "" {
		return 0
	}
	t, err := time.ParseDuration(text)
	if err != nil || t <= 0 {
		d.faultf(at, "is no length of time: write it as 90s, 15m or 1h")
	}
	return t
}

// path returns a path that means the same wherever the server is started.
func (d *decoder) path(at place, text string) string {
	switch {
	case text == "":
		d.faultf(at, "is missing")
	case !filepath.IsAbs(text):
		d.faultf(at, "%.80q is not an absolute path", text)
	}
	return text
}

// maxPEM bounds a file of certificates or a key, in bytes.
const maxPEM = 256 << 10

// content returns what is in a file, or nil if none is named.
func (d *decoder) content(at place, text string) []byte {
	if text == "" {
		return nil
	}
	if !filepath.IsAbs(text) {
		d.path(at, text)
		return nil
	}
	data, err := regular.ReadFile(text, maxPEM)
	if err != nil {
		d.faultf(at, "%w", err)
	}
	return data
}

// secretLike are forms that only secrets have: private keys, tokens of well-known
// services, JSON web tokens, URLs with a password, and 40 characters as the secret keys
// of AWS have.
var secretLike = regexp.MustCompile(`PRIVATE KEY-----|(?i:AGE-SECRET-KEY-)|\bhv[bs]\.[A-Za-z0-9_-]{16}|` +
	`://[^/?#@\s]*:[^/?#@\s]+@|\b(gh[oprsu]_|github_pat_|glpat-|xox[abeprs]-|sk-|ya29\.)[A-Za-z0-9_-]{16}|` +
	`\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.|^[A-Za-z0-9+][A-Za-z0-9/+]{39}$`)

// plain notes texts that look like secrets, wherever they stand.
func (d *decoder) plain(data []byte) {
	var all any
	if err := json.Unmarshal(data, &all); err != nil {
		d.faultf("bindings", "%w", err) // cannot be: it has been decoded
		return
	}
	d.look("bindings", all)
}

func (d *decoder) look(at place, v any) {
	switch v := v.(type) {
	case string:
		if secretLike.MatchString(v) {
			d.faultf(at, "looks like a secret: take it out of the file, replace it where it opens something, and name where the new one is")
		}
	case []any:
		for i, e := range v {
			d.look(at.in(strconv.Itoa(i)), e)
		}
	case map[string]any:
		for name, e := range v {
			inside := at.in("...")
			if d.look(at, name); !secretLike.MatchString(name) {
				inside = at.in(name)
			}
			d.look(inside, e)
		}
	}
}
