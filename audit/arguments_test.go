package audit

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

func TestKeyNames(t *testing.T) {
	long := strings.Repeat("é", 40)
	tests := []struct {
		name, args string
		want       []string
		more       int
		cut        bool
	}{
		{"sorted", `{"b":1,"a":2}`, []string{"a", "b"}, 0, false},
		{"no object", `["a",{"b":1}]`, nil, 0, false},
		{"a string that looks like a name", `"a:\"b\":"`, nil, 0, false},
		{"nested names are not top level", `{"a":{"x":[{"y":1}]},"b":[{"z":{}}]}`, []string{"a", "b"}, 0, false},
		{"values are not names", ` { "a" : "b" , "c" : [ "d" ] } `, []string{"a", "c"}, 0, false},
		{"escaped name", `{"\u0061\"b\\":"\":{","c":1}`, []string{`a"b\`, "c"}, 0, false},
		{"empty name", `{"":1}`, []string{""}, 0, false},
		{"huge name", `{"` + long + `":1}`, []string{strings.Repeat("é", 30) + "…"}, 0, true},
		{"cut short", `{"a":"b`, []string{"a"}, 0, false},
		{"not JSON", `}{{{"a":]]"b":`, nil, 0, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, more, cut := keyNames(nil, []byte(test.args))
			if !slices.Equal(got, test.want) || more != test.more || cut != test.cut {
				t.Errorf("got %q, %d more, cut %v", got, more, cut)
			}
		})
	}
}

// The names that are kept do not depend on the order in which they came.
func TestKeyNamesAreTheFirstOfAll(t *testing.T) {
	var names []string
	for i := range 300 {
		names = append(names, string(rune('a'+i%26))+string(rune('a'+i/26)))
	}
	want := slices.Sorted(slices.Values(names))[:maxKeys]
	for range 2 {
		got, more, cut := keyNames(nil, []byte(`{"`+strings.Join(names, `":0,"`)+`":0}`))
		if !slices.Equal(got, want) || more != len(names)-maxKeys || !cut {
			t.Errorf("got %q, %d more", got, more)
		}
		slices.Reverse(names)
	}
}

func TestArgumentValuesAreBlankedInTexts(t *testing.T) {
	secret := strings.Repeat("s3cret ", 400)
	tests := []struct{ name, args, text, want string }{
		{"string", `{"a":"hunter2"}`, `pattern: "hunter2" does not match`, `pattern: "[argument]" does not match`},
		{"inside a word", `{"a":"hunter2"}`, `xhunter2y`, `x[argument]y`},
		{"nested", `{"a":[{"b":["hunter2"]}]}`, `map[b:[hunter2]]`, `map[b:[[argument]]]`},
		{"escaped as received", `{"a":"hunter\u0032\n"}`, `got {"a":"hunter\u0032\n"}`, `got {"a":"[argument]"}`},
		{"unescaped", `{"a":"hunter\u0032\n"}`, "got hunter2\n!", `got [argument]!`},
		{"quoted by Go", `{"a":"hunter\u0032\u2028"}`, `got "hunter2\u2028"`, `got "[argument]"`},
		{"number", `{"a":1234567}`, `1234567 or 1.234567e+06`, `[argument] or [argument]`},
		{"number in another form", `{"a":12.50e2}`, `1250 is less than 2000`, `[argument] is less than 2000`},
		{"short values are words", `{"a":"no","b":5}`, `no: 5 is not 15, nor is note`, `[argument]: [argument] is not 15, nor is note`},
		{"overlapping values", `{"a":"abcdef","b":"defghi"}`, `abcdefghi`, `[argument]`},
		{"a value cannot blank the blank", `{"a":"argument","b":"hunter2"}`, `hunter2`, `[argument]`},
		{"names are no values", `{"hunter2":{"hunter3":true}}`, `hunter2 hunter3 true`, `hunter2 hunter3 true`},
		{"empty value", `{"a":""}`, `text`, `text`},
		{"value across the cut", `{"a":"` + secret + `"}`, strings.Repeat("x", maxText-5) + secret, strings.Repeat("x", maxText-5) + "[argument]…"},
		{"value longer than a text", `{"a":"` + secret + `"}`, secret + secret, "[argument]…"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			e := Event{Reason: test.text, Findings: []Finding{{Detail: test.text}}}
			e.redact([]byte(test.args))
			if e.Reason != test.want || e.Findings[0].Detail != test.want {
				t.Errorf("got %q", e.Reason)
			}
		})
	}
}

// A caller may send so many values that looking for them would take too long. The
// text is withheld then; the code is not.
func TestTooManyValuesToLookFor(t *testing.T) {
	for _, value := range []string{`1,`, `"aaaa",`, `"\u0061",`} {
		args := `{"a":[` + strings.Repeat(value, 1<<19) + `0]}`
		e := Event{Code: "test.no", Reason: strings.Repeat("a", maxText)}
		e.redact([]byte(args))
		if e.Reason != withheld || e.Code != "test.no" || !e.Truncated {
			t.Errorf("%s: got %+v", value, e)
		}
	}
}

func TestNoValueThroughTheGuard(t *testing.T) {
	const args = `{"p\u0061ss\"word":"S3cret-1","deep":{"list":["S3cret-2",{"S3cret-3":-98765.4321}]},"flag":true}`
	panics := func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		panic("got S3cret-1, S3cret-2 and -98765.4321")
	}
	says := mcpsec.Denial{Code: "test.no", Reason: "S3cret-1 is not allowed", Detail: args}
	for name, controls := range map[string][]mcpsec.Control{
		"panic":    nil,
		"refusal":  {refusing(says)},
		"observed": {mcpsec.InMode(mcpsec.Observe, refusing(says))},
	} {
		t.Run(name, func(t *testing.T) {
			var m memory
			_, _ = drive(t, panics, args, append(controls, New(To(&m)))...)
			got := m.one(t)
			if !slices.Equal(got.Arguments.Keys, []string{"deep", "flag", `pass"word`}) || got.Arguments.Bytes != len(args) {
				t.Errorf("arguments: %+v", got.Arguments)
			}
			for _, value := range []string{"S3cret-1", "S3cret-2", "98765.4321"} {
				if strings.Contains(m.String(), value) {
					t.Errorf("%s is in\n%s", value, &m)
				}
			}
		})
	}
}
