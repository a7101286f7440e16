package creds

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// seenBy collects what a provider is given as the caller's token.
func seenBy(t *testing.T, seen *[]string) func(context.Context, Request, int) error {
	t.Helper()
	return func(ctx context.Context, r Request, _ int) error {
		*seen = append(*seen, string(r.Subject.Reveal()))
		if ctx.Value(subjectKey{}) != nil {
			t.Error("the provider's context has the token as well")
		}
		if _, err := From(ctx); err == nil {
			t.Error("the provider's context has the handle of a call")
		}
		return nil
	}
}

// TestSubjectIsForProvidersOnly: a handler finds the caller's token nowhere, and tools
// that it calls have providers that do.
func TestSubjectIsForProvidersOnly(t *testing.T) {
	for name, kept := range map[string]bool{"kept": true, "of the call": false} {
		t.Run(name, func(t *testing.T) {
			var seen []string
			s := &script{life: span, issue: seenBy(t, &seen), plan: func(r Request) (string, error) { return r.Tool + string(r.Subject.Reveal()), nil }}
			var p Provider = s
			if !kept {
				p = ProviderFunc(s.Issue)
			}
			r := newRig(t, p)
			ctx := Subject(t.Context(), "token of alice")
			err := r.as(ctx, "alice", func(ctx context.Context) error {
				if ctx.Value(subjectKey{}) != nil || context.WithoutCancel(ctx).Value(subjectKey{}) != nil {
					t.Error("the handler's context has the token")
				}
				if kept {
					return r.as(ctx, "alice", secretOf) // as a tool that calls another
				}
				return errors.Join(secretOf(ctx), r.as(ctx, "alice", secretOf))
			})
			if err == nil {
				err = r.as(t.Context(), "nobody", secretOf)
			}
			if err != nil || len(seen) < 2 || seen[0] != "token of alice" || seen[len(seen)-2] != "token of alice" || seen[len(seen)-1] != "" {
				t.Errorf("%v, seen %q", err, seen)
			}
			r.close()
		})
	}
}

// TestFlightOutlivesItsCall: token and arguments are copies, and the token is
// overwritten when the flight is over.
func TestFlightOutlivesItsCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var req Request
		p := &script{life: span, issue: func(_ context.Context, r Request, n int) error {
			req = r
			pass(time.Second)
			if got := string(r.Subject.Reveal()); got != "token" {
				t.Errorf("the token is %q", got)
			}
			if string(r.Arguments) != `{"of":"alice"}` {
				t.Errorf("the arguments are %s", r.Arguments)
			}
			return nil
		}}
		r := newRig(t, p)
		token := NewValue([]byte("token"))
		ctx, cancel := context.WithTimeout(WithSubject(t.Context(), token), time.Millisecond)
		defer cancel()
		var args json.RawMessage
		err := r.as(ctx, "alice", func(ctx context.Context) error {
			h, err := From(ctx)
			if err != nil {
				return err
			}
			args = h.call.Arguments
			return secretOf(ctx)
		})
		isUnavailable(t, err, context.DeadlineExceeded.Error())
		token.Close()
		copy(args, strings.Repeat("x", len(args)))
		pass(2 * time.Second)
		synctest.Wait()
		r.want("k1")
		if !req.Subject.Empty() {
			t.Error("the flight's copy of the token is still in memory")
		}
		r.close()
	})
}

