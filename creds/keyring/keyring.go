package keyring

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/zalando/go-keyring"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/creds/internal/rest"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// Secret returns a provider of the secret that the keyring has for a service and a
// user of it. It is read whenever it is asked for, and shared by all who are granted
// it. A keyring may ask its owner to unlock it: Issue waits for that no longer than
// its context, but the question remains, and the next Issue waits for it as well.
func Secret(service, user string) creds.Provider {
	return &secret{service: service, user: user, turn: make(chan struct{}, 1), get: keyring.Get}
}

type secret struct {
	service, user string
	turn          chan struct{} // held by the one question to the keyring
	get           func(service, user string) (string, error)
}

var (
	_ creds.Checker   = (*secret)(nil)
	_ creds.Describer = (*secret)(nil)
	_ creds.Prober    = (*secret)(nil)
)

func (s *secret) Check(spec creds.Spec) error {
	faults := []error{rest.NoParams(spec)}
	for what, name := range map[string]string{"service": s.service, "user": s.user} {
		if name == "" || len(name) > 255 || strings.ContainsFunc(name, func(c rune) bool { return c < ' ' || c == 0x7f || c == '\ufffd' }) {
			faults = append(faults, fmt.Errorf("keyring: the %s must have 1 to 255 bytes and no control characters", what))
		}
	}
	return errors.Join(faults...)
}

type answer struct {
	text string
	err  error
}

func (s *secret) Issue(ctx context.Context, spec creds.Spec, _ creds.Request) (creds.Material, error) {
	if err := s.Check(spec); err != nil {
		return creds.Material{}, err
	}
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return creds.Material{}, fmt.Errorf("keyring: waiting for its answer: %w", ctx.Err())
	}
	// The library knows no context. One goroutine at a time may be stuck in it.
	done := make(chan answer, 1)
	go func() {
		defer func() { <-s.turn }()
		done <- s.ask()
	}()
	select {
	case a := <-done:
		return s.accept(a)
	case <-ctx.Done():
		return creds.Material{}, fmt.Errorf("keyring: waiting for its answer: is it locked? %w", ctx.Err())
	}
}

func (s *secret) ask() (a answer) {
	defer func() {
		if p := recover(); p != nil {
			a = answer{err: fmt.Errorf("it panicked with a %T", p)}
		}
	}()
	a.text, a.err = s.get(s.service, s.user)
	return a
}

// accept makes a credential of the keyring's answer. Of its errors only known ones
// keep their text: on some systems they are the output of a program.
func (s *secret) accept(a answer) (creds.Material, error) {
	var why string
	switch {
	case a.err == nil && a.text == "":
		why = "it is empty"
	case a.err == nil && len(a.text) > creds.MaxFile:
		why = fmt.Sprintf("it is larger than %d bytes", creds.MaxFile)
	case a.err == nil:
		text := []byte(a.text) // the string itself cannot be overwritten
		defer clear(text)
		return creds.Material{
			Secret: creds.NewValue(text),
			Record: mcpsec.Credential{Provider: "keyring", Role: s.service, KeyID: s.user},
		}, nil
	case errors.Is(a.err, keyring.ErrNotFound):
		why = "there is none: store it with the keyring's own program"
	case errors.Is(a.err, keyring.ErrUnsupportedPlatform):
		why = "this system has no keyring"
	case errors.Is(a.err, fs.ErrNotExist):
		why = "no keyring is running in this session: use creds.File or age on a server"
	default:
		why = fmt.Sprintf("the keyring failed with a %T: is one running in this session, and unlocked?", a.err)
	}
	return creds.Material{}, fmt.Errorf("keyring: secret %q of %q: %s", s.user, s.service, why)
}

func (s *secret) Describe(creds.Spec, creds.Request) (creds.Access, error) {
	return creds.Access{
		Identity: "the user's keyring",
		Rules:    []creds.Rule{{Actions: []string{"read"}, Resources: []string{s.service + "/" + s.user}}},
		Notes:    []string{"For development: every program of the user can read it."},
	}, nil
}

// Probe reads the secret and forgets it.
func (s *secret) Probe(ctx context.Context, spec creds.Spec) (creds.Access, error) {
	m, err := s.Issue(ctx, spec, creds.Request{})
	m.Secret.Close()
	if err != nil {
		return creds.Access{}, err
	}
	return s.Describe(spec, creds.Request{})
}
