package creds

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

var errExpiredToken = errors.New("ExpiredToken")

// use works with the credential until accept does, reporting what it does not, and
// returns how often it tried.
func use(ctx context.Context, accept func(secret string) bool) (tries int, err error) {
	h, err := From(ctx)
	if err != nil {
		return 0, err
	}
	for tries = 1; ; tries++ {
		v, err := Secret(ctx, "n")
		if err != nil {
			return tries, err
		}
		if accept(string(v.Reveal())) {
			return tries, nil
		}
		if err := h.Report(v, errExpiredToken); err != nil {
			return tries, err
		}
	}
}

// Cases 6 and 7: the service refuses a credential: it is issued anew once.
func TestServiceRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		accept       func(string) bool
		tries, asked int
		code         string
		again        string // what the next call gets
		provider     func(*script) Provider
	}{
		"the first":    {accept: func(s string) bool { return s != "k1" }, tries: 2, asked: 2, again: "k2"},
		"every one":    {accept: func(string) bool { return false }, tries: 2, asked: 2, code: "creds.rejected"},
		"a call's own": {accept: func(s string) bool { return s != "k1" }, tries: 2, asked: 2, again: "k3", provider: func(s *script) Provider { return ProviderFunc(s.Issue) }},
		"every own":    {accept: func(string) bool { return false }, tries: 2, asked: 2, code: "creds.rejected", again: "k3", provider: func(s *script) Provider { return ProviderFunc(s.Issue) }},
		"a static one": {accept: func(string) bool { return false }, tries: 1, code: "creds.rejected", again: "s", provider: func(*script) Provider { return Static([]byte("s")) }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &script{life: span}
				var p Provider = s
				if test.provider != nil {
					p = test.provider(s)
				}
				r := newRig(t, p)
				err := r.as(t.Context(), "alice", func(ctx context.Context) error {
					tries, err := use(ctx, test.accept)
					if tries != test.tries || s.asked() != test.asked {
						t.Errorf("tried %d times, issued %d times", tries, s.asked())
					}
					return err
				})
				if denialOf(err) != test.code {
					t.Errorf("got %v, want %s", err, test.code)
				}
				if d := mcpsec.AsDenial(err); d != nil && (!strings.Contains(d.Detail, "ExpiredToken") || strings.Contains(d.Error(), "Expired")) {
					t.Errorf("%v, for the operator %q", d, d.Detail)
				}
				if test.again != "" {
					r.want(test.again)
				} else {
					_, err := r.get()
					isUnavailable(t, err, "one credential after the other")
				}
				r.close()
				s.wiped(t)
			})
		})
	}
}

// Case 7: a service that refuses everything cannot make the issuer be asked for ever,
// and one that recovers is used again.
func TestRefusingServiceIsNoStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &script{life: span}
		r := newRig(t, p)
		for range 600 { // ten minutes
			err := r.as(t.Context(), "alice", func(ctx context.Context) error {
				_, err := use(ctx, func(string) bool { return false })
				return err
			})
			if d := denialOf(err); d != "creds.rejected" && d != "creds.unavailable" {
				t.Fatal(err)
			}
			pass(time.Second)
		}
		if n := p.asked(); n < 18 || n > 22 {
			t.Errorf("issued %d times in ten minutes", n)
		}
		r.close()
	})
}

// Case 6: many calls and goroutines report the same credential: one more is issued.
func TestManyReportTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &script{life: span}
		r := newRig(t, p)
		accept := func(s string) bool {
			pass(10 * time.Millisecond)
			return s != "k1"
		}
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				err := r.as(t.Context(), "alice", func(ctx context.Context) error {
					var inner sync.WaitGroup
					for i := range 4 {
						inner.Go(func() {
							pass(time.Duration(i) * 3 * time.Millisecond) // some report when others have their second
							if tries, err := use(ctx, accept); err != nil || tries > 2 {
								t.Errorf("%d tries, %v", tries, err)
							}
						})
					}
					inner.Wait()
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if p.asked() != 2 {
			t.Errorf("issued %d times", p.asked())
		}
		r.close()
		p.wiped(t)
	})
}

// Case 7: reports that are wrong.
func TestReportOfNothing(t *testing.T) {
	p := &script{life: span}
	r := newRig(t, p)
	var left *Handle
	var given Value
	err := r.as(t.Context(), "alice", func(ctx context.Context) error {
		h, err := From(ctx)
		if err != nil {
			return err
		}
		left = h
		var others Value // of another call
		if err := r.as(ctx, "bob", func(ctx context.Context) (err error) {
			others, err = Secret(ctx, "n")
			return err
		}); err != nil {
			return err
		}
		for i, v := range []Value{{}, NewValue([]byte("k1")), others} {
			if d := denialOf(h.Report(v, errExpiredToken)); d != "creds.not_bound" {
				t.Errorf("%d: %s", i, d)
			}
		}
		given, err = Secret(ctx, "n")
		if err != nil {
			return err
		}
		return h.Report(given, nil)
	})
	if err != nil {
		t.Error(err)
	}
	for _, h := range []*Handle{left, nil, {}} {
		if d := denialOf(h.Report(given, nil)); d != "creds.closed" && d != "creds.no_handle" {
			t.Errorf("%v: %s", h == left, d)
		}
	}
	r.close()
}

