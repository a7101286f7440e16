package creds

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// A Provider issues credentials. It may be asked for several tools and calls at
// once. Issue returns when ctx ends; a result that comes later is overwritten
// unseen. Its errors and panics reach the operator and never a model; even so they
// must not contain the secret.
//
// What Issue returns belongs to the call: its Secret is closed when the call ends.
// A provider that keeps a credential for the next call hands out a new Value with
// the same bytes.
//
// A provider may also be a [Checker] and an io.Closer; Close may be called once
// for every grant that names the provider.
type Provider interface {
	Issue(ctx context.Context, s Spec, r Request) (Material, error)
}

// A Checker is a Provider that can tell at start, without issuing anything to
// anybody, that a spec will not work. [mcpsec.New] reports its error.
type Checker interface {
	Provider
	Check(s Spec) error
}

// A ProviderFunc is a Provider made of a function.
type ProviderFunc func(ctx context.Context, s Spec, r Request) (Material, error)

// Issue calls f.
func (f ProviderFunc) Issue(ctx context.Context, s Spec, r Request) (Material, error) {
	return f(ctx, s, r)
}

// A Request says for whom a credential is: which tool, by which reviewed
// definition, in which call, on whose behalf. Nothing in it comes from a model
// but, through the principal's token, the identity of who asks.
type Request struct {
	Tool       string
	ToolDigest string // "sha256:..." of the reviewed definition; empty without attestation
	CallID     string
	Principal  mcpsec.Principal
}

// Material is an issued credential. Everything but Secret is for the record.
type Material struct {
	Secret  Value
	Expires time.Time // zero: does not expire. Afterwards it is issued anew
	Version string    // which of successive secrets this is; never derived from it
	// Public says what else identifies the credential where it is used, such as a
	// key id or role. Read only, once returned.
	Public map[string]string
}

// A Spec is what a provider is to issue: the name under which the handler asks for
// it, and parameters that only the provider understands. They come from
// configuration, never from arguments of a call, and are no secrets. A Spec does
// not change.
type Spec struct {
	name   string
	params map[string]string
}

// NewSpec returns a Spec with a copy of the parameters.
func NewSpec(name string, params map[string]string) Spec {
	return Spec{name, maps.Clone(params)}
}

// Name returns the name under which the handler asks.
func (s Spec) Name() string { return s.name }

// Param returns a parameter and whether it was given.
func (s Spec) Param(key string) (string, bool) {
	value, ok := s.params[key]
	return value, ok
}

// Params yields the parameters, sorted by key.
func (s Spec) Params() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, key := range slices.Sorted(maps.Keys(s.params)) {
			if !yield(key, s.params[key]) {
				return
			}
		}
	}
}

// Key returns a string that two specs share only if they are equal, for caches.
func (s Spec) Key() string {
	key := strconv.AppendQuote(nil, s.name)
	for k, v := range s.Params() {
		key = append(key, ' ')
		key = strconv.AppendQuote(key, k)
		key = append(key, '=')
		key = strconv.AppendQuote(key, v)
	}
	return string(key)
}

// A Grant is one credential under the name by which a handler asks for it. Make
// one with [Named], or with a function of a provider's package.
type Grant struct {
	spec     Spec
	provider Provider
	note     string // the name in the audit record
	fault    error
}

// Named grants what the provider issues for the parameters, under a name of 1 to
// 64 characters of A-Z a-z 0-9 _ - and full stop. The audit record shows the name.
func Named(name string, p Provider, params ...Param) Grant {
	g := Grant{spec: Spec{name, make(map[string]string, len(params))}, provider: p, note: "creds." + name}
	for _, param := range params {
		if _, twice := g.spec.params[param.key]; twice {
			g.fault = fmt.Errorf("parameter %q is given twice", param.key)
		}
		g.spec.params[param.key] = param.value
	}
	return g
}

// A Param is a parameter of a [Grant], made by [With].
type Param struct{ key, value string }

// With gives a parameter to the provider of a grant.
func With(key, value string) Param { return Param{key, value} }
