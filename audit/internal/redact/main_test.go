package redact

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// policy returns a policy for a test.
func policy(tb testing.TB, cfg Config) *Policy {
	tb.Helper()
	p, err := New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// holding yields secrets.
func holding(secrets ...string) func(func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for _, s := range secrets {
			if !yield([]byte(s)) {
				return
			}
		}
	}
}
