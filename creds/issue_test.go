package creds

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// run runs a handler as tool "t" with one credential "n".
func run(ctx context.Context, p Provider, now func() time.Time, handler func(context.Context) error) error {
	in := New(ForTool("t", Named("n", p)))
	if now != nil {
		in.cache.clock = func() instant { return instant{now(), time.Duration(now().UnixNano())} }
	}
	h := in.Wrap(func(ctx context.Context, _ *mcpsec.Call) (mcp.Result, error) { return nil, handler(ctx) })
	_, err := h(ctx, &mcpsec.Call{Method: methodCallTool, Tool: &mcpsec.Tool{Name: "t"}})
	return err
}

func secretOf(ctx context.Context) error {
	_, err := Secret(ctx, "n")
	return err
}

func isUnavailable(t *testing.T, err error, detail string) {
	t.Helper()
	d := mcpsec.AsDenial(err)
	if d == nil || d.Code != "creds.unavailable" || d.Control != "creds" {
		t.Fatalf("got %v", err)
	}
	if !strings.Contains(d.Detail, detail) {
		t.Errorf("for the operator: %q, want %q", d.Detail, detail)
	}
	if strings.Contains(d.Error(), detail) || leaks(d.Error()) || leaks(d.Detail) {
		t.Errorf("says too much: %v, %s", d, d.Detail)
	}
}

func TestProviderFails(t *testing.T) {
	dead, closed := NewValue([]byte(marker)), NewValue([]byte(marker))
	for fault, test := range map[string]struct {
		issue  ProviderFunc
		detail string
	}{
		"error": {func(context.Context, Spec, Request) (Material, error) {
			return Material{}, errors.New("connection refused")
		}, "connection refused"},
		"error beside a secret": {func(context.Context, Spec, Request) (Material, error) {
			return Material{Secret: closed}, errors.New("half done")
		}, "half done"},
		"panic with the secret in its text": {func(context.Context, Spec, Request) (Material, error) { panic(marker) }, "panicked with a string"},
		"index out of range": {func(_ context.Context, _ Spec, r Request) (Material, error) {
			return Material{Version: marker[:1000*len(r.Tool)]}, nil
		}, "panicked"},
		"ends its goroutine": {func(context.Context, Spec, Request) (Material, error) { runtime.Goexit(); return Material{}, nil }, "without an answer"},
		"issues nothing":     {func(context.Context, Spec, Request) (Material, error) { return Material{}, nil }, "issued nothing"},
		"issues too much": {func(context.Context, Spec, Request) (Material, error) {
			return Material{Secret: NewValue(make([]byte, MaxMaterial+1))}, nil
		}, "more than"},
		"issues too many parts": {func(context.Context, Spec, Request) (Material, error) {
			return Material{Secret: dead, Parts: make([]Value, MaxMaterial/64+1)}, nil
		}, "more than"},
		"issues what has expired": {func(context.Context, Spec, Request) (Material, error) {
			return Material{Secret: NewValue([]byte("x")), Expires: time.Unix(1, 0)}, nil
		}, "has expired"},
		"asks for its own credential": {func(ctx context.Context, _ Spec, _ Request) (Material, error) {
			_, err := Secret(ctx, "n")
			return Material{}, err
		}, "creds.no_handle"},
	} {
		t.Run(fault, func(t *testing.T) {
			isUnavailable(t, run(t.Context(), test.issue, nil, secretOf), test.detail)
		})
	}
	if !dead.Empty() || !closed.Empty() {
		t.Error("a secret that came with an error was kept")
	}
}

func TestProviderHangs(t *testing.T) {
	obedient := ProviderFunc(func(ctx context.Context, _ Spec, _ Request) (Material, error) {
		<-ctx.Done()
		return Material{}, ctx.Err()
	})
	for name, stubborn := range map[string]bool{"until its context ends": false, "for ever": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				free := make(chan struct{})
				defer close(free)
				var p Provider = obedient
				if stubborn {
					p = ProviderFunc(func(context.Context, Spec, Request) (Material, error) {
						<-free
						return Material{}, nil
					})
				}
				begin := time.Now()
				isUnavailable(t, run(t.Context(), p, nil, secretOf), context.DeadlineExceeded.Error())
				if took := time.Since(begin); took != IssueTimeout {
					t.Errorf("waited %v", took)
				}
				begin = time.Now()
				isUnavailable(t, run(t.Context(), p, nil, func(ctx context.Context) error {
					ctx, cancel := context.WithTimeout(ctx, time.Second)
					defer cancel()
					return secretOf(ctx)
				}), context.DeadlineExceeded.Error())
				if took := time.Since(begin); took != time.Second {
					t.Errorf("with a deadline of its own it waited %v", took)
				}
				begin = time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
				defer cancel()
				isUnavailable(t, run(ctx, p, nil, secretOf), context.DeadlineExceeded.Error())
				if took := time.Since(begin); took != 2*time.Second {
					t.Errorf("with the call's deadline it waited %v", took)
				}
			})
		})
	}
}

// TestImpatientFirstCaller: who gives up does not take the credential from others.
func TestImpatientFirstCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		slow := ProviderFunc(func(ctx context.Context, _ Spec, _ Request) (Material, error) {
			asked.Add(1)
			select {
			case <-time.After(2 * time.Second):
				return Material{Secret: NewValue([]byte("k"))}, nil
			case <-ctx.Done():
				return Material{}, ctx.Err()
			}
		})
		err := run(t.Context(), slow, nil, func(ctx context.Context) error {
			short, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			if err := secretOf(short); mcpsec.AsDenial(err) == nil {
				t.Errorf("the impatient one got %v", err)
			}
			return secretOf(ctx)
		})
		if err != nil || asked.Load() != 1 {
			t.Errorf("%v, asked %d times", err, asked.Load())
		}
	})
}

