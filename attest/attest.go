package attest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// An Attestor is a control that holds a server to a manifest. Make one with [New]
// for each guard: it is sealed once, by [mcpsec.Guard.Install], and refuses every
// tool call and list before that. It is safe for concurrent use. The zero value has
// no manifest and is refused by [mcpsec.New].
type Attestor struct {
	pins          *Pins
	faults        []error
	sources       int
	allowUnpinned bool
	seal          atomic.Pointer[seal]
	rung          sync.Map // details the alarm was raised for; one a tool, and the server
}

var (
	_ mcpsec.Declarer = (*Attestor)(nil)
	_ mcpsec.Checker  = (*Attestor)(nil)
	_ mcpsec.Sealer   = (*Attestor)(nil)
)

// An Option configures an [Attestor].
type Option func(*Attestor)

// New returns a control that holds a server to the manifest that exactly one of
// the options [Manifest] and [Pinned] provides. What is wrong with the options or
// the manifest, [mcpsec.New] reports.
func New(opts ...Option) *Attestor {
	a := &Attestor{}
	for i, o := range opts {
		if o == nil {
			a.faults = append(a.faults, fmt.Errorf("option %d is nil", i+1))
			continue
		}
		o(a)
	}
	return a
}

// Manifest takes the pins from a manifest file, see [Load]. The file is read once,
// at once; later changes to it have no effect on a running server.
func Manifest(path string) Option {
	return func(a *Attestor) {
		p, err := Load(path)
		a.take(p, err)
	}
}

// Pinned takes the pins from memory, for example from bytes compiled into the
// program and read with [Decode]. They are copied.
func Pinned(p *Pins) Option {
	return func(a *Attestor) {
		if p == nil {
			a.take(nil, errors.New("Pinned(nil)"))
			return
		}
		own := p.clone()
		a.take(own, own.validate())
	}
}

// AllowUnpinnedExecutable accepts a manifest without the digest of an executable,
// as one manifest for several platforms needs. The definitions are then attested,
// the code behind them is not. A digest that is there is checked all the same.
func AllowUnpinnedExecutable() Option {
	return func(a *Attestor) { a.allowUnpinned = true }
}

func (a *Attestor) take(p *Pins, err error) {
	a.sources++
	if err != nil {
		a.faults = append(a.faults, err)
		return
	}
	a.pins = p
}

// Declare says that the control is called "attest" and stands beside the handler.
func (a *Attestor) Declare() mcpsec.Declaration {
	return mcpsec.Declaration{Name: "attest", Stage: mcpsec.StageAttest, Sole: true}
}

// Check returns what is wrong with the options and the manifest.
func (a *Attestor) Check() error {
	if a == nil {
		return errors.New("attest: nil Attestor")
	}
	faults := slices.Clone(a.faults)
	switch {
	case a.sources != 1:
		faults = append(faults, fmt.Errorf("%d manifests given: give New one of Manifest and Pinned, once", a.sources))
	case a.pins != nil && a.pins.ExecutableSHA256 == "" && !a.allowUnpinned:
		faults = append(faults, errors.New("the manifest pins no executable: add executableSha256, or accept it with AllowUnpinnedExecutable"))
	}
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("attest: %w", err)
	}
	return nil
}

// Wrap checks the live definition before every run of a tool, and everything that
// tells a client about tools before it goes out.
func (a *Attestor) Wrap(next mcpsec.Handler) mcpsec.Handler {
	return func(ctx context.Context, call *mcpsec.Call) (mcp.Result, error) {
		if call.Method == methodCallTool && !call.Outgoing {
			if d := a.checkCall(call); d != nil {
				return nil, a.ring(call, d)
			}
			return next(ctx, call)
		}
		res, err := next(ctx, call)
		if err != nil {
			return res, err
		}
		if d := a.checkResult(res); d != nil {
			return nil, a.ring(call, d)
		}
		return res, nil
	}
}

// ring raises the guard's alarm, once for each thing found changed.
func (a *Attestor) ring(call *mcpsec.Call, d *mcpsec.Denial) *mcpsec.Denial {
	if d.Code == codeMismatch.Name || d.Code == codeServerMismatch.Name {
		if _, rung := a.rung.LoadOrStore(d.Detail, true); !rung {
			call.Alarm(d.Code, d.Detail)
		}
	}
	return d
}

const methodCallTool = "tools/call"

func (a *Attestor) checkCall(call *mcpsec.Call) *mcpsec.Denial {
	s := a.seal.Load()
	if s == nil || call.Tool == nil {
		return codeNotSealed.Deny("this tool cannot be attested")
	}
	t := s.tools[call.Tool.Name]
	if t == nil {
		return codeNotSealed.Deny("this tool cannot be attested")
	}
	return t.check(call.Tool.Definition)
}

// checkResult looks at the three results that speak of tools and server.
func (a *Attestor) checkResult(res mcp.Result) *mcpsec.Denial {
	var check func(*seal) *mcpsec.Denial
	switch r := res.(type) {
	case *mcp.ListToolsResult:
		check = func(s *seal) *mcpsec.Denial { return s.checkList(r.Tools) }
	case *mcp.InitializeResult:
		check = func(s *seal) *mcpsec.Denial { return s.server.check(r.ServerInfo, r.Instructions) }
	case *mcp.DiscoverResult: // the SDK adds the live server info when it writes this
		check = func(s *seal) *mcpsec.Denial { return s.server.check(s.server.live, r.Instructions) }
	default:
		return nil
	}
	s := a.seal.Load()
	if s == nil {
		return codeNotSealed.Deny("this server is not sealed")
	}
	return check(s)
}
