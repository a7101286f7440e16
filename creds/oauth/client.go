package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"github.com/mcpsec/mcpsec-go/creds"
)

// ClientCredentials returns a provider of tokens for the server itself, whoever calls
// (RFC 6749 section 4.4). The plan is a hash of the configuration: all calls of the
// grant share a token.
func ClientCredentials(conf Config) creds.Provider {
	s := newServer(conf)
	return &client{s, "client " + s.id}
}

type client struct {
	*server
	plan string
}

var (
	_ creds.Checker   = (*client)(nil)
	_ creds.Planner   = (*client)(nil)
	_ creds.Describer = (*client)(nil)
	_ creds.Prober    = (*client)(nil)
)

func (c *client) Check(spec creds.Spec) error {
	var narrow error
	if len(c.conf.Audience)+len(c.conf.Resource)+len(c.conf.Scopes) == 0 {
		narrow = errors.New("oauth: give Config.Scopes, Audience or Resource: otherwise the token is good for all that the client may do")
	}
	return errors.Join(narrow, c.check(spec))
}

func (c *client) Plan(creds.Spec, creds.Request) (string, error) { return c.plan, nil }

func (c *client) Issue(ctx context.Context, _ creds.Spec, _ creds.Request) (creds.Material, error) {
	asked := c.now()
	answer, err := c.ask(ctx, url.Values{"grant_type": {"client_credentials"}}, false)
	if err != nil {
		clear(answer.Token)
		return creds.Material{}, fmt.Errorf("oauth: asking for a token of client %s: %w", c.conf.ClientID, err)
	}
	m, err := c.accept(asked, answer, false)
	if err != nil {
		return creds.Material{}, fmt.Errorf("oauth: asking for a token of client %s: %w", c.conf.ClientID, err)
	}
	return m, nil
}

func (c *client) Describe(creds.Spec, creds.Request) (creds.Access, error) { return c.access(), nil }

// Probe asks for a token and forgets it.
func (c *client) Probe(ctx context.Context, spec creds.Spec) (creds.Access, error) {
	m, err := c.Issue(ctx, spec, creds.Request{})
	m.Secret.Close()
	if err != nil {
		return creds.Access{}, err
	}
	return c.access(), nil
}
