package cases

import (
	"context"
	"errors"
	"fmt"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// A Level says how much of the way of a call is measured.
type Level int

// The levels.
const (
	// Direct calls the server's chain of middleware as the SDK would, for a raw tool:
	// no JSON-RPC, next to no JSON, and so the level at which a microsecond shows.
	Direct Level = iota
	// Dispatch hands ready messages to the server's connection and throws the
	// answers away, for a typed tool: all that the SDK's server does, and nothing of
	// a client.
	Dispatch
	// Memory is a client of the SDK that calls a typed tool over an in-memory
	// connection.
	Memory
)

// Levels returns the levels, the innermost first.
func Levels() []Level { return []Level{Direct, Dispatch, Memory} }

// String returns the level in words.
func (l Level) String() string {
	switch l {
	case Direct:
		return "direct"
	case Dispatch:
		return "dispatch"
	case Memory:
		return "in memory"
	}
	return fmt.Sprintf("Level(%d)", int(l))
}

// A Caller calls the case's tool over one connection. It is not safe for
// concurrent use.
type Caller interface {
	// Call makes one call. It returns an error if the call was refused or failed.
	Call(ctx context.Context) error
	Close() error
}

// Take returns a connected caller: one that was put back, or a new one, which has
// called once.
func (s *Server) Take(ctx context.Context, l Level) (Caller, error) {
	s.mu.Lock()
	if n := len(s.idle[l]); n > 0 {
		c := s.idle[l][n-1]
		s.idle[l] = s.idle[l][:n-1]
		s.mu.Unlock()
		return c, nil
	}
	s.mu.Unlock()
	c, err := s.connect(context.WithoutCancel(ctx), l) // a connection outlives the benchmark that needs it first
	if err != nil {
		return nil, fmt.Errorf("case %q, %v: %w", s.served.Name, l, err)
	}
	if err := c.Call(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("case %q, %v: %w", s.served.Name, l, err), c.Close())
	}
	return c, nil
}

// Put takes a caller back. Close of the server closes it.
func (s *Server) Put(l Level, c Caller) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.idle[l] = append(s.idle[l], c)
}

func (s *Server) connect(ctx context.Context, l Level) (Caller, error) {
	switch l {
	case Direct:
		return s.direct(ctx)
	case Dispatch:
		return s.dispatch(ctx)
	case Memory:
		return s.memory(ctx)
	}
	return nil, errors.New("no such level")
}

// arriving puts the guard's frame around a transport if the case has one.
func (s *Server) arriving(t mcp.Transport) mcp.Transport {
	if !s.served.framed {
		return t
	}
	return s.guard.Transport(t, mcpsec.Peer{Process: "uid:1000"})
}
