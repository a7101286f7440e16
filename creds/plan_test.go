package creds

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// A handler that writes to its arguments does not change what is issued under the plan.
func TestWhatIsIssuedIsWhatWasPlanned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &script{life: span, plan: func(r Request) (string, error) { return fmt.Sprintf("%x", sha256.Sum256(r.Arguments)), nil }}
		in := New(ForTool("t", Named("n", p)))
		args := []byte(`{"prefix":"public"}`)
		h := in.Wrap(func(ctx context.Context, c *mcpsec.Call) (mcp.Result, error) {
			if _, err := Secret(ctx, "n"); err != nil {
				return nil, err
			}
			copy(args, `{"prefix":"secret"}`) // the handler was given the same bytes
			pass(span)
			_, err := Secret(ctx, "n")
			isUnavailable(t, err, "changed during the call")
			return nil, nil
		})
		if _, err := h(t.Context(), &mcpsec.Call{ID: "1", Method: methodCallTool, Tool: &mcpsec.Tool{Name: "t"}, Arguments: args}); err != nil {
			t.Fatal(err)
		}
		if p.asked() > 1 {
			got := p.requests[1].Arguments
			t.Errorf("under the plan of public, for every later call of public, was issued what %s allows", got)
		}
		in.Close()
	})
}

// A plan that refuses the arguments says so to the model, which can correct them. Any
// other error says nothing.
func TestPlanRefusesArguments(t *testing.T) {
	bad := mcpsec.Code{Name: "test.argument", Kind: mcpsec.BadArguments}.Deny("argument bucket is no bucket")
	down := mcpsec.Code{Name: "test.down", Kind: mcpsec.Unavailable}.Deny("of the role " + marker)
	for _, test := range []struct {
		err  error
		code string
	}{
		{bad, "test.argument"}, {fmt.Errorf("policy of "+marker+": %w", bad), "test.argument"}, {down, "creds.unavailable"}, {errors.New(marker), "creds.unavailable"},
		{&mcpsec.Denial{Code: "test.failed", Kind: mcpsec.BadArguments, Failure: true}, "creds.unavailable"}, // FailOpen would let it pass
	} {
		p := &script{plan: func(Request) (string, error) { return "", test.err }}
		r := newRig(t, p)
		_, err := r.get()
		if d := denialOf(err); d != test.code || strings.Contains(err.Error(), marker) || p.asked() != 0 {
			t.Errorf("%v: %s, %v", test.err, d, err)
		}
		r.close()
	}
}

// A provider that says without end what it issued is refused, and what it issued revoked.
func TestCredentialThatSaysTooMuch(t *testing.T) {
	long := strings.Repeat("x", MaxTold+1)
	for name, say := range map[string]func(*Material){
		"version": func(m *Material) { m.Version = long },
		"role":    func(m *Material) { m.Record.Role = long },
		"key id":  func(m *Material) { m.Record.KeyID = long },
		"public":  func(m *Material) { m.Public = map[string]string{"a": long} },
		"many": func(m *Material) {
			m.Public = make(map[string]string)
			for i := range MaxTold / 64 {
				m.Public[fmt.Sprint(i)] = ""
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &script{life: span}
				p := talker{leased{s}, say}
				r := newRig(t, p)
				_, err := r.get()
				isUnavailable(t, err, "of the credential")
				r.close()
				if len(s.revocations()) != 1 {
					t.Errorf("revoked %d", len(s.revocations()))
				}
				s.wiped(t)
			})
		})
	}
}

type talker struct {
	leased
	say func(*Material)
}

func (p talker) Issue(ctx context.Context, s Spec, r Request) (Material, error) {
	m, err := p.script.Issue(ctx, s, r)
	p.say(&m)
	return m, err
}
