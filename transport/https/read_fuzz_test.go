package https

import (
	"encoding/json"
	"testing"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// What is permitted must be what is called: the name that the chain finds is the one that
// every other reader finds.
func FuzzNameIn(f *testing.F) {
	for _, seed := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"Name":"a","name":"b"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"x":{"name":"a"},"n\u0061me":"b"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"x":"\"name\":\"a\"","y":[{"name":1}],"name":"b\"}"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"file:///a","name":"b"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":null}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		m, err := mcpsec.ReadMessage(body)
		if err != nil || m.IsAnswer() {
			return
		}
		var members map[string]json.RawMessage
		if len(m.Params()) > 0 {
			if err := json.Unmarshal(m.Params(), &members); err != nil {
				t.Fatal(err)
			}
		}
		want := ""
		if json.Unmarshal(members[named[m.Method]], &want) != nil {
			want = ""
		}
		if named[m.Method] == "" {
			want = ""
		}
		if got := nameIn(m); got != want {
			t.Errorf("found %q, want %q in %s", got, want, body)
		}
	})
}

func FuzzBatch(f *testing.F) {
	f.Add([]byte(`[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","id":"],[","method":"ping","params":{"a":[1,{"b":"}"}]}}]`))
	f.Add([]byte(`[]`))
	f.Add([]byte(`[1,]`))
	s := &Server{limits: Limits{}.withDefaults()}
	f.Fuzz(func(t *testing.T, body []byte) {
		if !isBatch(body) {
			return
		}
		messages, refused := s.split(body, nil)
		var elements []json.RawMessage
		if refused == nil && (json.Unmarshal(body, &elements) != nil || len(elements) != len(messages)) {
			t.Errorf("%d messages in %s", len(messages), body)
		}
	})
}

func FuzzHost(f *testing.F) {
	for _, seed := range []string{"a.example", "a.example:443", "A.EXAMPLE", "[::1]:8443", "a.example.", "a.example@evil", ""} {
		f.Add(seed)
	}
	known, err := newHosts([]string{"a.example", "[::1]:8443"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, host string) {
		r := request(t.Context(), "")
		r.Host = host
		switch plainHost(host) {
		case "a.example", "[::1]:8443":
		default:
			if known.allow(r) {
				t.Errorf("%q is let in", host)
			}
		}
	})
}

func TestNames(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"look": "look", "=?base64?bG9vaw==?=": "look", "=?base64?bG9vaw==": "=?base64?bG9vaw==", "": "",
	} {
		if got, ok := plainName(value); got != want || !ok {
			t.Errorf("%q: %q, %t", value, got, ok)
		}
	}
	for _, value := range []string{"=?base64?!?=", "=?base64?bG9vaw?="} {
		if _, ok := plainName(value); ok {
			t.Errorf("%q is accepted", value)
		}
	}
	for value, want := range map[string]bool{
		"application/json": true, "Application/JSON; Charset=UTF-8": true, `application/json;charset="utf-8"`: true,
		"application/json; charset=utf-16": false, "application/json; x=y": false, "application/jsonp": false, "": false,
		"application/json;": false,
	} {
		if isJSON(value) != want {
			t.Errorf("%q: %t", value, !want)
		}
	}
}
