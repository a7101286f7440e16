package keyless

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/mcpsec/mcpsec-go/attest/envelope"
	"github.com/mcpsec/mcpsec-go/attest/internal/conformance"
)

const (
	subject = "builder@example.com"
	issuer  = "https://issuer.example"
)

func good(tb testing.TB) (file []byte, opts []Option) {
	tb.Helper()
	l := conformance.New(tb)
	m, err := ParseRoot(l.Root())
	if err != nil {
		tb.Fatal(err)
	}
	return conformance.JSON(tb, l.Bundle(conformance.Recipe{
		Request: conformance.Request{Subjects: []string{subject}, Issuer: issuer}, Payload: []byte(`{"_type":"x"}`),
	})), []Option{Identity(subject, issuer), Trust(Fixed(m))}
}

// TestEngineThatMisbehaves has the judgement alone: an engine that accepts everything
// leaves the names, logs and times still checked.
func TestEngineThatMisbehaves(t *testing.T) {
	t.Parallel()
	file, opts := good(t)
	blind := func(context.Context, *Policy, root.TrustedMaterial, *bundle.Bundle) error { return nil }
	for name, c := range map[string]struct {
		engine Engine
		opts   []Option
		why    string
	}{
		"good":                 {blind, opts, ""},
		"neg 62: panics":       {func(context.Context, *Policy, root.TrustedMaterial, *bundle.Bundle) error { panic("secret") }, opts, "failed on this one"},
		"refuses":              {func(context.Context, *Policy, root.TrustedMaterial, *bundle.Bundle) error { return errors.New("no") }, opts, "no"},
		"takes any subject":    {blind, []Option{Identity("x"+subject, issuer), opts[1]}, "signed by"},
		"takes any issuer":     {blind, []Option{Identity(subject, issuer+"x"), opts[1]}, "issued by"},
		"takes too few logs":   {blind, append([]Option{Threshold("n", 2, func(p *Policy) *int { return &p.Logs })}, opts...), "not enough verified log entries"},
		"takes too few times":  {blind, append([]Option{Threshold("n", 2, func(p *Policy) *int { return &p.Times })}, opts...), "threshold not met"},
		"root cannot be had":   {blind, []Option{opts[0], Trust(func(context.Context) (root.TrustedMaterial, error) { return nil, errors.New("no root today") })}, "no root today"},
		"root of the far past": {blind, append([]Option{func(p *Policy) error { p.Now = func() time.Time { return time.Now().AddDate(50, 0, 0) }; return nil }}, opts...), "has expired"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v, err := New(c.engine, c.opts)
			if err != nil {
				t.Fatal(err)
			}
			signed, err := v.Verify(t.Context(), file)
			switch {
			case c.why == "" && (err != nil || string(signed.Payload) != `{"_type":"x"}`):
				t.Errorf("%+v, %v", signed, err)
			case c.why != "" && (!errors.Is(err, envelope.ErrUntrusted) || !strings.Contains(err.Error(), c.why) || strings.Contains(err.Error(), "secret")):
				t.Errorf("%v, want %q", err, c.why)
			}
		})
	}
}

func TestCancelled(t *testing.T) {
	t.Parallel()
	file, opts := good(t)
	v, err := New(func(context.Context, *Policy, root.TrustedMaterial, *bundle.Bundle) error { return nil }, opts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := v.Verify(ctx, file); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
