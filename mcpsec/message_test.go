package mcpsec

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
)

func TestReadMessage(t *testing.T) {
	t.Parallel()
	const spaced = " {\n\"params\" : { \"b\" : [ 1 , 2.50 ] , \"a\":\"x y\"}, \"method\":\"m\",\"id\":\"s\",\"jsonrpc\":\"2.0\"}\n"
	for raw, want := range map[string]string{
		`{"jsonrpc":"2.0","id":1,"method":"ping"}`: `{"jsonrpc":"2.0","id":1,"method":"ping"}`,
		spaced: `{"jsonrpc":"2.0","id":"s","method":"m","params":{"b":[1,2.50],"a":"x y"}}`,
		`{"jsonrpc":"2.0","method":"notifications/initialized","params":null}`: `{"jsonrpc":"2.0","method":"notifications/initialized"}`,
		`{"result":{},"id":-7,"jsonrpc":"2.0"}`:                                `{"jsonrpc":"2.0","id":-7,"result":{}}`,
		`{"jsonrpc":"2.0","id":0,"error":{"code":-1,"message":"no"}}`:          `{"jsonrpc":"2.0","id":0,"error":{"code":-1,"message":"no"}}`,
		`{"jsonrpc":"2.0","id":9007199254740992,"method":"p\u0069ng"}`:         `{"jsonrpc":"2.0","id":9007199254740992,"method":"p\u0069ng"}`,
	} {
		m, err := ReadMessage([]byte(raw))
		if err != nil {
			t.Errorf("%s: %v", raw, err)
		} else if string(m.Bytes()) != want {
			t.Errorf("%s\n got %s\nwant %s", raw, m.Bytes(), want)
		}
	}
}

