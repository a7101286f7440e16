package lock

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// maxPages bounds the pages that one observation reads of all lists.
const maxPages = 1024

// Observe connects to a server, reads what it says of itself and all its definitions,
// and closes the connection. It approves nothing. The lists are those that the server
// says it has; the others are empty and not nil.
func Observe(ctx context.Context, inner mcp.Transport) (_ *Server, err error) {
	r := &recorder{seen: &Server{
		Tools: make(map[string]*Definition), Prompts: make(map[string]*Definition),
		Resources: make(map[string]*Definition), ResourceTemplates: make(map[string]*Definition),
	}}
	client := mcp.NewClient(&mcp.Implementation{Name: "mcpsec", Version: "1"}, &mcp.ClientOptions{Capabilities: &mcp.ClientCapabilities{}})
	session, err := client.Connect(ctx, &transport{
		inner: inner, check: func() error { return nil }, judge: func() judge { return r },
	}, nil)
	if err != nil {
		return nil, fmt.Errorf("attest/lock: %w", err)
	}
	defer func() {
		if closed := session.Close(); closed != nil && err == nil {
			err = fmt.Errorf("attest/lock: closing the connection: %w", closed)
		}
	}()
	has := session.InitializeResult().Capabilities
	if has == nil {
		has = &mcp.ServerCapabilities{}
	}
	if has.Tools != nil {
		err = errors.Join(err, drain(session.Tools(ctx, nil)))
	}
	if has.Prompts != nil {
		err = errors.Join(err, drain(session.Prompts(ctx, nil)))
	}
	if has.Resources != nil {
		err = errors.Join(err, drain(session.Resources(ctx, nil)), drain(session.ResourceTemplates(ctx, nil)))
	}
	if err != nil {
		return nil, fmt.Errorf("attest/lock: %w", err)
	}
	return r.result()
}

func drain[T any](list iter.Seq2[T, error]) error {
	for _, err := range list {
		if err != nil {
			return err
		}
	}
	return nil
}

// A recorder is the judge that lets everything pass and writes it down.
type recorder struct {
	mu    sync.Mutex
	seen  *Server
	pages int
}

func (r *recorder) result() (*Server, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen.Identity == nil {
		return nil, errors.New("attest/lock: the server did not say who it is")
	}
	return r.seen, nil
}

func (r *recorder) identity(_ context.Context, d shown) *mcpsec.Denial {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen.Identity = observed(d)
	return nil
}

func (r *recorder) page(_ context.Context, k Kind, p page) *mcpsec.Denial {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pages++; r.pages > maxPages {
		return codeMalformed.Deny(fmt.Sprintf("more than %d pages", maxPages))
	}
	for _, d := range p.shown {
		if r.seen.get(k, d.name) != nil {
			return codeMalformed.Deny(fmt.Sprintf("%s %s is in the list twice", k, quote(d.name)))
		}
		if err := r.seen.put(k, d.name, observed(d)); err != nil {
			return codeMalformed.Deny(err.Error())
		}
	}
	return nil
}

func (*recorder) use(Kind, string) *mcpsec.Denial { return nil }

func (*recorder) refused(context.Context, *mcpsec.Denial) {} // the error is Observe's

func observed(d shown) *Definition {
	return &Definition{SHA256: d.sha256, How: refused, At: time.Now().UTC().Truncate(time.Second), Text: d.text}
}
