package mcpsec_test

import (
	"testing"

	"github.com/mcpsec/mcpsec-go/internal/bench/cases"
)

// What the guard adds to a tool call, case by case. For a comparison that the drift
// of the machine does not spoil, run internal/bench.

// BenchmarkReceive is the middleware and what lies inside it, called without a
// connection.
func BenchmarkReceive(b *testing.B) { benchCases(b, cases.Direct) }

// BenchmarkDispatch is the call as the SDK's server carries it out, without a
// client.
func BenchmarkDispatch(b *testing.B) { benchCases(b, cases.Dispatch) }

// BenchmarkMemory is the call of the SDK's client over an in-memory connection.
func BenchmarkMemory(b *testing.B) { benchCases(b, cases.Memory) }

func benchCases(b *testing.B, l cases.Level) {
	b.Helper()
	for _, c := range cases.At(l) {
		b.Run(c.Name, func(b *testing.B) {
			s := startCase(b, c)
			b.Run("sequential", func(b *testing.B) {
				if err := s.Sequential(b.Context(), b, l); err != nil {
					b.Fatal(err)
				}
			})
			b.Run("parallel", func(b *testing.B) {
				if err := s.Parallel(b.Context(), b, l); err != nil {
					b.Fatal(err)
				}
			})
		})
	}
}

func startCase(b *testing.B, c cases.Case) *cases.Server {
	b.Helper()
	s, err := c.Start(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	return s
}
