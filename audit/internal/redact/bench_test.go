package redact

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
)

const clean = "connect to upstream: dial tcp 10.0.0.7:5432: connection refused after 3 tries; the tool gave up, see"

func BenchmarkText(b *testing.B) {
	plain := policy(b, Config{})
	holds := policy(b, Config{Held: holding("hunter2hunter2", "another secret of the process", strings.Repeat("k", 64))})
	for _, bench := range []struct {
		name, text string
		policy     *Policy
	}{
		{"clean100", clean, plain}, {"clean100-held3", clean, holds}, {"clean-JSON620", jsonText, plain},
		{"clean4K", strings.Repeat(clean, 40), plain}, {"hit100", clean[:60] + "ghp_" + letters + "abcd", plain},
		{"assigned100", clean[:60] + "password=hunter2 user=alice token=x", plain},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.SetBytes(int64(len(bench.text)))
			b.ReportAllocs()
			for b.Loop() {
				bench.policy.Text(bench.text)
			}
		})
	}
	// What it is measured against: one alternation of the same token families.
	all := regexp.MustCompile(`A[KS]IA[A-Z0-9]{16}|gh[pousr]_\w{30}|glpat-[\w-]{20}|xox[baprs]-[\w-]{10}|[sr]k_live_\w{16}|AIza[\w-]{35}|sk-[\w-]{20}|npm_\w{36}|eyJ[\w-]{10,}\.[\w-]{4}|-----BEGIN [A-Z ]*PRIVATE|hvs\.[\w-]{20}`)
	b.Run("clean100-regexp", func(b *testing.B) {
		b.SetBytes(int64(len(clean)))
		for b.Loop() {
			all.MatchString(clean)
		}
	})
}

const (
	jsonText = `{"repository":"mcpsec/server","path":"cmd/server/main.go","ref":"refs/heads/main","page":1,"per_page":100,"filter":{"state":"open","labels":["bug","security"],"since":"2026-01-01T00:00:00Z"},"query":"is:issue author:alice sort:updated-desc","body":"Please look at the failing build: https://ci.example.com/builds/1234?log=full and say what changed since the last release. The error was: expected ';', found 'return' at line 42, column 17.","paths":["a/b/c.go","d/e/f_test.go","docs/README.md"],"dry_run":false,"limit":25,"mode":"fast","ratio":0.75,"nested":{"a":{"b":{"c":null}}},"note":"none, thank you"}`
)

func BenchmarkArguments(b *testing.B) {
	schema := any(json.RawMessage(`{"type":"object","properties":{"repository":{"type":"string"},"filter":{"$ref":"#/$defs/f"}},"$defs":{"f":{"properties":{"key":{"writeOnly":true}}}}}`))
	args := json.RawMessage(jsonText)
	for _, bench := range []struct {
		name  string
		paths []string
	}{
		{"none", nil}, {"three", []string{"/repository", "/page", "/filter/state"}}, {"wildcard", []string{"/*"}},
	} {
		p := policy(b, Config{Clear: map[string][]string{"tool": bench.paths}})
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p.Arguments("tool", schema, args)
			}
		})
	}
}

func TestCleanTextCostsNoAllocation(t *testing.T) {
	if raceEnabled {
		t.Skip("reason: sync.Pool drops what it holds at random under the race detector")
	}
	for name, p := range map[string]*Policy{
		"plain": policy(t, Config{}),
		"held":  policy(t, Config{Held: func(yield func([]byte) bool) { yield(heldKey) }}),
	} {
		for _, text := range []string{clean, jsonText, "", "[secret:held] 100% \\ +"} {
			if allocs := testing.AllocsPerRun(100, func() { p.Text(text) }); allocs != 0 {
				t.Errorf("%s: %v allocations for %.20q", name, allocs, text)
			}
		}
	}
}

var heldKey = []byte("hunter2hunter2hunter2hunter2hunter2hunter2")
