package strictjson

import (
	"errors"
	"strings"
	"testing"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

type doc struct {
	Name  string           `json:"name"`
	Count int              `json:"count"`
	Inner inner            `json:"inner"`
	List  []inner          `json:"list"`
	Named map[string]inner `json:"named"`
	Ptr   *inner           `json:"ptr"`
	// A name longer than sixteen bytes takes another path in the decoder.
	LongName string `json:"aMemberNameOfMoreThanSixteenBytes"`
}

type inner struct {
	A string `json:"a"`
	B bool   `json:"b"`
}

// wide has no long name, so that its fields are found by the short-name path.
type wide struct {
	One   string `json:"one"`
	Two   string `json:"two"`
	Three wide2  `json:"three"`
}

type wide2 struct {
	Four string `json:"four"`
}

func TestDecodeTakesWhatIsStrict(t *testing.T) {
	var d doc
	const data = ` {"name":"n\u0061","count":-3,"inner":{"a":"x","b":true},"list":[{"a":"1"},{"b":false}],
		"named":{"ANY":{"a":"y"},"any":{"a":"z"}},"ptr":null,"aMemberNameOfMoreThanSixteenBytes":"😀"} ` + "\n"
	if err := Decode([]byte(data), 1024, &d); err != nil {
		t.Fatal(err)
	}
	if d.Name != "na" || d.Count != -3 || d.Inner != (inner{"x", true}) || len(d.List) != 2 || d.List[0].A != "1" ||
		d.Named["ANY"].A != "y" || d.Named["any"].A != "z" || d.Ptr != nil || d.LongName != "😀" {
		t.Errorf("got %+v", d)
	}
}

func TestDecodeRefuses(t *testing.T) {
	strict := func(err error) bool { return errors.Is(err, mcpsec.ErrJSON) }
	saying := func(part string) func(error) bool {
		return func(err error) bool { return strings.Contains(err.Error(), part) }
	}
	tests := []struct {
		attack, data string
		want         func(error) bool
	}{
		{"duplicate member", `{"name":"reviewed","name":"run"}`, strict},
		{"duplicate member, escaped", `{"name":"reviewed","n\u0061me":"run"}`, strict},
		{"duplicate member, nested", `{"inner":{"a":"1","b":true,"a":"2"}}`, strict},
		{"duplicate key of a map", `{"named":{"x":{},"x":{}}}`, strict},
		{"case variant", `{"Name":"run"}`, saying(`unknown member "Name"`)},
		{"case variant beside the name", `{"name":"reviewed","NAME":"run"}`, saying("unknown member")},
		{"case variant of a long name", `{"amembernameofmorethansixteenbytes":"x"}`, saying("unknown member")},
		{"case variant, nested", `{"inner":{"A":"x"}}`, saying(`unknown member "A"`)},
		{"case variant in a list", `{"list":[{"a":"x"},{"A":"x"}]}`, saying("unknown member")},
		{"case variant in a map", `{"named":{"k":{"B":true}}}`, saying("unknown member")},
		{"case variant behind a pointer", `{"ptr":{"A":"x"}}`, saying("unknown member")},
		{"case variant by a Unicode fold", "{\"li\u017ft\":[]}", saying("unknown member")},
		{"name with a zero byte", `{"name\u0000":"x"}`, saying("unknown member")},
		{"empty name", `{"":"x"}`, saying("unknown member")},
		{"unknown member", `{"nane":"x"}`, saying("unknown member")},
		{"unknown member, null", `{"nane":null}`, saying("unknown member")},
		{"unknown member, nested", `{"inner":{"c":1}}`, saying(`unknown member "c"`)},
		{"unknown member in a list", `{"list":[{"c":{"deep":[1]}}]}`, saying("unknown member")},
		{"trailing value", `{} {}`, strict},
		{"trailing byte", `{}x`, strict},
		{"trailing zero byte", "{}\x00", strict},
		{"byte order mark", "\ufeff{}", strict},
		{"invalid UTF-8", "{\"name\":\"\xff\"}", strict},
		{"overlong UTF-8", "{\"name\":\"\xc0\xaf\"}", strict},
		{"lone high surrogate", `{"name":"\ud800"}`, strict},
		{"lone low surrogate", `{"name":"\udc00x"}`, strict},
		{"surrogate in a name", `{"\ud800":1}`, strict},
		{"depth bomb", `{"list":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `}`, strict},
		{"unclosed depth bomb", strings.Repeat(`{"inner":`, 50_000), strict},
		{"too large", `{"name":"` + strings.Repeat("x", 1<<20) + `"}`, func(err error) bool { return errors.Is(err, ErrTooLarge) }},
		{"empty", ``, strict},
		{"white space", ` `, strict},
		{"null", ` null `, strict},
		{"single quotes", `{'name':'x'}`, strict},
		{"comment", `{/**/}`, strict},
		{"trailing comma", `{"name":"x",}`, strict},
		{"NaN", `{"count":NaN}`, strict},
		{"leading zero", `{"count":01}`, strict},
		{"wrong type", `{"name":1}`, saying("does not fit")},
		{"number in quotes", `{"count":"1"}`, saying("does not fit")},
		{"fraction for an integer", `{"count":1.5}`, saying("does not fit")},
		{"overflow", `{"count":9223372036854775808}`, saying("does not fit")},
		{"array for an object", `{"inner":[]}`, saying("does not fit")},
		{"array for the whole", `[]`, saying("does not fit")},
	}
	for _, test := range tests {
		t.Run(test.attack, func(t *testing.T) {
			var d doc
			err := Decode([]byte(test.data), 1<<20, &d)
			if err == nil {
				t.Fatalf("accepted as %+v", d)
			}
			if !test.want(err) {
				t.Errorf("refused for another reason: %v", err)
			}
		})
	}
}

func TestShortNamesOnly(t *testing.T) {
	for _, data := range []string{
		`{"ONE":"x"}`, `{"One":"x"}`, `{"three":{"Four":"x"}}`, `{"three":{"four":"x","five":1}}`,
		`{"on":"x"}`, `{"ones":"x"}`, `{"one\u0000":"x"}`, `{"one\u0000\u0000\u0000":"x"}`,
	} {
		var w wide
		if err := Decode([]byte(data), 100, &w); err == nil {
			t.Errorf("%s: accepted as %+v", data, w)
		}
	}
}

func TestLimitIsExact(t *testing.T) {
	data := []byte(`{"name":"x"}`)
	var d doc
	if err := Decode(data, len(data), &d); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	if err := Decode(data, len(data)-1, &d); !errors.Is(err, ErrTooLarge) {
		t.Errorf("one above the limit: %v", err)
	}
}

func TestErrorsHoldNoValueAndAreShort(t *testing.T) {
	const secret = "hunter2hunter2"
	for _, data := range []string{
		`{"count":"` + secret + `"}`, `{"inner":"` + secret + `"}`, `{"nane":"` + secret + `"}`,
		`{"name":"` + secret + `"`, `{"` + strings.Repeat("n", 10_000) + `":1}`, `"` + secret + `"`,
	} {
		var d doc
		err := Decode([]byte(data), 1<<20, &d)
		if err == nil {
			t.Fatalf("%.40s: accepted", data)
		}
		if strings.Contains(err.Error(), "hunter") || len(err.Error()) > 200 {
			t.Errorf("%.40s: %v", data, err)
		}
	}
}

func TestBadDestination(t *testing.T) {
	for name, v := range map[string]any{"nil": nil, "value": doc{}, "nil pointer": (*doc)(nil)} {
		if err := Decode([]byte(`{}`), 10, v); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
