package bearer

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mcpsec/mcpsec-go/transport/https/bearer/internal/fetch"
	"github.com/mcpsec/mcpsec-go/transport/https/bearer/internal/jose"
)

func set[T comparable](v *T, to T) {
	if *v == *new(T) {
		*v = to
	}
}

// withDefaults returns the configuration with every field set.
func withDefaults(c Config) Config {
	set(&c.Skew, 10*time.Second)
	set(&c.MaxTokens, 1<<15)
	set(&c.DPoP.Window, time.Minute)
	if c.DPoP.Algorithms == nil {
		c.DPoP.Algorithms = jose.Default()
	}
	c.Issuers = slices.Clone(c.Issuers)
	for n := range c.Issuers {
		c.Issuers[n].defaults(c.Audience)
	}
	return c
}

func (i *Issuer) defaults(audience []string) {
	if i.Audience == nil && !i.ClientsAreAudience {
		i.Audience = audience
	}
	if i.Types == nil {
		i.Types = []string{"at+jwt"}
	}
	if i.Algorithms == nil {
		i.Algorithms = jose.Default()
	}
	set(&i.TenantClaim, "tid")
	set(&i.MaxLifetime, time.Hour)
	set(&i.Refresh, 5*time.Minute)
	set(&i.Stale, time.Hour)
	if i.Introspection == nil {
		return
	}
	n := *i.Introspection
	set(&n.Fresh, 4*time.Second)
	set(&n.Grace, 30*time.Second)
	n.Grace = max(n.Grace, 0)
	set(&n.Rate, 50)
	i.Introspection = &n
}

// check returns all that is wrong with a configuration that has its defaults.
func (c *Config) check() error {
	var faults []error
	want := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf("bearer: "+format, args...))
		}
	}
	want(len(c.Issuers) > 0, "Issuers is empty: name the authorization servers whose tokens are accepted")
	want(c.Skew >= 0 && c.Skew <= time.Minute, "Skew is %v: at most 1m", c.Skew)
	want(c.MaxTokens > 0, "MaxTokens is negative")
	want(c.DPoP.Window > 0 && c.DPoP.Window <= 5*time.Minute, "DPoP.Window is %v: at most 5m", c.DPoP.Window)
	if err := jose.CheckAlgorithms(c.DPoP.Algorithms); err != nil {
		want(false, "DPoP.Algorithms: %w", err)
	}
	opaque := 0
	for n := range c.Issuers {
		i := &c.Issuers[n]
		want(!slices.ContainsFunc(c.Issuers[:n], func(o Issuer) bool { return o.URL == i.URL }), "issuer %s: it is there twice", i.URL)
		for _, err := range i.check() {
			want(false, "issuer %s: %w", i.URL, err)
		}
		if i.Introspection != nil && i.Introspection.Opaque {
			opaque++
		}
	}
	want(opaque <= 1, "Introspection.Opaque is set for %d issuers: opaque tokens do not say whose they are, one issuer can have them", opaque)
	faults = append(faults, checkScopes(c.Scopes, c.Implies)...)
	return errors.Join(faults...)
}

func (i *Issuer) check() []error {
	var faults []error
	want := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	for _, address := range i.addresses() {
		if err := fetch.CheckURL(address); err != nil {
			want(false, "%w", err)
		}
	}
	want(i.URL != "" && (i.Keys == nil || i.JWKS == ""), "it needs URL, and not both Keys and JWKS")
	want(!slices.Contains(i.Audience, "") && (len(i.Audience) > 0 || i.ClientsAreAudience), "Audience is empty: a token for any server would do; name this one")
	want(len(i.Clients) > 0 || !i.ClientsAreAudience, "ClientsAreAudience needs Clients")
	want(!slices.Contains(i.Clients, ""), "Clients has an empty name: a token that names no client would do")
	want(!i.ClientsAreAudience || len(i.Audience) == 0, "ClientsAreAudience and Audience exclude each other")
	want(len(i.Types) > 0, "Types is empty, and not nil: no token would do")
	if err := jose.CheckAlgorithms(i.Algorithms); err != nil {
		want(false, "Algorithms: %w", err)
	}
	want(i.MaxLifetime > 0, "MaxLifetime is negative")
	want(i.Refresh >= time.Second && i.Stale >= i.Refresh, "Refresh is %v and Stale %v: at least 1s, and Stale no less than Refresh", i.Refresh, i.Stale)
	if n := i.Introspection; n != nil {
		want(n.ClientID != "" && n.Secret != nil, "Introspection needs ClientID and Secret")
		want(n.Fresh >= 100*time.Millisecond && n.Fresh <= 5*time.Second, "Introspection.Fresh is %v: at least 100ms and at most 5s", n.Fresh)
		want(n.Rate > 0, "Introspection.Rate is negative")
	}
	return faults
}

// addresses returns those that the configuration itself names.
func (i *Issuer) addresses() []string {
	var all []string
	if i.Keys == nil && i.JWKS == "" || i.Introspection != nil && i.Introspection.URL == "" {
		all = append(all, i.URL)
	}
	if i.JWKS != "" {
		all = append(all, i.JWKS)
	}
	if i.Introspection != nil && i.Introspection.URL != "" {
		all = append(all, i.Introspection.URL)
	}
	return all
}

func (i *Issuer) client() *fetch.Client {
	var private []string
	if i.Private {
		for _, address := range i.addresses() {
			private = append(private, fetch.Host(address))
		}
	}
	return fetch.New(i.Roots, private)
}
