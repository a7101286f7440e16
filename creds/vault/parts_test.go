package vault

import (
	"strings"
	"testing"
)

// Parts are how the record finds a piece of the document.
func TestPartsOfANestedDocument(t *testing.T) {
	t.Parallel()
	m, err := material([]byte(`{"db":{"user":"u","password":"`+canary+`"},"keys":["`+canary+`-2"],"pin":12345678}`), "")
	if err != nil {
		t.Fatal(err)
	}
	var parts []string
	for _, p := range m.Parts {
		parts = append(parts, string(p.Reveal()))
	}
	all := strings.Join(parts, " ") + " "
	for _, want := range []string{canary + " ", canary + "-2 ", "12345678 "} {
		if !strings.Contains(all, want) {
			t.Errorf("the record cannot find %q: parts %q", want, parts)
		}
	}
}

func TestDocumentOfTooManyParts(t *testing.T) {
	t.Parallel()
	for n, ok := range map[int]bool{maxParts: true, maxParts + 1: false, 100 * maxParts: false} {
		m, err := material([]byte(`{"all":["a"`+strings.Repeat(`,"a"`, n-1)+`]}`), "")
		if (err == nil) != ok || ok && len(m.Parts) != n || !ok && m.Secret.Reveal() != nil {
			t.Errorf("%d: %v", n, err)
		}
	}
	m, err := material([]byte(`{"a":true,"b":false,"c":null,"d":12345,"e":"","username":"u"}`), "")
	if err != nil || len(m.Parts) != 0 {
		t.Errorf("%d parts, %v", len(m.Parts), err)
	}
}
