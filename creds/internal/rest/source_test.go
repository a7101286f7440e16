package rest

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/mcpsec/mcpsec-go/creds"
)

// leased gives out what must be revoked.
type leased struct{ issued int }

func (l *leased) Issue(context.Context, creds.Spec, creds.Request) (creds.Material, error) {
	l.issued++
	return creds.Material{Secret: creds.NewValue([]byte(canary))}, nil
}

func (*leased) Revoke(context.Context, creds.Spec, creds.Material) error { return nil }

func TestLeaseIsNoSource(t *testing.T) {
	t.Parallel()
	l := &leased{}
	wantError(t, "at start", CheckSource(l, "the proof"), "the proof: its secrets have leases")
	_, err := Token(t.Context(), l, "the proof")
	wantError(t, "unchecked", err, "the proof: its secrets have leases")
	if l.issued != 0 {
		t.Errorf("%d leases were made", l.issued)
	}
}

// What a source gave is overwritten, whole and in parts.
func TestContentIsClosed(t *testing.T) {
	t.Parallel()
	m := creds.Material{Secret: creds.NewValue([]byte(canary)), Parts: []creds.Value{creds.NewValue([]byte("part"))}}
	got, err := Content(t.Context(), creds.ProviderFunc(func(context.Context, creds.Spec, creds.Request) (creds.Material, error) { return m, nil }))
	if err != nil || !bytes.Equal(got, []byte(canary)) {
		t.Errorf("%q, %v", got, err)
	}
	for _, v := range append(m.Parts, m.Secret) {
		if text := v.Reveal(); len(bytes.Trim(text, "\x00")) != 0 {
			t.Errorf("left behind: %q", text)
		}
	}
}

type closer struct {
	creds.Provider
	err error
}

func (c closer) Close() error { return c.err }

func TestCloseSource(t *testing.T) {
	t.Parallel()
	fault := errors.New("still in use")
	for _, p := range []creds.Provider{nil, creds.Static([]byte("s")), closer{}} {
		if err := CloseSource(p); err != nil {
			t.Error(err)
		}
	}
	if err := CloseSource(closer{err: fault}); !errors.Is(err, fault) {
		t.Error(err)
	}
}
