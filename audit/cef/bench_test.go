package cef

import "testing"

// One operation is one record, read and written.
func BenchmarkAppendRecord(b *testing.B) {
	for _, d := range dialects(b, Config{}) {
		b.Run(d.name, func(b *testing.B) {
			r := record(refusal(), 7)
			buf, err := d.format.AppendRecord(nil, r)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(buf)))
			b.ReportAllocs()
			for b.Loop() {
				buf, _ = d.format.AppendRecord(buf[:0], r)
			}
		})
	}
}

// The mapping alone, without reading the line.
func BenchmarkMapping(b *testing.B) {
	for _, d := range dialects(b, Config{}) {
		b.Run(d.name, func(b *testing.B) {
			e := refusal()
			r, v := record(e, 7), judge(e)
			m := message{leef: d.format.leef, delimiter: d.format.config.Delimiter, limit: d.format.config.MaxBytes}
			b.ReportAllocs()
			for b.Loop() {
				m.b = m.b[:0]
				d.format.header(&m, v, e.Code)
				m.event(r, e, v)
			}
		})
	}
}
