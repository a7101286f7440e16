package bearer

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	"github.com/mcpsec/mcpsec-go/transport/https/bearer/internal/jose"
)

// Bounds of what is asked at the same time, of tokens that are known to have been good and
// of others, and of the answers about others that are remembered.
const (
	maxKnown   = 16
	maxUnknown = 16
	maxDead    = 4096
)

// An introspector asks an issuer whether tokens are active (RFC 7662).
type introspector struct {
	*Introspection

	issuer *authority
	now    func() time.Time
	// known and unknown have a place for each question, so that a flood of unknown tokens
	// does not keep those in use from being asked about.
	known, unknown chan struct{}

	mu      sync.Mutex
	flights map[tokenID]*inquiry
	dead    map[tokenID]time.Time // unknown tokens that are not active
	next    time.Time             // when the rate of unknown ones is used up, GCRA
}

// An inquiry is a question under way; done is closed after the other fields are written.
type inquiry struct {
	done   chan struct{}
	answer []byte
	err    error
}

func newIntrospector(i *authority, now func() time.Time) *introspector {
	return &introspector{
		Introspection: i.Introspection, issuer: i, now: now,
		known: make(chan struct{}, maxKnown), unknown: make(chan struct{}, maxUnknown),
		flights: make(map[tokenID]*inquiry), dead: make(map[tokenID]time.Time),
	}
}

// excuses reports whether a token that was active stays good without an answer.
func (n *introspector) excuses(now time.Time, confirmed int64) bool {
	return confirmed != 0 && now.UnixNano()-confirmed <= int64(n.Fresh+n.Grace)
}

// errInactive is the issuer's word that a token is not good.
var errInactive = errors.New("the issuer says that the token is not active")

// again asks about a token whose grant is known. The errors are errRevoked and
// errUnavailable.
func (n *introspector) again(ctx context.Context, g *grant) error {
	began := n.now()
	data, err := n.ask(ctx, g.id, g.token, n.known)
	if err == nil {
		err = g.agrees(data)
	}
	switch {
	case err == nil:
		raise(&g.confirmed, began.UnixNano())
		return nil
	case errors.Is(err, errUnavailable):
		return err
	}
	if !g.ended.Swap(true) {
		g.v.news.tell()
	}
	return fmt.Errorf("%w: %w", errRevoked, err)
}

// agrees checks that an answer is of the token that was verified, and as it was then.
func (g *grant) agrees(data []byte) error {
	var now claims
	if err := jose.Decode(data, &now); err != nil {
		return fmt.Errorf("%w: introspection: %w", errUnavailable, err)
	}
	c := g.claims
	switch {
	case now.Subject != "" && now.Subject != c.Subject,
		now.Issuer != "" && now.Issuer != g.issuer.URL,
		now.ID != "" && c.ID != "" && now.ID != c.ID,
		now.Client != "" && c.Client != "" && now.Client != c.Client:
		return errors.New("introspection: the answer is about another token")
	case now.Binding != nil && *now.Binding != g.binding:
		return errors.New("introspection: the token is bound in another way")
	}
	return nil
}

// ask returns the answer about an active token; concurrent questions about one token are
// asked once. The errors are errInactive and errUnavailable.
func (n *introspector) ask(ctx context.Context, id tokenID, token string, places chan struct{}) ([]byte, error) {
	n.mu.Lock()
	q := n.flights[id]
	if q == nil {
		q = &inquiry{done: make(chan struct{})}
		n.flights[id] = q
		n.mu.Unlock()
		// A client that leaves must not spoil the answer for others.
		n.fly(context.WithoutCancel(ctx), id, token, places, q)
	} else {
		n.mu.Unlock()
	}
	select {
	case <-q.done:
		return q.answer, q.err
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", errUnavailable, ctx.Err())
	}
}

// patience is how long a question waits for a place.
const patience = 5 * time.Second

func (n *introspector) fly(ctx context.Context, id tokenID, token string, places chan struct{}, q *inquiry) {
	defer func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.flights, id)
		close(q.done)
	}()
	waiting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case places <- struct{}{}:
		defer func() { <-places }()
	case <-waiting.Done():
		q.err = fmt.Errorf("%w: introspection: too many questions at the same time", errUnavailable)
		return
	}
	// What answers here, a Secret as well, may wait for nothing but its context.
	asking, cancel := context.WithTimeout(ctx, 3*patience)
	defer cancel()
	q.answer, q.err = n.post(asking, token)
	if q.err != nil && !errors.Is(q.err, errInactive) {
		q.err = fmt.Errorf("%w: introspection: %w", errUnavailable, q.err)
	}
}

func (n *introspector) post(ctx context.Context, token string) ([]byte, error) {
	address := n.URL
	if address == "" {
		meta, err := n.issuer.keys.Metadata(ctx)
		if err != nil {
			return nil, err
		}
		address = meta.Introspection
	}
	secret, err := n.Secret(ctx)
	if err != nil {
		return nil, fmt.Errorf("the secret: %w", err)
	}
	form := url.Values{"token": {token}, "token_type_hint": {"access_token"}}
	data, err := n.issuer.client.Post(ctx, address, form, n.ClientID, secret)
	if err != nil {
		return nil, err
	}
	return readActive(data)
}

// readActive returns the answer if it says that the token is active.
func readActive(data []byte) ([]byte, error) {
	var answer struct {
		Active *bool `json:"active"`
	}
	switch err := jose.Decode(data, &answer); {
	case err != nil:
		return nil, err
	case answer.Active == nil:
		return nil, errors.New("the answer does not say whether the token is active")
	case !*answer.Active:
		return nil, errInactive
	}
	return data, nil
}