func TestReadMessageRefuses(t *testing.T) {
	t.Parallel()
	for attack, raw := range map[string]string{
		"batch":                       `[{"jsonrpc":"2.0","id":1,"method":"ping"}]`,
		"duplicate method":            `{"jsonrpc":"2.0","id":1,"method":"tools/list","method":"tools/call"}`,
		"duplicate method, escaped":   `{"jsonrpc":"2.0","id":1,"method":"tools/list","m\u0065thod":"tools/call"}`,
		"method of another case":      `{"jsonrpc":"2.0","id":1,"method":"tools/list","Method":"tools/call"}`,
		"member of nobody":            `{"jsonrpc":"2.0","id":1,"method":"ping","x":1}`,
		"duplicate argument":          `{"jsonrpc":"2.0","id":1,"method":"m","params":{"a":1,"a":2}}`,
		"second message":              `{"jsonrpc":"2.0","id":1,"method":"ping"}{"jsonrpc":"2.0","id":2,"method":"ping"}`,
		"fraction as id":              `{"jsonrpc":"2.0","id":1.7,"method":"ping"}`,
		"whole fraction as id":        `{"jsonrpc":"2.0","id":1.0,"method":"ping"}`,
		"exponent as id":              `{"jsonrpc":"2.0","id":1e2,"method":"ping"}`,
		"negative zero as id":         `{"jsonrpc":"2.0","id":-0,"method":"ping"}`,
		"id that a float cannot hold": `{"jsonrpc":"2.0","id":9007199254740993,"method":"ping"}`,
		"id beyond 64 bits":           `{"jsonrpc":"2.0","id":99999999999999999999,"method":"ping"}`,
		"null id":                     `{"jsonrpc":"2.0","id":null,"method":"ping"}`,
		"boolean id":                  `{"jsonrpc":"2.0","id":true,"method":"ping"}`,
		"object as id":                `{"jsonrpc":"2.0","id":{},"method":"ping"}`,
		"long id":                     `{"jsonrpc":"2.0","id":"` + strings.Repeat("x", 257) + `","method":"ping"}`,
		"long method":                 `{"jsonrpc":"2.0","id":1,"method":"` + strings.Repeat("x", 257) + `"}`,
		"empty method":                `{"jsonrpc":"2.0","id":1,"method":""}`,
		"null method":                 `{"jsonrpc":"2.0","id":1,"method":null}`,
		"array of parameters":         `{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}`,
		"text as parameters":          `{"jsonrpc":"2.0","id":1,"method":"ping","params":"x"}`,
		"request with a result":       `{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}`,
		"answer with both":            `{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":""}}`,
		"answer with neither":         `{"jsonrpc":"2.0","id":1}`,
		"answer without id":           `{"jsonrpc":"2.0","result":{}}`,
		"answer with parameters":      `{"jsonrpc":"2.0","id":1,"result":{},"params":{}}`,
		"text as error":               `{"jsonrpc":"2.0","id":1,"error":"no"}`,
		"no version":                  `{"id":1,"method":"ping"}`,
		"version 1":                   `{"jsonrpc":"1.0","id":1,"method":"ping"}`,
		"version as a number":         `{"jsonrpc":2.0,"id":1,"method":"ping"}`,
		"empty object":                `{}`,
		"text":                        `"ping"`,
		"nothing":                     ` `,
		"invalid UTF-8":               "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xff\"}",
		"depth bomb":                  `{"jsonrpc":"2.0","id":1,"method":"m","params":{"a":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `}}`,
		"trailing comma":              `{"jsonrpc":"2.0","id":1,"method":"ping",}`,
		"byte order mark":             "\ufeff" + `{"jsonrpc":"2.0","id":1,"method":"ping"}`,
	} {
		m, err := ReadMessage([]byte(raw))
		switch {
		case err == nil:
			t.Errorf("%s: accepted as %s", attack, m.Bytes())
		case !errors.Is(err, ErrJSON) && !errors.Is(err, ErrBatch):
			t.Errorf("%s: %v", attack, err)
		}
	}
}

// FuzzReadMessage compares with the SDK's decoder: what is accepted here means the same
// there, in the canonical form and as it came.
func FuzzReadMessage(f *testing.F) {
	for _, seed := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"ping"}`, `[{"jsonrpc":"2.0"}]`, `{"jsonrpc":"2.0","id":1.5,"method":"x"}`,
		`{"jsonrpc":"2.0","id":"a","result":{"x": [1, 2]}}`, ` {"params":{"name":"t","arguments":{"é":"\u00e9"}},"jsonrpc":"2.0","id":3,"method":"tools/call"} `,
		`{"jsonrpc":"2.0","id":9007199254740991,"error":{"code":-32000,"message":"m","data":null}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := ReadMessage(raw)
		if err != nil {
			return
		}
		if again, err := ReadMessage(m.Bytes()); err != nil || !bytes.Equal(again.Bytes(), m.Bytes()) {
			t.Fatalf("%q: the canonical form %q reads as something else: %v", raw, m.Bytes(), err)
		}
		canon, err := jsonrpc.DecodeMessage(m.Bytes())
		if err != nil {
			if m.IsAnswer() {
				return // an error object that is none
			}
			t.Fatalf("the SDK refuses %q: %v", m.Bytes(), err)
		}
		plain, err := jsonrpc.DecodeMessage(raw)
		if err != nil {
			t.Fatalf("the SDK refuses %q but not its canonical form: %v", raw, err)
		}
		want, ok := plain.(*jsonrpc.Request)
		got, _ := canon.(*jsonrpc.Request)
		if !ok {
			a, _ := canon.(*jsonrpc.Response)
			b, _ := plain.(*jsonrpc.Response)
			if a == nil || a.ID != b.ID || a.ID != m.ID || !sameJSON(a.Result, b.Result) || !m.IsAnswer() {
				t.Fatalf("%q: answers differ", raw)
			}
			return
		}
		if got == nil || got.Method != want.Method || got.ID != want.ID || m.Method != got.Method || m.ID != got.ID ||
			!sameJSON(got.Params, want.Params) || !bytes.Equal(m.Params(), got.Params) {
			t.Fatalf("%q: requests differ: %+v, %+v", raw, got, want)
		}
	})
}

func sameJSON(a, b json.RawMessage) bool {
	if string(b) == "null" {
		b = nil
	}
	var x, y bytes.Buffer
	return bytes.Equal(a, b) || json.Compact(&x, a) == nil && json.Compact(&y, b) == nil && bytes.Equal(x.Bytes(), y.Bytes())
}

func BenchmarkReadMessage(b *testing.B) {
	compact := []byte(`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"search","arguments":{"text":"` +
		strings.Repeat("lorem ipsum ", 160) + `","limit":10}}}`)
	spaced := bytes.ReplaceAll(bytes.ReplaceAll(compact, []byte(`":`), []byte(`": `)), []byte(`,"`), []byte(`, "`))
	for name, raw := range map[string][]byte{"compact": compact, "spaced": spaced} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(raw)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ReadMessage(raw); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("sdk", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := jsonrpc.DecodeMessage(compact); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// Connections have a frame each that lasts: many of them are not an overload of messages.
func TestLastingFramesDoNotFillTheFrame(t *testing.T) {
	t.Parallel()
	var fs frames
	lasting := make([]*frame, 0, maxFrames)
	for range maxFrames {
		f := &frame{lasting: true}
		fs.begin(f)
		lasting = append(lasting, f)
	}
	one := &frame{}
	fs.begin(one)
	if fs.full(&frame{}) || fs.held.Load() != 1 {
		t.Errorf("%d messages are held", fs.held.Load())
	}
	for _, f := range append(lasting, one) {
		fs.end(f)
	}
	if fs.held.Load() != 0 {
		t.Errorf("%d messages are left", fs.held.Load())
	}
}
