package audit

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"github.com/mcpsec/mcpsec-go/internal/printable"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

func FuzzAppendString(f *testing.F) {
	for _, attack := range attacks {
		f.Add(attack)
	}
	f.Fuzz(func(t *testing.T, s string) {
		line := printable.AppendString(nil, s)
		if err := mcpsec.CheckJSON(line); err != nil {
			t.Fatalf("%v: %q", err, line)
		}
		var back string
		if err := json.Unmarshal(line, &back); err != nil || back != clean(s) {
			t.Fatalf("%q reads as %q, %v", s, back, err)
		}
		if r, found := forbidden(string(line)); found {
			t.Fatalf("%U is in %q", r, line)
		}
		if r, found := forbidden(visible(s)); found {
			t.Fatalf("%U is in %q", r, visible(s))
		}
	})
}

func FuzzKeyNames(f *testing.F) {
	f.Add([]byte(`{"b":1,"a":{"x":[{"y":1}]}}`))
	f.Add([]byte(`{"\u0061\"b\\":"\":{","c":-1.5e+7}`))
	f.Add([]byte(`["a",{"b":1}]`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		names, more, cut := keyNames(nil, raw) // must not fail on anything
		var members map[string]json.RawMessage
		if mcpsec.CheckJSON(raw) != nil || json.Unmarshal(raw, &members) != nil || cut {
			return
		}
		if want := slices.Sorted(maps.Keys(members)); more != 0 || !slices.Equal(names, want) {
			t.Fatalf("%q: got %q, want %q", raw, names, want)
		}
	})
}

func FuzzRedact(f *testing.F) {
	f.Add([]byte(`{"a":"hunter2","b":[1234567]}`), "got hunter2 1.234567e+06")
	f.Fuzz(func(t *testing.T, raw []byte, text string) {
		e := Event{Reason: text}
		e.redact(raw) // must not fail on anything
		if e.Reason == withheld || len(text) > maxText {
			return
		}
		if len(e.Reason) > len(text)*len(blank) {
			t.Fatalf("%d bytes grew to %d", len(text), len(e.Reason))
		}
	})
}
