package jcs

import (
	"bytes"
	"errors"
	"math"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// The examples of RFC 8785, sections 3.2.2 to 3.2.4, and what it says of strings.
func TestVectors(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, in, want string }{
		{
			"section 3.2.2", `{
			"numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
			"string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
			"literals": [null, true, false]}`,
			`{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}`,
		},
		{
			"section 3.2.3", `{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh","1":"One",
			"\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis"}`,
			`{"\r":"Carriage Return","1":"One","` + "\u0080" + `":"Control","ö":"Latin Small Letter O With Diaeresis","€":"Euro Sign","😀":"Emoji: Grinning Face","` + "\ufb33" + `":"Hebrew Letter Dalet With Dagesh"}`,
		},
		{"nothing to do", `{"a":1,"b":[true,{"c":"d"}]}`, `{"a":1,"b":[true,{"c":"d"}]}`},
		{"white space", " \t\r\n{ \"b\" : [ 1 , 2 ] , \"a\" : { } } \n", `{"a":{},"b":[1,2]}`},
		{"sorted inside out", `{"b":{"z":1,"y":[{"d":1,"c":2}]},"a":{}}`, `{"a":{},"b":{"y":[{"c":2,"d":1}],"z":1}}`},
		{"a name that begins another", `{"ab":1,"a":2,"":3}`, `{"":3,"a":2,"ab":1}`},
		{"names order by meaning, not by escape", `{"b":1,"\u0061":2,"\n":3}`, `{"\n":3,"a":2,"b":1}`},
		{"surrogates before private use", `{"\ue000":1,"\ud800\udc00":2,"\ud7ff":3,"\uffff":4}`, "{\"\ud7ff\":3,\"\U00010000\":2,\"\ue000\":1,\"\uffff\":4}"},
		{"names that differ late", "{\"x\uffffb\":1,\"x\uffffa\":2,\"x\U0010ffff\":3}", "{\"x\U0010ffff\":3,\"x\uffffa\":2,\"x\uffffb\":1}"},
		{"short escapes", `"\b\f\n\r\t\"\\\/"`, `"\b\f\n\r\t\"\\/"`},
		{"control characters", `"\u0000\u001F\u007f\u0008"`, "\"\\u0000\\u001f\u007f\\b\""},
		{"line separators stay", `"\u2028\u2029"`, "\"\u2028\u2029\""},
		{"markup stays", `"<>&\u003c"`, `"<>&<"`},
		{"replacement character is a character", `"\ufffd�"`, "\"\ufffd\ufffd\""},
		{"no normalisation", "\"\u00e9 e\u0301\"", "\"\u00e9 e\u0301\""},
		{"bare values", ` null`, `null`},
		{"empty array", `[ ]`, `[]`},
		{"__proto__ is a name", `{"b":1,"__proto__":2}`, `{"__proto__":2,"b":1}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := Append([]byte("before "), []byte(test.in))
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != "before "+test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
			again, err := Append(nil, []byte(test.want))
			if err != nil || string(again) != test.want {
				t.Errorf("the canonical form became %s, %v", again, err)
			}
		})
	}
}

// What two texts mean decides, not how they are written: an HMAC over arguments is
// the same for both.
func TestSameMeaning(t *testing.T) {
	t.Parallel()
	for _, pair := range [][2]string{
		{`{"a":1,"b":2}`, `{"b":2,"a":1}`}, {`[1.0]`, `[1]`}, {`100`, `1e2`}, {`-0`, `0`}, {`-0.0e5`, `0`},
		{`"\u0041\/"`, `"A/"`}, {`"\ud83d\ude00"`, `"😀"`}, {`9007199254740993`, `9007199254740992`}, {`1e-400`, `0`},
	} {
		a, err := Append(nil, []byte(pair[0]))
		b, err2 := Append(nil, []byte(pair[1]))
		if err != nil || err2 != nil || !bytes.Equal(a, b) {
			t.Errorf("%s: %s %v, %s: %s %v", pair[0], a, err, pair[1], b, err2)
		}
	}
}

// RFC 8785, appendix B, and the edges of the integers that are copied.
func TestNumbers(t *testing.T) {
	t.Parallel()
	for bits, want := range map[uint64]string{
		0x0000000000000000: "0", 0x8000000000000000: "0", 0x0000000000000001: "5e-324", 0x8000000000000001: "-5e-324",
		0x7fefffffffffffff: "1.7976931348623157e+308", 0xffefffffffffffff: "-1.7976931348623157e+308",
		0x4340000000000000: "9007199254740992", 0xc340000000000000: "-9007199254740992", 0x4430000000000000: "295147905179352830000",
		0x44b52d02c7e14af5: "9.999999999999997e+22", 0x44b52d02c7e14af6: "1e+23", 0x44b52d02c7e14af7: "1.0000000000000001e+23",
		0x444b1ae4d6e2ef4e: "999999999999999700000", 0x444b1ae4d6e2ef4f: "999999999999999900000", 0x444b1ae4d6e2ef50: "1e+21",
		0x3eb0c6f7a0b5ed8c: "9.999999999999997e-7", 0x3eb0c6f7a0b5ed8d: "0.000001", 0x41b3de4355555553: "333333333.3333332",
		0x41b3de4355555554: "333333333.33333325", 0x41b3de4355555555: "333333333.3333333", 0x41b3de4355555556: "333333333.3333334",
		0x41b3de4355555557: "333333333.33333343", 0xbecbf647612f3696: "-0.0000033333333333333333", 0x43143ff3c1cb0959: "1424953923781206.2",
	} {
		f := math.Float64frombits(bits)
		if got := string(appendFloat(nil, f)); got != want {
			t.Errorf("%016x is written %s, want %s", bits, got, want)
		}
		for _, format := range []byte("eEgf") { // however it is received
			in := strconv.FormatFloat(f, format, -1, 64)
			if got, err := Append(nil, []byte(in)); err != nil || string(got) != want {
				t.Errorf("%s becomes %s %v, want %s", in, got, err, want)
			}
		}
	}
	for in, want := range map[string]string{
		"1e21": "1e+21", "1E+21": "1e+21", "1e20": "100000000000000000000", "1e-7": "1e-7", "1e-6": "0.000001", "1e-07": "1e-7", "1e-10": "1e-10",
		"999999999999999": "999999999999999", "9999999999999999": "10000000000000000", "-999999999999999": "-999999999999999",
		"123456789012345678901234567890": "1.2345678901234568e+29", "0.1": "0.1", "-1.50": "-1.5", "4.9e-324": "5e-324", "2.4e-324": "0",
		"1." + strings.Repeat("0", 500): "1", "1e+0000000000000000000000001": "10", "0e999999999": "0",
	} {
		if got, err := Append(nil, []byte(in)); err != nil || string(got) != want {
			t.Errorf("%s becomes %s %v, want %s", in, got, err, want)
		}
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	nested := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	if _, err := Append(nil, []byte(nested(MaxDepth))); err != nil {
		t.Errorf("at the limit of depth: %v", err)
	}
	for name, in := range map[string]string{
		"empty": ``, "white space": ` `, "trailing value": `{} {}`, "trailing byte": `1x`, "trailing zero byte": "{}\x00", "byte order mark": "\ufeff{}",
		"duplicate": `{"a":1,"a":2}`, "duplicate apart": `{"a":1,"b":2,"a":3}`, "duplicate by escape": `{"a":1,"\u0061":2}`, "duplicate inside": `[{"b":1,"a":{},"b":2}]`,
		"invalid UTF-8": "\"\xff\"", "overlong": "\"\xc0\xaf\"", "encoded surrogate": "\"\xed\xa0\x80\"", "cut rune": "\"\xe2\x82\"", "invalid UTF-8 name": "{\"\xff\":1}",
		"lone high": `"\ud800"`, "lone low": `"\udc00"`, "high then text": `"\ud800x"`, "high then other escape": `"\ud800\n"`, "two high": `"\ud800\ud800"`, "low then high": `"\udc00\ud800"`,
		"too deep": nested(MaxDepth + 1), "depth bomb": strings.Repeat(`{"a":`, 1<<16), "overflow": `1e309`, "negative overflow": `[-1e999999]`,
		"NaN": `NaN`, "Infinity": `-Infinity`, "plus": `+1`, "leading zero": `01`, "bare point": `1.`, "no whole": `.5`, "bare exponent": `1e`, "bare sign": `-`, "hex": `0x1`,
		"minus zero one": `-01`, "exponent sign": `1e+`, "control character": "\"\n\"", "zero in string": "\"\x00\"", "unknown escape": `"\x41"`, "short escape": `"\u00"`, "escape at end": `"\`,
		"no hex": `"\u00g0"`, "unfinished string": `"a`, "unfinished array": `[1`, "unfinished object": `{"a":1`, "comma in array": `[1,]`, "comma in object": `{"a":1,}`, "only comma": `[,]`,
		"two commas": `[1,,2]`, "wrong end": `[1}`, "no colon": `{"a" 1}`, "no value": `{"a":}`, "no name": `{1:1}`, "no comma": `{"a":1 "b":2}`, "single quotes": `{'a':1}`, "comment": `{/**/}`,
		"cut literal": `tru`, "long literal": `nulll`, "case": `True`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := Append([]byte("kept"), []byte(in))
			if !errors.Is(err, ErrSyntax) || string(got) != "kept" {
				t.Fatalf("got %q, %v", got, err)
			}
		})
	}
}

