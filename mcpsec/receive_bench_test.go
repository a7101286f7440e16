package mcpsec_test

import (
	"testing"

	"github.com/mcpsec/mcpsec-go/internal/bench/cases"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// BenchmarkReceive is the receiving middleware with all that lies inside it, called
// without a connection: what the guard adds shows best where nothing else costs
// much. The guard takes the benchmark for the SDK.
func BenchmarkReceive(b *testing.B) {
	for _, c := range cases.At(cases.Direct) {
		b.Run(c.Name, func(b *testing.B) {
			s := startCase(b, c) // before the next line: Install must meet the SDK itself
			defer func(was string) { *mcpsec.SDKPackage = was }(*mcpsec.SDKPackage)
			*mcpsec.SDKPackage = "github.com/mcpsec/"
			b.Run("sequential", func(b *testing.B) {
				if err := s.Sequential(b, cases.Direct); err != nil {
					b.Fatal(err)
				}
			})
			b.Run("parallel", func(b *testing.B) {
				if err := s.Parallel(b, cases.Direct); err != nil {
					b.Fatal(err)
				}
			})
		})
	}
}
