package mcpsec_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

func TestCheckJSON(t *testing.T) {
	t.Parallel()
	wide := func(names int, last string) string {
		var b strings.Builder
		b.WriteByte('{')
		for i := range names {
			fmt.Fprintf(&b, `"k%d":%d,`, i, i)
		}
		fmt.Fprintf(&b, `%q:0}`, last)
		return b.String()
	}
	good := map[string]string{
		"empty object":        `{}`,
		"all kinds":           ` {"a":[1,-0.5e+7,true,false,null,"x"],"b":{"a":1}} `,
		"escapes":             `{"a\n":"\u00e4\ud83d\ude00\\\/"}`,
		"same name apart":     `[{"a":1},{"a":2}]`,
		"a prefix is another": `{"a":1,"ab":2}`,
		"depth at the bound":  strings.Repeat("[", 65) + strings.Repeat("]", 65),
		"wide":                wide(40, "other"),
		"scalar":              `0`,
	}
	bad := map[string]string{
		"nothing":                    ``,
		"only space":                 `  `,
		"two values":                 `{} {}`,
		"trailing garbage":           `{}x`,
		"byte order mark":            "\ufeff{}",
		"comment":                    `{/**/}`,
		"trailing comma":             `[1,]`,
		"trailing comma in object":   `{"a":1,}`,
		"duplicate name":             `{"a":1,"a":2}`,
		"duplicate name escaped":     `{"a":1,"\u0061":2}`,
		"duplicate name nested":      `{"x":[{"a":1,"a":2}]}`,
		"duplicate among many":       wide(40, "k7"),
		"duplicate at the 17th":      wide(16, "k0"),
		"invalid UTF-8":              "\"\xff\"",
		"invalid UTF-8 in a name":    "{\"\xc3\":1}",
		"overlong UTF-8":             "\"\xc0\xaf\"",
		"lone high surrogate":        `"\ud83d"`,
		"lone low surrogate":         `"\ude00"`,
		"high then not low":          `"\ud83d\u0041"`,
		"raw control character":      "\"a\nb\"",
		"unfinished string":          `"abc`,
		"unfinished escape":          `"abc\`,
		"bad escape":                 `"\x41"`,
		"bad hex":                    `"\u00g0"`,
		"too deep":                   strings.Repeat("[", 66) + strings.Repeat("]", 66),
		"depth bomb":                 strings.Repeat(`{"a":`, 100_000),
		"leading zero":               `01`,
		"plus sign":                  `+1`,
		"bare point":                 `.5`,
		"point without digits":       `1.`,
		"exponent without digits":    `1e`,
		"NaN":                        `NaN`,
		"single quotes":              `{'a':1}`,
		"no colon":                   `{"a" 1}`,
		"number as a name":           `{1:2}`,
		"truncated literal":          `tru`,
		"unfinished object":          `{"a":1`,
		"unfinished array":           `[1`,
		"form feed is no space":      "\f{}",
		"no-break space is no space": "\u00a0{}",
	}
	for name, text := range good {
		if err := mcpsec.CheckJSON([]byte(text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !json.Valid([]byte(text)) {
			t.Errorf("%s: the standard library disagrees", name)
		}
	}
	for name, text := range bad {
		err := mcpsec.CheckJSON([]byte(text))
		if !errors.Is(err, mcpsec.ErrJSON) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What CheckJSON accepts, the standard library accepts, and reads as an object
// with as many members as it has: nothing was lost to a duplicate.
func FuzzCheckJSON(f *testing.F) {
	for _, seed := range []string{`{}`, `{"a":1,"\u0061":2}`, `[{"a":[1,2.5e3]},"\ud83d\ude00"]`, `"\ud800"`, "\"\xff\"", `{"a":{"b":{"c":null}}}`, `-0`, `1e400`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := mcpsec.CheckJSON(data); err != nil {
			if !errors.Is(err, mcpsec.ErrJSON) {
				t.Fatalf("%v does not wrap ErrJSON", err)
			}
			return
		}
		if !json.Valid(data) {
			t.Fatalf("accepted what is not JSON: %q", data)
		}
		d := json.NewDecoder(bytes.NewReader(data))
		d.UseNumber()
		var v any
		if err := d.Decode(&v); err != nil {
			t.Fatal(err)
		}
		canonical, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.ContainsRune(canonical, '\ufffd') && !bytes.Contains(data, []byte("\ufffd")) && !bytes.Contains(bytes.ToLower(data), []byte(`\ufffd`)) {
			t.Fatalf("a reader replaced characters in %q", data)
		}
		if got, want := members(v), bytes.Count(stripStrings(data), []byte(":")); got != want {
			t.Fatalf("%d members were read of %d in %q", got, want, data)
		}
	})
}

func members(v any) (n int) {
	switch v := v.(type) {
	case map[string]any:
		n = len(v)
		for _, e := range v {
			n += members(e)
		}
	case []any:
		for _, e := range v {
			n += members(e)
		}
	}
	return n
}

// stripStrings removes string contents from valid JSON, so that colons can be counted.
func stripStrings(data []byte) (out []byte) {
	in := false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case in && c == '\\':
			i++
		case c == '"':
			in = !in
		case !in:
			out = append(out, c)
		}
	}
	return out
}

func BenchmarkCheckJSON(b *testing.B) {
	data := []byte(`{"path":"/srv/notes/2026/welcome.txt","options":{"encoding":"utf-8","limit":4096,"tags":["a","b","c"]},"text":"` + strings.Repeat("words ", 300) + `"}`)
	b.Run("check", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		b.ReportAllocs()
		for b.Loop() {
			if err := mcpsec.CheckJSON(data); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encoding/json.Valid", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			if !json.Valid(data) {
				b.Fatal()
			}
		}
	})
}
