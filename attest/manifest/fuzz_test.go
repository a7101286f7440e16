package manifest

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"

	"github.com/mcpsec/mcpsec-go/internal/jcs"
)

// FuzzDecode: what is accepted is what it is encoded as, and a lenient reader reads no
// other manifest from it.
func FuzzDecode(f *testing.F) {
	for _, m := range []*Manifest{full(), bare()} {
		f.Add([]byte(encoded(f, m)))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Decode(data)
		if err != nil {
			if m != nil {
				t.Fatal("a manifest and an error")
			}
			return
		}
		raw, err := m.Encode()
		if err != nil {
			t.Fatalf("accepted and cannot be encoded: %v", err)
		}
		again, err := Decode(raw)
		if err != nil || !reflect.DeepEqual(again, m) {
			t.Fatalf("%+v is %+v the second time, %v", m, again, err)
		}
		if canonical, err := jcs.Append(nil, raw); err != nil || !bytes.Equal(canonical, raw) {
			t.Fatalf("not canonical: %s, %v", raw, err)
		}
		var lenient statement
		if err := json.Unmarshal(data, &lenient); err != nil || !reflect.DeepEqual(lenient.Predicate, m) || !reflect.DeepEqual(lenient.Subject, m.Subjects()) {
			t.Fatalf("read as %+v, and otherwise as %+v, %v", m, lenient, err)
		}
	})
}

// FuzzPredicate changes the predicate within a statement that fits it.
func FuzzPredicate(f *testing.F) {
	for _, m := range []*Manifest{full(), bare()} {
		raw, err := json.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, predicate []byte) {
		var m Manifest
		if json.Unmarshal(predicate, &m) != nil {
			return
		}
		raw, err := m.Encode()
		if err != nil {
			return
		}
		got, err := Decode(raw)
		if err != nil || !reflect.DeepEqual(got, &m) {
			t.Fatalf("encoded %+v, decoded %+v, %v", m, got, err)
		}
		if changes := Diff(&m, got); len(changes) != 1 || changes[0].What != "sequence" { // it must rise
			t.Fatalf("differs from itself: %v", changes)
		}
	})
}
