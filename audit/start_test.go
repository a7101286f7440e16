package audit

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// unfit is a control that finds itself unusable, or the server not the reviewed one.
type unfit struct{ check, seal error }

func (unfit) Declare() mcpsec.Declaration {
	return mcpsec.Declaration{Name: "unfit", Stage: mcpsec.StageAttest}
}
func (unfit) Wrap(next mcpsec.Handler) mcpsec.Handler         { return next }
func (u unfit) Check() error                                  { return u.check }
func (u unfit) Seal(context.Context, *mcpsec.Inventory) error { return u.seal }

// TestARefusedStartIsOnRecord: before the process ends, and without what is secret.
func TestARefusedStartIsOnRecord(t *testing.T) {
	t.Parallel()
	const secret = "AKIAIOSFODNN7EXAMPLE-is-held"
	cause := errors.New("nobody trusted has signed it; " + secret)
	for name, u := range map[string]unfit{"by New": {check: cause}, "by Install": {seal: cause}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := folder(t)
			log := New(Dir(dir), OnFault(func(error) {}), HeldSecrets(func(yield func([]byte) bool) { yield([]byte(secret)) }))
			guard, err := mcpsec.New(u, log)
			if err == nil {
				err = guard.Install(mcp.NewServer(&mcp.Implementation{Name: "s", Version: "1"}, nil))
				if err := guard.Close(); err != nil {
					t.Error(err)
				}
			}
			if !errors.Is(err, cause) {
				t.Fatal(err)
			}
			var found []*Event
			for _, e := range kept(t, dir) {
				if e.Code == codeNotInForce {
					found = append(found, e)
				}
			}
			if len(found) != 1 || found[0].Level != "ERROR" || !strings.Contains(found[0].Detail, "nobody trusted has signed it") {
				t.Fatalf("%+v", found)
			}
			if strings.Contains(found[0].Detail, secret) {
				t.Error("the record holds a secret")
			}
		})
	}
}

func TestAStartThatSucceedsLeavesNoSuchRecord(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	guard, err := mcpsec.New(unfit{}, New(Dir(dir), OnFault(func(error) {})))
	if err != nil {
		t.Fatal(err)
	}
	if err := guard.Install(mcp.NewServer(&mcp.Implementation{Name: "s", Version: "1"}, nil)); err != nil {
		t.Fatal(err)
	}
	if err := guard.Close(); err != nil {
		t.Fatal(err)
	}
	for _, e := range kept(t, dir) {
		if e.Code == codeNotInForce {
			t.Errorf("%+v", e)
		}
	}
}

// TestARefusedStartIsDurable: the process ends next, most often with log.Fatal.
func TestARefusedStartIsDurable(t *testing.T) {
	t.Parallel()
	var class Class
	m := &memory{fail: func(e *Event) error { class = e.class; return nil }}
	if _, err := mcpsec.New(unfit{check: errors.New("no")}, New(To(m))); err == nil {
		t.Fatal("an unusable control is taken")
	}
	if class != Require || !strings.Contains(m.String(), codeNotInForce) {
		t.Errorf("class %v, recorded %s", class, m)
	}
}
