package ocsf

import (
	"testing"

	"github.com/mcpsec/mcpsec-go/audit"
)

// One operation is one record, read and written.
func BenchmarkAppendRecord(b *testing.B) {
	for _, schema := range []Schema{Stable, Compat, Preview} {
		b.Run(schema.String(), func(b *testing.B) {
			f, r := format(b, Config{Schema: schema}), record(call(audit.Outcome), 7)
			buf := write(b, f, r)
			b.SetBytes(int64(len(buf)))
			b.ReportAllocs()
			for b.Loop() {
				buf, _ = f.AppendRecord(buf[:0], r)
			}
		})
	}
}

// The mapping alone, without reading the line.
func BenchmarkMapping(b *testing.B) {
	f, e := format(b, Config{}), call(audit.Outcome)
	r := record(e, 7)
	w := writer{b: write(b, f, r)}
	b.ReportAllocs()
	for b.Loop() {
		w.b = w.b[:0]
		f.call(&w, r, e)
	}
}

func BenchmarkDecode(b *testing.B) {
	r := record(call(audit.Outcome), 7)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := audit.Decode(r.Line); err != nil {
			b.Fatal(err)
		}
	}
}
