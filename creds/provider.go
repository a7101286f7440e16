package creds

import (
	"context"
	"encoding/json"
	"errors"
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
// What Issue returns belongs to the Injector, which closes Secret and Parts when it
// is done with them. A provider that keeps a secret for itself hands out a new Value
// with the same bytes.
//
// A provider may also be a [Planner], [Renewer], [Revoker], [Checker], [Describer],
// [Prober] and an io.Closer; Close is called once, or once for every grant that names
// the provider if it cannot be compared with ==.
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

// A Planner is a Provider whose credentials are kept from call to call. Plan decides,
// from configuration and request alone and without any network, what would be issued:
// requests with the same plan are given the same credential, and no others are. So
// whatever reaches the issuer is part of the plan: a source identity, a session tag,
// a policy computed from the arguments. A plan is at most 1 KiB; hash what is longer.
//
// A credential is kept no longer than an hour, and one that does not expire no longer
// than 15 minutes, so that a rotation is seen; then it is issued anew. A failing
// provider is asked again after a pause, which doubles from half a second to 30
// seconds. After several failures that are an outage (see [ErrOutage]) it is left
// alone altogether for a while.
//
// The request that Issue is given is the one of the call that caused it. Its context
// has a deadline of [IssueTimeout] and nothing of that call, because others wait for
// the same credential.
//
// A provider that is no Planner is asked for every call, with the call's own context,
// as often as it asks.
//
// An error of Plan that is a [*mcpsec.Denial] of kind [mcpsec.BadArguments] is returned
// to the handler as it is, because the model can correct its arguments.
type Planner interface {
	Provider
	Plan(s Spec, r Request) (string, error)
}

// ErrOutage in the chain of an error from Issue or Renew says that the issuer as a
// whole is down, throttling or out of reach, and would have failed any other request
// as well. Timeouts count as such without it, and so does a provider that does not
// answer in time. What depends on the request must not be one: it would let
// a caller keep credentials from others.
var ErrOutage = errors.New("the issuer is down, throttling or out of reach")

// A Renewer is a Provider whose credentials can be made to live longer, such as a
// lease. Renew returns the Material it was given, with a later end and the same secret;
// calls that have it go on with it. If it fails, gains little or returns another secret,
// which is revoked, a new credential is issued. It has half of [IssueTimeout].
type Renewer interface {
	Provider
	Renew(ctx context.Context, s Spec, m Material) (Material, error)
}

// A Revoker is a Provider whose credentials can be recalled. Revoke is called when a
// credential has left the cache and no call uses it any more, and when the injector is
// closed, in bounded time. It is tried once.
type Revoker interface {
	Provider
	Revoke(ctx context.Context, s Spec, m Material) error
}

// A Describer is a Provider that can say what a request would be allowed to do,
// without any network: what is shown by a simulation.
type Describer interface {
	Provider
	Describe(s Spec, r Request) (Access, error)
}

// A Prober is a Provider that can prove against the real service that a spec works,
// without handing the credential to anybody.
type Prober interface {
	Provider
	Probe(ctx context.Context, s Spec) (Access, error)
}

// An Access is what a credential lets its holder do, for people.
type Access struct {
	Identity string        // who its holder is to the service: a role ARN, an account, a mount
	Rules    []Rule        // what it may do, as far as configuration tells
	Lifetime time.Duration // of one credential; zero when it does not expire
	Policy   string        // the effective session policy as the issuer gets it, or empty
	Notes    []string      // what else a reviewer should know, one sentence each
}

// A Rule is one line of what an [Access] allows or denies.
type Rule struct {
	Deny      bool
	Actions   []string
	Resources []string
	When      string // a condition in the issuer's own words, or empty
}

// A Request says for whom a credential is: which tool, by which reviewed definition,
// in which call, on whose behalf. What a model wrote is in Arguments alone: a provider
// takes from it at most what narrows a credential, never which role, account, region
// or endpoint it is for.
type Request struct {
	Tool       string
	ToolDigest string // "sha256:..." of the reviewed definition; empty without attestation
	CallID     string
	Principal  mcpsec.Principal
	// Arguments are those of the call, strict JSON. Read only, and gone after the call.
	Arguments json.RawMessage
	// Subject is the token with which the caller authenticated, if the transport gave
	// it with [WithSubject], for providers that exchange it. No handler can see it.
	Subject Value
}

// Material is an issued credential. Everything but Secret and Parts is for the record.
type Material struct {
	Secret Value
	// Parts are pieces of Secret that are secrets of their own, such as the key inside a
	// JSON document, so that the record can look for them. A handler is not given them.
	Parts   []Value
	Expires time.Time // zero: does not expire. Afterwards it is issued anew
	Version string    // which of successive secrets this is; never derived from it
	// Record says where the credential can be found in the issuer's own log. The
	// provider fills in Provider, Role, KeyID and Policy; the rest is filled in for it.
	Record mcpsec.Credential
	// Public says what else identifies the credential where it is used, such as a
	// region. Read only, once returned.
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