// Case 24: what one call does with its view does not reach another.
func TestViewsAreSeparate(t *testing.T) {
	p := ProviderFunc((&script{}).Issue)
	for name, p := range map[string]Provider{"kept": &script{life: span}, "static": Static([]byte("k1")), "own": p} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, p)
			var left Value
			err := r.as(t.Context(), "alice", func(ctx context.Context) error {
				h, err := From(ctx)
				if err != nil {
					return err
				}
				m, err := h.Get(ctx, "n")
				if err != nil {
					return err
				}
				if len(m.Parts) != 0 {
					t.Error("the handler is given the parts")
				}
				m.Secret.Close()
				if !m.Secret.Empty() || m.Secret.Reveal() != nil {
					t.Error("it reveals after Close")
				}
				if name != "own" {
					r.want("k1") //nolint:contextcheck // another call
				}
				again, err := h.Get(ctx, "n")
				if again.Secret.Empty() {
					t.Error("it cannot be had again")
				}
				left = again.Secret
				return err
			})
			if err != nil || !left.Empty() || left.Reveal() != nil {
				t.Errorf("%v; reveals after the call: %q", err, left.Reveal())
			}
			if name != "own" {
				r.want("k1")
			}
			r.close()
		})
	}
}

// Case 24: a handler that writes into what it was given writes for itself.
func TestPublicIsNotShared(t *testing.T) {
	p := public{&script{life: span}}
	r := newRig(t, p)
	for range 2 {
		err := r.as(t.Context(), "alice", func(ctx context.Context) error {
			h, err := From(ctx)
			if err != nil {
				return err
			}
			m, err := h.Get(ctx, "n")
			if m.Public["region"] != "eu-1" {
				t.Errorf("public: %v", m.Public)
			}
			m.Public["region"] = "mars"
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	r.close()
}

type public struct{ *script }

func (p public) Issue(ctx context.Context, s Spec, r Request) (Material, error) {
	m, err := p.script.Issue(ctx, s, r)
	m.Public = map[string]string{"region": "eu-1"}
	return m, err
}

// TestGrantsThatAreAlikeShare: and those that differ in anything do not.
func TestGrantsThatAreAlikeShare(t *testing.T) {
	p, other := &script{life: span}, &script{life: span}
	in := New(
		ForTool("a", Named("n", p, With("role", "r")), Named("m", p, With("role", "r"))),
		ForTool("b", Named("n", p, With("role", "r"))),
		ForTool("c", Named("n", p, With("role", "s"))),
		ForTool("d", Named("n", other, With("role", "r"))),
		ForTool("e", Named("n", ProviderFunc(p.Issue), With("role", "r"))),
	)
	all := map[*source][]string{}
	for tool, bound := range in.tools {
		for name, s := range bound {
			all[s] = append(all[s], tool+name)
		}
	}
	if len(all) != 5 || in.tools["a"]["n"] != in.tools["b"]["n"] || in.tools["a"]["n"].service != in.tools["c"]["n"].service ||
		in.tools["a"]["n"].service == in.tools["d"]["n"].service {
		t.Errorf("%v", fmt.Sprint(all))
	}
	if err := in.Close(); err != nil {
		t.Error(err)
	}
}

// A long call asks again for every use: what it reports is what it used.
func TestReportIsOfWhatWasUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &script{life: span}
		r := newRig(t, p)
		err := r.as(t.Context(), "alice", func(ctx context.Context) error {
			h, _ := From(ctx)
			for range 20 { // a long call asks again for every use
				if _, err := h.Get(ctx, "n"); err != nil {
					return err
				}
			}
			pass(span)
			m, err := h.Get(ctx, "n")
			if err != nil {
				return err
			}
			used := string(m.Secret.Reveal())
			if err := h.Report(m.Secret, errExpiredToken); err != nil {
				return err
			}
			m, err = h.Get(ctx, "n")
			if err != nil {
				return err
			}
			if got := string(m.Secret.Reveal()); got == used {
				t.Errorf("the service refused %s, it was reported, and the next Get gives %s", used, got)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		r.close()
	})
}

// Case 7: a service that refuses two credentials in a row gets no third one, also from
// other calls, until a minute has passed since the first.
func TestRefusedTwiceIsGivenToNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &script{life: span}
		r := newRig(t, p)
		refuse := func() error {
			return r.as(t.Context(), "alice", func(ctx context.Context) error {
				_, err := use(ctx, func(string) bool { return false })
				return err
			})
		}
		if d := denialOf(refuse()); d != "creds.rejected" {
			t.Errorf("got %s", d)
		}
		pass(reportEvery / 2)
		_, err := r.get()
		isUnavailable(t, err, "one credential after the other")
		if d := mcpsec.AsDenial(err); d == nil || d.RetryAfter != reportEvery/2 {
			t.Errorf("retry: %+v", d)
		}
		if got, err := r.getAs("bob"); err != nil || got != "k3" {
			t.Errorf("under another plan: %q, %v", got, err)
		}
		pass(reportEvery / 2)
		r.want("k4")
		if p.asked() != 4 {
			t.Errorf("issued %d times", p.asked())
		}
		r.close()
		p.wiped(t)
	})
}