func TestErrorsHoldNoContent(t *testing.T) {
	t.Parallel()
	for _, in := range []string{`{"hunter2":1,"hunter2":2}`, `{"a":"hunter2`, `"hunter2\x"`, `hunter2`, `[1e99999,"hunter2"]`} {
		_, err := Append(nil, []byte(in))
		if err == nil || strings.Contains(err.Error(), "hunter") || !strings.Contains(err.Error(), "offset") {
			t.Errorf("%s: %v", in, err)
		}
	}
}

// The scratch memory is wiped before another call may have it.
func TestNothingStaysBehind(t *testing.T) {
	w := new(writer)
	w.src = []byte(`{"z":"hunter2","hunter\u0032":1,"a":2}`)
	if err := w.document(); err != nil {
		t.Fatal(err)
	}
	w.release()
	for name, b := range map[string][]byte{"names": w.names, "moved": w.moved} {
		if b = b[:cap(b)]; len(b) == 0 || len(bytes.Trim(b, "\x00")) != 0 {
			t.Errorf("%s: %q", name, b)
		}
	}
	for _, m := range w.members[:cap(w.members)] {
		if m.name != nil {
			t.Errorf("name %q", m.name)
		}
	}
}

func TestConcurrent(t *testing.T) {
	t.Parallel()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			id := strconv.Itoa(i)
			in, want := []byte(`{"b\n":{"y":`+id+`,"x":[]},"a":"`+id+`"}`), `{"a":"`+id+`","b\n":{"x":[],"y":`+id+`}}`
			for range 200 {
				if got, err := Append(nil, in); err != nil || string(got) != want {
					t.Errorf("got %s %v", got, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// The worst orders there are: every object backwards, at every depth or in one.
func TestReversedAtEveryDepth(t *testing.T) {
	t.Parallel()
	in := strings.Repeat(`{"b":1,"a":`, MaxDepth) + `0` + strings.Repeat(`}`, MaxDepth)
	want := strings.Repeat(`{"a":`, MaxDepth) + `0` + strings.Repeat(`,"b":1}`, MaxDepth)
	if got, err := Append(nil, []byte(in)); err != nil || string(got) != want {
		t.Errorf("got %s %v", got, err)
	}
	var b strings.Builder
	b.WriteByte('{')
	for i := 20_000; i > 0; i-- {
		b.WriteString(`"` + strconv.Itoa(i+100_000) + `":1,`)
	}
	b.WriteString(`"0":0}`)
	got, err := Append(nil, []byte(b.String()))
	if err != nil || !strings.HasPrefix(string(got), `{"0":0,"100001":1,"100002":1,`) || len(got) != b.Len() {
		t.Errorf("got %.60s %v", got, err)
	}
}
