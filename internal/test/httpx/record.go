package httpx

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/mcpsec"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// A Record is a control that remembers which calls passed it and how they ended.
type Record struct {
	mu   sync.Mutex
	seen []Call
	more chan struct{} // closed when seen grows
}

// A Call is what a Record remembers: a mcpsec.Call must not be kept.
type Call struct {
	Method, Name, Client string
	Principal            mcpsec.Principal
	Source               mcpsec.Source
	Code                 string // of the refusal; empty if there was none
	Err                  error
}

// At returns the control for a stage.
func (r *Record) At(stage mcpsec.Stage) mcpsec.Control {
	return mcpsec.At(stage, "record", mcpsec.ControlFunc(func(next mcpsec.Handler) mcpsec.Handler {
		return func(ctx context.Context, c *mcpsec.Call) (mcp.Result, error) {
			res, err := next(ctx, c)
			call := Call{Method: c.Method, Name: c.Name, Client: c.Client, Principal: c.Principal, Source: c.Source, Err: err}
			if d := mcpsec.AsDenial(err); d != nil {
				call.Code = d.Code
			}
			r.add(call)
			return res, err
		}
	}))
}

func (r *Record) add(c Call) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = append(r.seen, c)
	if r.more != nil {
		close(r.more)
		r.more = nil
	}
}

// Calls returns what is recorded of a method, in the order in which calls ended.
func (r *Record) Calls(method string) []Call {
	calls, _ := r.look(method)
	return calls
}

// look also returns a channel that is closed when there is more to see.
func (r *Record) look(method string) (calls []Call, more <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.seen {
		if c.Method == method {
			calls = append(calls, c)
		}
	}
	if r.more == nil {
		r.more = make(chan struct{})
	}
	return calls, r.more
}

// Await waits until n calls of a method are recorded: a record may be written
// after the answer has left.
func (r *Record) Await(tb testing.TB, method string, n int) []Call {
	tb.Helper()
	deadline := time.After(Patience)
	for {
		calls, more := r.look(method)
		if len(calls) >= n {
			return calls
		}
		select {
		case <-more:
		case <-deadline:
			tb.Fatalf("%d of %d calls of %q recorded", len(calls), n, method)
		}
	}
}
