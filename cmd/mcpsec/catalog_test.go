package main

import (
	"bytes"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

const moduleRoot = "../.."

var (
	declaresCodes = regexp.MustCompile(`(?m)^func Codes\(\) \[\](mcpsec\.)?Code\b`)
	codeName      = regexp.MustCompile(`^[a-z][a-z0-9]*\.[a-z][a-z0-9_]*[a-z0-9]$`)
	nextSentence  = regexp.MustCompile(`[.!?]\s+\p{Lu}`)
)

// packagesWithCodes finds them in the source, so that a new package cannot be
// forgotten.
func packagesWithCodes(t *testing.T) []string {
	t.Helper()
	var pkgs []string
	root := os.DirFS(moduleRoot)
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || slices.Contains([]string{"testdata", "examples", "cmd"}, d.Name())):
			return fs.SkipDir
		case d.IsDir() || path.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		src, err := fs.ReadFile(root, name)
		if declaresCodes.Match(src) {
			pkgs = append(pkgs, path.Dir(name))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return pkgs
}

func TestCatalogHasEveryPackageWithCodes(t *testing.T) {
	t.Parallel()
	var have []string
	for _, s := range catalog() {
		have = append(have, s.pkg)
	}
	if !slices.IsSorted(have) {
		t.Errorf("catalog is not sorted: %v", have)
	}
	want := packagesWithCodes(t)
	slices.Sort(want)
	if !slices.Equal(have, want) {
		t.Errorf("catalog.go has %v, the source has %v", have, want)
	}
}

func TestCodesAreWellFormed(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for _, s := range catalog() {
		// A provider's codes are those of creds: a handler asks creds.
		control, _, _ := strings.Cut(s.pkg, "/")
		if want := path.Base(s.pkg); s.prefix != want && s.prefix != control && s.pkg != "mcpsec" {
			t.Errorf("package %s has prefix %q, want %q", s.pkg, s.prefix, want)
		}
		if len(s.codes) == 0 {
			t.Errorf("package %s has no codes", s.pkg)
		}
		for _, c := range s.codes {
			if seen[c.Name] {
				t.Errorf("%s occurs twice", c.Name)
			}
			seen[c.Name] = true
			checkCode(t, s, c)
		}
	}
}

func checkCode(t *testing.T, s shelf, c mcpsec.Code) {
	t.Helper()
	if prefix, _, _ := strings.Cut(c.Name, "."); prefix != s.prefix || !codeName.MatchString(c.Name) {
		t.Errorf("%q of package %s is not %s.lower_case", c.Name, s.pkg, s.prefix)
	}
	if !slices.Contains(kinds, c.Kind) {
		t.Errorf("%s has unknown kind %v", c.Name, c.Kind)
	}
	for what, text := range map[string]string{"meaning": c.Meaning, "remedy": c.Remedy, "wire": codeOnWire(c)} {
		if !strings.HasSuffix(text, ".") || strings.Contains(text, "\n") || nextSentence.MatchString(text) {
			t.Errorf("%s: %s %q is not one sentence with a full stop", c.Name, what, text)
		}
	}
}

func TestDocumentationIsCurrent(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join(moduleRoot, "docs", "codes.md"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(page, markdownPage(catalog())) {
		t.Error("docs/codes.md is not what the codes say: run go generate ./cmd/mcpsec")
	}
}

func TestNearestCodesOfATypingError(t *testing.T) {
	t.Parallel()
	codes := []string{"attest.not_sealed", "creds.not_bound", "guard.malformed", "ratelimit.exceeded"}
	if got := nearest(" RateLimit.Exceeded\t", codes); len(got) != 1 {
		t.Errorf("case and blanks: %q", got)
	}
	for word, want := range map[string]string{
		"ratelimit.exceded":      "ratelimit.exceeded",
		"rate_limit.exceeded":    "ratelimit.exceeded",
		"exceeded":               "ratelimit.exceeded",
		"malfromed":              "guard.malformed",
		"ratelimit":              "ratelimit.exceeded",
		"not_":                   "attest.not_sealed creds.not_bound",
		"x":                      "",
		"":                       "",
		"nothing.like.it.at.all": "",
		strings.Repeat("a", 1e6): "",
	} {
		if got := strings.Join(nearest(word, codes), " "); got != want {
			t.Errorf("%.30q: %q, want %q", word, got, want)
		}
	}
}

func TestDistance(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"kitten", "sitting", 3}, {"flaw", "lawn", 2}, {"same", "same", 0}} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("%q to %q: %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