func TestIssuedOnceForACall(t *testing.T) {
	var asked atomic.Int32
	count := ProviderFunc(func(context.Context, Spec, Request) (Material, error) {
		return Material{Secret: NewValue(fmt.Appendf(nil, "k%d", asked.Add(1)))}, nil
	})
	err := run(t.Context(), count, nil, func(ctx context.Context) error {
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if v, err := Secret(ctx, "n"); err != nil || string(v.Reveal()) != "k1" {
					t.Errorf("%q, %v", v.Reveal(), err)
				}
			})
		}
		wg.Wait()
		return nil
	})
	if err != nil || asked.Load() != 1 {
		t.Errorf("%v, asked %d times", err, asked.Load())
	}
}

func TestNothingIssuedUnasked(t *testing.T) {
	never := ProviderFunc(func(context.Context, Spec, Request) (Material, error) {
		t.Error("asked")
		return Material{}, nil
	})
	if err := run(t.Context(), never, nil, func(context.Context) error { return nil }); err != nil {
		t.Error(err)
	}
}

func TestExpiredIsIssuedAnew(t *testing.T) {
	now := time.Unix(1000, 0)
	n := 0
	short := ProviderFunc(func(context.Context, Spec, Request) (Material, error) {
		n++
		return Material{Secret: NewValue(fmt.Appendf(nil, "k%d", n)), Expires: now.Add(time.Minute)}, nil
	})
	var first Value
	err := run(t.Context(), short, func() time.Time { return now }, func(ctx context.Context) error {
		for _, want := range []struct {
			after time.Duration
			key   string
		}{{0, "k1"}, {time.Minute - 1, "k1"}, {1, "k2"}, {0, "k2"}} {
			now = now.Add(want.after)
			v, err := Secret(ctx, "n")
			if err != nil || string(v.Reveal()) != want.key {
				t.Errorf("after %v: %q, %v", want.after, v.Reveal(), err)
			}
			if first.Empty() {
				first = v
			}
		}
		if first.Empty() {
			t.Error("closed under a handler that may still use it")
		}
		return nil
	})
	if err != nil || !first.Empty() {
		t.Errorf("%v, first empty: %v", err, first.Empty())
	}
}

func TestFailureIsTriedAgain(t *testing.T) {
	n := 0
	flaky := ProviderFunc(func(context.Context, Spec, Request) (Material, error) {
		if n++; n == 1 {
			return Material{}, errors.New("first time")
		}
		return Material{Secret: NewValue([]byte("k"))}, nil
	})
	err := run(t.Context(), flaky, nil, func(ctx context.Context) error {
		isUnavailable(t, secretOf(ctx), "first time")
		return secretOf(ctx)
	})
	if err != nil {
		t.Error(err)
	}
}

func TestPanickingHandlerKeepsNothing(t *testing.T) {
	var kept Value
	func() {
		defer func() { _ = recover() }()
		_ = run(t.Context(), Static([]byte("k")), nil, func(ctx context.Context) error {
			kept, _ = Secret(ctx, "n")
			panic("handler")
		})
	}()
	if !kept.Empty() {
		t.Error("the secret outlived the panic")
	}
}

func TestStaticIsNotUsedUp(t *testing.T) {
	original := []byte("k")
	p := Static(original)
	clear(original)
	for range 2 {
		if err := run(t.Context(), p, nil, func(ctx context.Context) error {
			v, err := Secret(ctx, "n")
			if string(v.Reveal()) != "k" {
				t.Errorf("got %q", v.Reveal())
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNoteIsBoundedAndPlain(t *testing.T) {
	m := Material{Version: "a b=c", Public: map[string]string{"role": "x\ny", "arn": "arn:aws:iam::1:role/r"}}
	if got := m.note(); got != `version="a b=c" arn=arn:aws:iam::1:role/r role="x\ny"` {
		t.Error(got)
	}
	m.Version = strings.Repeat("v", 5000)
	if got := m.note(); len(got) != maxNote {
		t.Errorf("%d bytes", len(got))
	}
	if got := (Material{}).note(); got != `version=""` {
		t.Error(got)
	}
}

// TestGoroutineWaitsPastTheCall: what is issued after the handler returned is
// overwritten unseen.
func TestGoroutineWaitsPastTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		free := make(chan struct{})
		late := NewValue([]byte("late"))
		stubborn := ProviderFunc(func(context.Context, Spec, Request) (Material, error) {
			<-free // not the context, as it should
			return Material{Secret: late}, nil
		})
		got := make(chan error, 1)
		if err := run(t.Context(), stubborn, nil, func(ctx context.Context) error {
			go func() { got <- secretOf(context.WithoutCancel(ctx)) }()
			synctest.Wait()
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if d := mcpsec.AsDenial(<-got); d == nil || d.Code != "creds.closed" {
			t.Errorf("the goroutine got %v", d)
		}
		if late.Empty() {
			t.Fatal("the test is wrong")
		}
		close(free)
		synctest.Wait()
		if !late.Empty() {
			t.Error("the late secret was kept")
		}
	})
}
