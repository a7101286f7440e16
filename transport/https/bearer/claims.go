package bearer

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/segmentio/encoding/json"

	"github.com/mcpsec/mcpsec-go/transport/https/bearer/internal/jose"
)

// Bounds of what a token says, beyond its size.
const (
	maxScopes = 128
	maxActors = 8
)

// claims are those of an access token (RFC 9068), or of an answer to introspection.
type claims struct {
	Issuer     string   `json:"iss"`
	Subject    string   `json:"sub"`
	Audience   texts    `json:"aud"`
	Expires    instant  `json:"exp"`
	NotBefore  instant  `json:"nbf"`
	Issued     instant  `json:"iat"`
	ID         string   `json:"jti"`
	Client     string   `json:"client_id"`
	Authorized string   `json:"azp"` // the client, of others than RFC 9068
	OktaClient string   `json:"cid"`
	Actor      *actor   `json:"act"`
	Binding    *binding `json:"cnf"`

	all map[string]json.RawMessage
}

type actor struct {
	Subject string `json:"sub"`
	Actor   *actor `json:"act"`
}

// binding is the confirmation of RFC 7800: what else the sender must have.
type binding struct {
	Certificate string `json:"x5t#S256"`
	Key         string `json:"jkt"`
}

// texts is a string or an array of strings.
type texts []string

// UnmarshalJSON reads both forms.
func (t *texts) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '[' {
		return json.Unmarshal(data, (*[]string)(t))
	}
	var one string
	if err := json.Unmarshal(data, &one); err != nil {
		return err
	}
	*t = texts{one}
	return nil
}

// An instant is a NumericDate, in seconds; zero means absent.
type instant int64

// UnmarshalJSON reads a number, whole or not.
func (i *instant) UnmarshalJSON(data []byte) error {
	var f float64
	if err := json.Unmarshal(data, &f); err != nil {
		return err
	}
	if !(f >= 1 && f < 1<<40) {
		return errors.New("no time")
	}
	*i = instant(math.Floor(f))
	return nil
}

func (i instant) time() time.Time { return time.Unix(int64(i), 0) }

func readClaims(data []byte) (*claims, error) {
	c := new(claims)
	if err := jose.Decode(data, c); err != nil {
		return nil, err
	}
	if err := jose.Decode(data, &c.all); err != nil {
		return nil, err
	}
	for _, other := range []string{c.Authorized, c.OktaClient} {
		if c.Client == "" {
			c.Client = other
		}
		if other != "" && other != c.Client {
			return nil, errors.New("two clients")
		}
	}
	if c.Subject == "" {
		return nil, errors.New("no sub")
	}
	if err := c.checkBinding(); err != nil {
		return nil, err
	}
	if _, err := c.actors(); err != nil {
		return nil, err
	}
	return c, nil
}

// checkBinding refuses ways to bind a token that cannot be checked here.
func (c *claims) checkBinding() error {
	raw, bound := c.all["cnf"]
	if !bound {
		return nil
	}
	var members map[string]json.RawMessage
	if err := jose.Decode(raw, &members); err != nil {
		return fmt.Errorf("cnf: %w", err)
	}
	for name := range members {
		if name != "x5t#S256" && name != "jkt" {
			return errors.New("cnf: bound in a way that is not known")
		}
	}
	if c.Binding == nil || c.Binding.Certificate == "" && c.Binding.Key == "" {
		return errors.New("cnf: bound to nothing")
	}
	return nil
}

func (c *claims) actors() (names []string, err error) {
	for a := c.Actor; a != nil; a = a.Actor {
		if a.Subject == "" || len(names) == maxActors {
			return nil, fmt.Errorf("act: an actor without sub, or more than %d", maxActors)
		}
		names = append(names, a.Subject)
	}
	return names, nil
}

// text returns a claim that is a string; empty if it is absent.
func (c *claims) text(name string) (string, error) {
	raw, ok := c.all[name]
	if !ok {
		return "", nil
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return "", fmt.Errorf("%s: not a string", name)
	}
	return s, nil
}

// scopes returns the granted ones, each once, from the claim of a name or, if that is empty,
// the two usual ones.
func (c *claims) scopes(name string) ([]string, error) {
	raw, ok := c.all[name]
	if name == "" {
		if raw, ok = c.all["scope"]; !ok {
			raw, ok = c.all["scp"]
		}
	}
	if !ok {
		return nil, nil
	}
	var list texts
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, errors.New("scope: neither text nor texts")
	}
	if raw[0] == '"' {
		list = strings.Fields(list[0])
	}
	if len(list) > maxScopes {
		return nil, fmt.Errorf("scope: more than %d", maxScopes)
	}
	var granted []string
	for _, scope := range list {
		if !isScope(scope) {
			return nil, errors.New("scope: a character that is not allowed")
		}
		if !slices.Contains(granted, scope) {
			granted = append(granted, scope)
		}
	}
	return granted, nil
}

// judge checks what an issuer's access tokens must hold, apart from time.
func (i *Issuer) judge(c *claims) error {
	switch {
	case i.ClientsAreAudience: // by Clients, below
	case !slices.ContainsFunc(c.Audience, func(a string) bool { return slices.Contains(i.Audience, a) }):
		return errors.New("aud: the token is for others")
	}
	if len(i.Clients) > 0 && !slices.Contains(i.Clients, c.Client) {
		return errors.New("the client is none of those accepted")
	}
	for name, want := range i.Claims {
		if got, err := c.text(name); err != nil || got != want {
			return fmt.Errorf("%s: not the value that is required", name)
		}
	}
	return nil
}

// isID reports claims that only ID tokens have (OpenID Connect Core, section 3.3.2.11).
func (c *claims) isID() bool {
	_, token := c.all["at_hash"]
	_, code := c.all["c_hash"]
	return token || code
}

var errExpired = errors.New("exp: the token has ended")

// inTime checks that the token is good at a time.
func (c *claims) inTime(now time.Time, skew time.Duration) error {
	switch {
	case !now.Before(c.Expires.time().Add(skew)):
		return errExpired
	case c.NotBefore != 0 && c.NotBefore.time().After(now.Add(skew)):
		return errors.New("nbf: the token is not good yet")
	case c.Issued.time().After(now.Add(skew)):
		return errors.New("iat: the token is from the future")
	}
	return nil
}

// lifetime checks that there are times, and not too far apart.
func (c *claims) lifetime(most time.Duration) error {
	switch {
	case c.Expires == 0 || c.Issued == 0:
		return errors.New("no exp, or no iat")
	case c.Expires <= c.Issued:
		return errors.New("exp: before iat")
	case c.Expires.time().Sub(c.Issued.time()) > most:
		return fmt.Errorf("exp: the token lives longer than %v", most)
	}
	return nil
}
