package attest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// An Attestor is a control that holds a server to a manifest. Make one with [New] for
// each guard: it is sealed once, by [mcpsec.Guard.Install], and refuses every tool call
// and list before that. It is safe for concurrent use. Close it, or the guard, when the
// server ends. The zero value has no manifest and is refused by [mcpsec.New].
type Attestor struct {
	config
	source  source
	fault   error // of the options and the manifest
	now     func() time.Time
	started time.Time // when it was made, by both clocks
	seal    atomic.Pointer[seal]

	mu     sync.Mutex // guards what follows
	closed bool
	ready  *seal              // not in force yet
	stop   context.CancelFunc // ends the patrol
	under  sync.WaitGroup     // the goroutines of the patrol
	held   []io.Closer
}

var (
	_ mcpsec.Declarer  = (*Attestor)(nil)
	_ mcpsec.Checker   = (*Attestor)(nil)
	_ mcpsec.Sealer    = (*Attestor)(nil)
	_ mcpsec.Committer = (*Attestor)(nil)
	_ io.Closer        = (*Attestor)(nil)
)

// New returns a control that holds a server to the manifest of a source, which is one of
// [Manifest], [Pinned] and [Unsigned]. The manifest is read and its signature verified at
// once, and once: later changes to the file have no effect on a running server. What is
// wrong with the options or the manifest, [mcpsec.New] reports.
func New(from Option, opts ...Option) *Attestor {
	a := &Attestor{now: time.Now}
	a.started = a.now()
	a.fault = a.read(append([]Option{from}, opts...))
	return a
}

// Declare says that the control is called "attest" and stands beside the handler.
func (a *Attestor) Declare() mcpsec.Declaration {
	return mcpsec.Declaration{Name: "attest", Stage: mcpsec.StageAttest, Sole: true}
}

// Check returns what is wrong with the options and the manifest: a manifest that cannot
// be read, that nobody trusted has signed, that is not valid now, or that promises what
// the options do not let it check.
func (a *Attestor) Check() error {
	switch {
	case a == nil || a.now == nil:
		return errors.New("attest: an Attestor is made with attest.New")
	case a.fault != nil:
		return fmt.Errorf("attest: %w", a.fault)
	}
	if err := a.admissible(a.now()); err != nil {
		return fmt.Errorf("attest: %w", err)
	}
	return nil
}

// Close stops the background checks and waits for them. Calls made afterwards are
// refused. Artifacts that a handler still holds stay readable; their memory is given back
// when nobody holds them. Closing again does nothing. An alarm must not call it: some alarms
// are raised by what it waits for.
func (a *Attestor) Close() error {
	if a == nil {
		return nil
	}
	a.mu.Lock()
	a.closed = true
	stop, held := a.stop, a.held
	a.stop, a.held = nil, nil
	a.mu.Unlock()
	if s := a.seal.Load(); s != nil {
		s.wire.trip(codeClosed, "this server is shutting down", "").rung.Store(true)
	}
	if stop != nil {
		stop()
	}
	var faults []error
	for _, h := range held {
		faults = append(faults, h.Close())
	}
	a.under.Wait()
	return errors.Join(faults...)
}

// Wrap checks the live definition and the artifacts before every run of a tool, and
// everything that tells a client about the server before it goes out.
func (a *Attestor) Wrap(next mcpsec.Handler) mcpsec.Handler {
	return func(ctx context.Context, call *mcpsec.Call) (mcp.Result, error) {
		if call.Outgoing {
			return next(ctx, call)
		}
		if call.Method == methodCallTool {
			if d := a.checkCall(ctx, call); d != nil {
				return nil, d
			}
			return next(ctx, call)
		}
		if d := a.checkNamed(ctx, call); d != nil {
			return nil, d
		}
		res, err := next(ctx, call)
		if err != nil {
			return res, err
		}
		if d := a.checkResult(call, res); d != nil {
			return nil, d
		}
		return res, nil
	}
}

