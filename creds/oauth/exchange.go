package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/creds/internal/rest"
)

const exchangeGrant = "urn:ietf:params:oauth:grant-type:token-exchange"

// ErrNoSubject is wrapped by the refusal of a call whose caller showed no token.
var ErrNoSubject = errors.New("the caller showed no token: the transport must verify one and give it on with creds.WithSubject")

// Exchange returns a provider that exchanges the caller's token for one that the tool
// may use on the caller's behalf (RFC 8693). The plan is a keyed hash of the
// configuration, the caller's token and the principal: nobody shares.
//
// A refusal may be about one caller and holds up no other. A status of 502 to 504 is
// taken as the server's word that it is down, for all callers.
func Exchange(conf Config) creds.Provider { return &exchange{newServer(conf)} }

type exchange struct{ *server }

var (
	_ creds.Checker   = (*exchange)(nil)
	_ creds.Planner   = (*exchange)(nil)
	_ creds.Describer = (*exchange)(nil)
	_ creds.Prober    = (*exchange)(nil)
)

func (e *exchange) Check(spec creds.Spec) error {
	var faults []error
	if len(e.conf.Audience)+len(e.conf.Resource) == 0 {
		faults = append(faults, errors.New("oauth: give Config.Audience or Config.Resource: a token for everybody is not narrower than the caller's"))
	}
	if len(e.conf.Scopes) == 0 {
		faults = append(faults, errors.New("oauth: give Config.Scopes: what was not asked for cannot be refused"))
	}
	if e.conf.Actor != nil {
		if err := rest.CheckSource(e.conf.Actor, "Config.Actor"); err != nil {
			faults = append(faults, fmt.Errorf("oauth: %w", err))
		}
	}
	return errors.Join(append(faults, e.check(spec))...)
}

func (e *exchange) Plan(_ creds.Spec, r creds.Request) (string, error) {
	subject := r.Subject.Reveal()
	defer clear(subject)
	if len(subject) == 0 {
		return "", fmt.Errorf("oauth: %w", ErrNoSubject)
	}
	return "exchange " + rest.Fingerprint(e.id, string(subject), r.Principal.Key()), nil
}

func (e *exchange) Issue(ctx context.Context, _ creds.Spec, r creds.Request) (creds.Material, error) {
	subject := r.Subject.Reveal()
	defer clear(subject)
	if len(subject) == 0 {
		return creds.Material{}, fmt.Errorf("oauth: %w", ErrNoSubject)
	}
	m, err := e.exchange(ctx, subject)
	if err != nil {
		return creds.Material{}, fmt.Errorf("oauth: exchanging the caller's token: %w", err)
	}
	return m, nil
}

func (e *exchange) exchange(ctx context.Context, subject []byte) (creds.Material, error) {
	if err := rest.CheckToken(subject); err != nil {
		return creds.Material{}, fmt.Errorf("it %w", err)
	}
	form := url.Values{
		"grant_type": {exchangeGrant}, "requested_token_type": {AccessToken},
		"subject_token": {string(subject)}, "subject_token_type": {e.conf.SubjectType},
	}
	sent := [][]byte{subject}
	if e.conf.Actor != nil {
		actor, err := rest.Token(ctx, e.conf.Actor, "Config.Actor")
		if err != nil {
			return creds.Material{}, err
		}
		defer clear(actor)
		form.Set("actor_token", string(actor))
		form.Set("actor_token_type", e.conf.ActorType)
		sent = append(sent, actor)
	}
	asked := e.now()
	answer, err := e.ask(ctx, form, true)
	if err != nil {
		clear(answer.Token)
		return creds.Material{}, err
	}
	return e.accept(asked, answer, true, sent...)
}

func (e *exchange) Describe(creds.Spec, creds.Request) (creds.Access, error) {
	a := e.access()
	a.Notes = []string{"It acts on behalf of the caller, whose token is exchanged and never handed on."}
	return a, nil
}

// Probe sends a token that is none. A server that knows the client complains of the
// token, and one that does not, of the client (RFC 6749 section 5.2).
func (e *exchange) Probe(ctx context.Context, spec creds.Spec) (creds.Access, error) {
	m, err := e.exchange(ctx, []byte("not-a-token"))
	m.Secret.Close()
	switch code := rest.Code(err); {
	case err == nil:
		return creds.Access{}, errors.New("oauth: probing the exchange: the server took a token that is none")
	case code != "invalid_grant" && code != "invalid_request" && code != "invalid_token":
		return creds.Access{}, fmt.Errorf("oauth: probing the exchange: %w", err)
	}
	a, _ := e.Describe(spec, creds.Request{}) // has no error
	a.Notes = append(a.Notes, "The server knows the client; whether it exchanges a real token shows only with one.")
	return a, nil
}
