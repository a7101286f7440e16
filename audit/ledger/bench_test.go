package ledger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// benchObject is an outcome of a busy server.
var benchObject = []byte(`{"time":"2026-11-22T10:00:00.123456789Z","event":"outcome","id":"01a202ca-e31f-7623-b4c6-0d4f90fdba55","method":"tools/call","name":"search_documents","principal":{"rung":"token","issuer":"https://idp.example.com","subject":"auth0|alice","client":"claude-desktop"},"untrusted":{"session":"4bf92f3577b34da6a3ce929d0e0e4736","client":"claude-desktop"},"tool":{"digest":"sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08","version":"1.4.2"},"arguments":{"bytes":87,"keys":["filter","limit","query"],"hmac":"hmac-sha256:0a1b2c3d:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"},"decision":"allowed","latency_us":4200,"is_error":false}`)

func benchLedger(tb testing.TB, o Options) (*Ledger, string) {
	tb.Helper()
	dir := filepath.Join(tb.TempDir(), "audit")
	l, err := Open(dir, o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = l.Close() })
	return l, dir
}

// callers runs b.N operations on many goroutines and reports how many a second are
// done once finish has returned, and the median of what one took its caller.
func callers(b *testing.B, n int, do, finish func() error) {
	b.Helper()
	b.ReportAllocs()
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		times []time.Duration
	)
	b.ResetTimer()
	began := time.Now()
	for range n {
		wg.Go(func() {
			var own []time.Duration
			for i := range (b.N + n - 1) / n {
				start := time.Now()
				if err := do(); err != nil {
					b.Error(err)
					return
				}
				if i%16 == 0 {
					own = append(own, time.Since(start))
				}
			}
			mu.Lock()
			defer mu.Unlock()
			times = append(times, own...)
		})
	}
	wg.Wait()
	if err := finish(); err != nil {
		b.Error(err)
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "records/s")
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2].Nanoseconds()), "p50-ns")
}

// One operation is one record of about 700 bytes. The ledger chains, hashes and syncs
// each batch; zerolog and slog format twelve fields and write them to a file, neither
// chained nor synced.
func BenchmarkAppend(b *testing.B) {
	ctx := context.Background()
	for _, n := range []int{1, 8, 64} {
		for _, class := range []Class{Bounded, Require} {
			b.Run(fmt.Sprintf("ledger-%v/%d", class, n), func(b *testing.B) {
				l, _ := benchLedger(b, Options{})
				e := &Entry{Object: benchObject, Class: class}
				callers(b, n, func() error {
					for {
						if err := l.Append(ctx, e); !errors.Is(err, ErrBusy) {
							return err
						}
					}
				}, l.Close)
			})
		}
		b.Run(fmt.Sprintf("zerolog/%d", n), func(b *testing.B) {
			f := benchFile(b)
			log := zerolog.New(f)
			callers(b, n, func() error {
				log.Info().Time("time", time.Now()).Str("event", "outcome").Str("id", "01a202ca-e31f-7623-b4c6-0d4f90fdba55").
					Str("method", "tools/call").Str("name", "search_documents").Str("rung", "token").
					Str("issuer", "https://idp.example.com").Str("subject", "auth0|alice").Str("client", "claude-desktop").
					Str("digest", "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08").
					Int("bytes", 87).Str("decision", "allowed").Dur("latency", 4200*time.Microsecond).Send()
				return nil
			}, f.Sync)
		})
		b.Run(fmt.Sprintf("slog-json/%d", n), func(b *testing.B) {
			f := benchFile(b)
			log := slog.New(slog.NewJSONHandler(f, nil))
			callers(b, n, func() error {
				log.LogAttrs(ctx, slog.LevelInfo, "outcome", slog.String("id", "01a202ca-e31f-7623-b4c6-0d4f90fdba55"),
					slog.String("method", "tools/call"), slog.String("name", "search_documents"), slog.String("rung", "token"),
					slog.String("issuer", "https://idp.example.com"), slog.String("subject", "auth0|alice"), slog.String("client", "claude-desktop"),
					slog.String("digest", "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"),
					slog.Int("bytes", 87), slog.String("decision", "allowed"), slog.Duration("latency", 4200*time.Microsecond))
				return nil
			}, f.Sync)
		})
	}
	// The yardstick for a record that is waited for: 700 bytes, written and synced.
	b.Run("write-and-sync/1", func(b *testing.B) {
		f := benchFile(b)
		callers(b, 1, func() error {
			_, err := f.Write(benchObject)
			return errors.Join(err, dataSync(f))
		}, func() error { return nil })
	})
}

func benchFile(b *testing.B) *os.File {
	b.Helper()
	f, err := os.Create(filepath.Join(b.TempDir(), "log"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = f.Close() })
	return f
}

// One operation is one record verified, and read again at a start.
func BenchmarkRead(b *testing.B) {
	const records = 90_000 // one segment of 64 MiB
	l, dir := benchLedger(b, Options{})
	for i := range records {
		class := Bounded
		if i%1000 == 999 {
			class = Require
		}
		if err := l.Append(b.Context(), &Entry{Object: benchObject, Class: class}); err != nil {
			b.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
	b.Run("verify", func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			r, err := Verify(b.Context(), dir, VerifyOptions{})
			if err != nil || len(r.Faults) > 0 || r.Records != records {
				b.Fatal(r, err)
			}
		}
		b.ReportMetric(float64(b.N)*records/b.Elapsed().Seconds(), "records/s")
	})
	b.Run("open", func(b *testing.B) {
		for range b.N {
			l, err := Open(dir, Options{})
			if err != nil {
				b.Fatal(err)
			}
			if err := l.Close(); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N)*records/b.Elapsed().Seconds(), "records/s")
	})
}
