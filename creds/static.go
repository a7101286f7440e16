package creds

import (
	"context"
	"errors"
)

// Static returns a Provider that always issues the same secret, of which it keeps
// a copy. It is for tests and development: the secret stays in memory as long as the
// provider, is the same for everybody, and changes only with a restart.
func Static(secret []byte) Provider { return static{NewValue(secret)} }

type static struct{ secret Value }

var _ Checker = static{}

func (s static) Issue(context.Context, Spec, Request) (Material, error) {
	return Material{Secret: own(s.secret.Reveal()), Version: "static"}, nil
}

func (s static) Check(Spec) error {
	if s.secret.Empty() {
		return errors.New("the static secret is empty")
	}
	return nil
}