// The methods that are told apart before they run.
const (
	methodCallTool     = "tools/call"
	methodGetPrompt    = "prompts/get"
	methodReadResource = "resources/read"
	methodSubscribe    = "resources/subscribe"
)

// checkCall looks at what is final last, so that no call passes that was still being
// checked when something was found.
func (a *Attestor) checkCall(ctx context.Context, call *mcpsec.Call) *mcpsec.Denial {
	s := a.seal.Load()
	if s == nil || call.Tool == nil {
		return codeNotSealed.Deny("this tool cannot be attested")
	}
	t := s.tools[call.Tool.Name]
	if t == nil {
		return codeNotSealed.Deny("this tool cannot be attested")
	}
	found := s.wire.tripped()
	if found == nil {
		found = t.check(call.Tool.Definition)
	}
	if found == nil && !call.Tool.Guarded { // or else the guard drops what another handler says
		found = t.checkRegistered(ctx, call)
	}
	for _, w := range t.watches {
		if found != nil {
			break
		}
		found = w.check()
	}
	if found == nil {
		found = s.down(a.now())
	}
	if found != nil {
		return ring(call, found)
	}
	if s.unsigned {
		call.Note("attest.unsigned", "true")
	}
	return nil
}

// ring raises the guard's alarm, once for each finding that calls for it.
func ring(call *mcpsec.Call, f *finding) *mcpsec.Denial {
	if f.alarming && !f.rung.Swap(true) {
		call.Alarm(f.code.Name, f.detail)
	}
	return f.deny()
}

// checkNamed looks at a prompt or resource before it is used.
func (a *Attestor) checkNamed(ctx context.Context, call *mcpsec.Call) *mcpsec.Denial {
	var check func(*seal) *finding
	switch call.Method {
	case methodGetPrompt:
		check = func(s *seal) *finding { return s.promptOf(ctx, call) }
	case methodReadResource, methodSubscribe:
		check = func(s *seal) *finding { return s.resourceOf(ctx, call) }
	default:
		return nil
	}
	return a.checkSealed(call, func(s *seal) *finding {
		for _, w := range s.shared {
			if f := w.check(); f != nil {
				return f
			}
		}
		return check(s)
	})
}

// checkResult looks at the results that speak of what the server offers.
func (a *Attestor) checkResult(call *mcpsec.Call, res mcp.Result) *mcpsec.Denial {
	var check func(*seal) *finding
	switch r := res.(type) {
	case *mcp.ListToolsResult:
		check = func(s *seal) *finding { return s.checkList(r.Tools) }
	case *mcp.ListPromptsResult:
		check = func(s *seal) *finding {
			return checkItems(s.prompts, r.Prompts, func(p *mcp.Prompt) string { return p.Name })
		}
	case *mcp.ListResourcesResult:
		check = func(s *seal) *finding {
			return checkItems(s.resources, r.Resources, func(r *mcp.Resource) string { return r.URI })
		}
	case *mcp.ListResourceTemplatesResult:
		check = func(s *seal) *finding {
			return checkItems(s.templates, r.ResourceTemplates, func(t *mcp.ResourceTemplate) string { return t.URITemplate })
		}
	case *mcp.InitializeResult:
		check = func(s *seal) *finding { return s.server.check(r.ServerInfo, r.Instructions) }
	case *mcp.DiscoverResult: // the SDK adds the live server info when it writes this
		check = func(s *seal) *finding { return s.server.check(s.server.live, r.Instructions) }
	default:
		return nil
	}
	return a.checkSealed(call, check)
}

func (a *Attestor) checkSealed(call *mcpsec.Call, check func(*seal) *finding) *mcpsec.Denial {
	s := a.seal.Load()
	if s == nil {
		return codeNotSealed.Deny("this server is not sealed")
	}
	found := s.wire.tripped()
	if found == nil {
		found = check(s)
	}
	if found == nil {
		found = s.down(a.now())
	}
	if found != nil {
		return ring(call, found)
	}
	return nil
}
