package tooldef

import (
	"os"
	"strings"
	"testing"

	"github.com/mcpsec/mcpsec-go/internal/strictjson"
)

type vector struct {
	Name      string `json:"name"`
	Wire      string `json:"wire"`
	Canonical string `json:"canonical"`
	SHA256    string `json:"sha256"`
}

// TestGoldenVectors reads vectors that were made with another language's JSON and
// SHA-256; other implementations of tooldef/1 can run them too.
func TestGoldenVectors(t *testing.T) {
	raw, err := os.ReadFile("testdata/tooldef1.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []vector
	if err := strictjson.Decode(raw, 1<<20, &vectors); err != nil {
		t.Fatal(err)
	}
	for _, v := range vectors {
		t.Run(v.Name, func(t *testing.T) {
			canonical, err := Canonical([]byte(v.Wire))
			if err != nil {
				t.Fatal(err)
			}
			if string(canonical) != v.Canonical {
				t.Errorf("canonical form\n%s, want\n%s", canonical, v.Canonical)
			}
			if got, err := Digest([]byte(v.Wire)); err != nil || got != v.SHA256 {
				t.Errorf("digest %s, %v; want %s", got, err, v.SHA256)
			}
		})
	}
	if len(vectors) < 6 {
		t.Errorf("%d vectors", len(vectors))
	}
}

func TestNumbersThatAreKept(t *testing.T) {
	for _, n := range []string{
		"0", "0.0", "0e999999999999999999999", "1", "-1", "1.0", "10", "1e2", "1E+2", "100e-2", "0.1", "1.50", "9007199254740992", "-9007199254740992", "9007199254740994", "100000000000000000000",
		"1e300", "1.7976931348623157e308", "5e-324", "2.2250738585072014e-308", "123456789.125", "0.000001", "1e-7", "1e21",
		"0." + strings.Repeat("0", 1000) + "1e1001", "1" + strings.Repeat("0", 300) + "e-300",
	} {
		if !kept(n) {
			t.Errorf("%s is not kept", n)
		}
	}
	for _, n := range []string{"-0", "1e400", "1e-400", "9007199254740993", "18446744073709551615", "0.1000000000000000055511151231257827", "1e999999999999999999999", "1e-99999999999999999999", "3.141592653589793238"} {
		if kept(n) {
			t.Errorf("%s is kept", n)
		}
	}
	// Text in strings is no number.
	if err := checkNumbers([]byte(`{"a":"-0 1e400 \" 9007199254740993","b\\":1}`)); err != nil {
		t.Error(err)
	}
}
