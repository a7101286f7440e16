package lock

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

// Every refusal is in the log, as Logger promises: also those that no comparison makes.
func TestEveryRefusalIsLogged(t *testing.T) {
	t.Parallel()
	start := func(t *testing.T, rewrite func(u *upstream), opts ...Option) (*upstream, *bytes.Buffer, []Option) {
		u := newUpstream(t)
		u.learn(Reviewed)
		if rewrite != nil {
			rewrite(u)
		}
		out := new(bytes.Buffer)
		return u, out, append(opts, Logger(slog.New(slog.NewTextHandler(out, nil))))
	}
	check := func(t *testing.T, err error, out *bytes.Buffer) {
		d := DenialOf(err)
		if d == nil {
			t.Fatalf("not refused: %v", err)
		}
		if !strings.Contains(out.String(), "level=ERROR") || !strings.Contains(out.String(), d.Code) {
			t.Errorf("%s is not logged: %q", d.Code, out)
		}
	}
	t.Run("a tool that was never approved", func(t *testing.T) {
		u, out, opts := start(t, nil)
		check(t, call(t.Context(), u.pinned(opts...), "hidden"), out)
	})
	t.Run("an answer that is malformed", func(t *testing.T) {
		u, out, opts := start(t, func(u *upstream) {
			u.rewrite = func(method, _, result string) string {
				if method == "tools/list" {
					return `{"tools":[],"tools":[]}`
				}
				return result
			}
		})
		check(t, drain(u.pinned(opts...).Tools(t.Context(), nil)), out)
	})
	t.Run("another program", func(t *testing.T) {
		u, out, opts := start(t, nil, Launched("files", strings.Repeat("a", 64)))
		_, err := u.connect(opts...)
		check(t, err, out)
	})
}
