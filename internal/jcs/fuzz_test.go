package jcs

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"

	gowebpki "github.com/gowebpki/jcs"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// FuzzAppend compares with gowebpki/jcs, the implementation that the RFC's authors
// name. Whatever passes mcpsec.CheckJSON must be accepted but for numbers out of
// range; what is accepted must be what the other writes and be its own canonical form.
func FuzzAppend(f *testing.F) {
	for _, seed := range []string{
		`{"b":[1,2.50,1e21,1e-7,5e-324,-0],"a":{"\u20ac":"x","\r":"y","\ud83d\ude00":null}}`, `"\u0000\/\\\""`, `[9007199254740993,1.0,123456789012345678]`,
		"{\"\ue000\":1,\"\U00010000\":2}", `{"a":1,"\u0061":2}`, `"\ud800"`, `1e309`, ` [ ] `, `[[[[]]]]`, "\"\xff\"", `{"":{"":0}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) { compare(t, data) })
}

func compare(t *testing.T, data []byte) {
	t.Helper()
	got, err := Append(nil, data)
	if err != nil {
		if !errors.Is(err, ErrSyntax) {
			t.Fatalf("%q: %v", data, err)
		}
		if mcpsec.CheckJSON(data) == nil && json.Unmarshal(data, new(any)) == nil {
			t.Fatalf("%q is refused: %v", data, err)
		}
		return
	}
	if !json.Valid(data) || !json.Valid(got) {
		t.Fatalf("%q is accepted as %q", data, got)
	}
	again, err := Append(nil, got)
	if err != nil || !bytes.Equal(again, got) {
		t.Fatalf("%q is not stable: %q %v", got, again, err)
	}
	want, err := gowebpki.Transform(data)
	if err != nil {
		t.Fatalf("gowebpki/jcs refuses %q: %v", data, err)
	}
	if !bytes.Equal(want, got) {
		t.Fatalf("%q\nhere  %q\nthere %q", data, got, want)
	}
}

// FuzzOrder compares the order of names with the definition: code units.
func FuzzOrder(f *testing.F) {
	f.Add("\ue000", "\U00010000")
	f.Add("a\uffff", "a\U0010ffff")
	f.Add("", "a")
	f.Fuzz(func(t *testing.T, a, b string) {
		a, b = string([]rune(a)), string([]rune(b)) // valid UTF-8
		want := slices.Compare(utf16.Encode([]rune(a)), utf16.Encode([]rune(b)))
		if got := compareUTF16([]byte(a), []byte(b)); sign(got) != sign(want) {
			t.Fatalf("%q, %q: %d, want %d", a, b, got, want)
		}
	})
}

// Random doubles, in the forms in which programs write them. The seed is fixed.
func TestRandomNumbers(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(8785, 1))
	for range 20_000 {
		f := math.Float64frombits(rnd.Uint64())
		if math.IsNaN(f) || math.IsInf(f, 0) {
			continue
		}
		compare(t, strconv.AppendFloat(nil, f, 'e', -1, 64))
		compare(t, strconv.AppendFloat(nil, f, 'e', rnd.IntN(25), 64))
		compare(t, strconv.AppendInt(nil, rnd.Int64()>>rnd.IntN(63)*int64(1-2*rnd.IntN(2)), 10))
	}
}

func sign(n int) int { return min(max(n, -1), 1) }

// The files that the RFC's authors publish come with the source of gowebpki/jcs.
func TestPublishedVectors(t *testing.T) {
	t.Parallel()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/gowebpki/jcs").Output()
	if err != nil {
		t.Skipf("reason: no go command to find the source of github.com/gowebpki/jcs: %v", err)
	}
	data := filepath.Join(strings.TrimSpace(string(dir)), "testdata")
	inputs, err := filepath.Glob(filepath.Join(data, "input", "*.json"))
	if err != nil || len(inputs) < 10 {
		t.Fatalf("%d vectors in %s: %v", len(inputs), data, err)
	}
	for _, input := range inputs {
		in, err := os.ReadFile(input)
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(filepath.Join(data, "output", filepath.Base(input)))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Append(nil, in); err != nil || !bytes.Equal(got, bytes.TrimSpace(want)) {
			t.Errorf("%s: got %s %v, want %s", filepath.Base(input), got, err, want)
		}
	}
}
