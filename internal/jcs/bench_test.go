package jcs

import (
	"strings"
	"testing"

	gowebpki "github.com/gowebpki/jcs"
)

const (
	nested = `{"path":"/srv/data/report.csv","options":{"recursive":true,"limit":100,"filter":{"name":"*.csv","after":"2026-01-01"},"tags":["a","b"]},"ratio":0.75,"owner":"alice@example.com","dry_run":false,"n":12}`
	sorted = `{"dry_run":false,"n":12,"options":{"filter":{"after":"2026-01-01","name":"*.csv"},"limit":100,"recursive":true,"tags":["a","b"]},"owner":"alice@example.com","path":"/srv/data/report.csv","ratio":0.75}`
)

func BenchmarkAppend(b *testing.B) {
	for _, bench := range []struct{ name, in string }{
		{"nested200", nested}, {"sorted200", sorted}, {"text4K", `{"text":"` + strings.Repeat("all work and no play ", 200) + `"}`},
		{"numbers1K", `[` + strings.Repeat(`1.5,-3e-7,1234567890123,`, 40) + `0]`},
	} {
		in := []byte(bench.in)
		b.Run(bench.name, func(b *testing.B) {
			dst := make([]byte, 0, 2*len(in))
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Append(dst, in); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(bench.name+"-gowebpki", func(b *testing.B) {
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := gowebpki.Transform(in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestNoAllocation(t *testing.T) {
	if raceEnabled {
		t.Skip("reason: sync.Pool drops what it holds at random under the race detector")
	}
	for _, text := range []string{nested, sorted, `{"b\n":1,"a\t":{"d\r":-0.5e-9,"c\\":"\u0041"}}`} {
		in, dst := []byte(text), make([]byte, 0, 1024)
		if allocs := testing.AllocsPerRun(100, func() {
			if _, err := Append(dst, in); err != nil {
				t.Error(err)
			}
		}); allocs != 0 {
			t.Errorf("%s: %v allocations", text, allocs)
		}
	}
}