// TestSimulateAndProbe: every binding is walked, nothing is issued, and what a provider
// does wrong is told.
func TestSimulateAndProbe(t *testing.T) {
	s := &script{life: span, plan: func(r Request) (string, error) {
		if strings.Contains(string(r.Arguments), "*") {
			return "", errors.New("wildcard")
		}
		return "", nil
	}}
	d := describer{s, nil}
	in := New(
		ForTool("list", Named("b", d, With("role", "reader")), Named("a", Static([]byte(marker)))),
		ForTool("write", Named("b", d, With("role", "reader")), Named("c", describer{s, errors.New("denied")}), Named("d", describer{s, errPanic})),
	)
	got, err := Simulate(in, "list", json.RawMessage(`{"prefix":"x"}`), by("alice"))
	if err != nil || len(got) != 2 || got[0].Name != "a" || !errors.Is(got[0].Err, ErrNotTold) || got[1].Err != nil || got[1].Access.Identity != `reader of process "" "alice" "" "" for {"prefix":"x"}` {
		t.Errorf("%+v, %v", got, err)
	}
	got, err = Simulate(in, "write", nil, by("bob"))
	if err != nil || len(got) != 3 || got[0].Err != nil || got[1].Err == nil || got[1].Err.Error() != "denied" || !strings.Contains(got[2].Err.Error(), "panicked") || leaks(got[2].Err.Error()) {
		t.Errorf("%+v, %v", got, err)
	}
	got, err = Simulate(in, "list", json.RawMessage(`{"prefix":"*"}`), by("alice"))
	if err != nil || got[1].Err == nil || got[1].Err.Error() != "wildcard" {
		t.Errorf("%+v, %v", got, err)
	}
	for name, test := range map[string]struct {
		in   *Injector
		tool string
		args string
	}{"unknown tool": {in, "none", "{}"}, "no injector": {nil, "list", "{}"}, "no JSON": {in, "list", "{"}, "a name twice": {in, "list", `{"a":1,"a":2}`}} {
		if got, err := Simulate(test.in, test.tool, json.RawMessage(test.args), by("alice")); err == nil || got != nil {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}

	all, err := Probe(t.Context(), in)
	if err != nil || len(all) != 5 || all[0].Name != "a" || !errors.Is(all[0].Err, ErrNotTold) || all[1].Access.Identity != "probed reader" || all[2].Access.Identity != "probed reader" ||
		all[3].Err == nil || !strings.Contains(all[4].Err.Error(), "panicked") {
		t.Errorf("%+v, %v", all, err)
	}
	if one, err := Probe(t.Context(), in, "list", "list"); err != nil || len(one) != 2 {
		t.Errorf("%+v, %v", one, err)
	}
	if _, err := Probe(t.Context(), in, "none"); err == nil {
		t.Error("an unknown tool was probed")
	}
	if _, err := Probe(t.Context(), nil); err == nil {
		t.Error("nothing was probed")
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if all, err := Probe(cancelled, in, "write"); err != nil || !errors.Is(all[0].Err, context.Canceled) {
		t.Errorf("%+v, %v", all, err)
	}
	if s.asked() != 0 {
		t.Error("something was issued")
	}
	if err := in.Close(); err != nil {
		t.Error(err)
	}
}

var errPanic = errors.New("panic")

// A describer is a script that tells.
type describer struct {
	*script
	err error
}

func (d describer) Describe(s Spec, r Request) (Access, error) {
	role, _ := s.Param("role")
	if d.err == errPanic { //nolint:errorlint // the very one
		panic(marker)
	}
	return Access{Identity: role + " of " + r.Principal.Key() + " for " + string(r.Arguments)}, d.err
}

func (d describer) Probe(_ context.Context, s Spec) (Access, error) {
	role, _ := s.Param("role")
	if d.err == errPanic { //nolint:errorlint // the very one
		panic(marker)
	}
	return Access{Identity: "probed " + role}, d.err
}

// TestProbeHangs: one provider that hangs does not keep the others from being tried.
func TestProbeHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := New(ForTool("t", Named("a", hanging{}), Named("b", describer{&script{}, nil})))
		all, err := Probe(t.Context(), in)
		if err != nil || !errors.Is(all[0].Err, context.DeadlineExceeded) || all[0].Took != probeTimeout || all[1].Err != nil {
			t.Errorf("%+v, %v", all, err)
		}
		if err := in.Close(); err != nil {
			t.Error(err)
		}
	})
}

type hanging struct{ Provider }

func (hanging) Probe(ctx context.Context, _ Spec) (Access, error) {
	<-ctx.Done()
	return Access{}, ctx.Err()
}
