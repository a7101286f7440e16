package mcpsec

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// offer is what the server offered when it was sealed, by tool name.
type offer struct {
	inventory *Inventory
	tools     map[string]*Tool
}

// tool returns what is known of a tool the server offered when it was sealed.
func (g *Guard) tool(name string) *Tool {
	if o := g.offer.Load(); o != nil {
		return o.tools[name]
	}
	return nil
}

// findTool fills in the call's tool.
func (f *flight) findTool() {
	if e := f.entry; e != nil { // begun at a handler wrapped by hand
		if f.call.Name != e.name {
			f.reject(codeForeignHandler.Deny("").Because(fmt.Errorf("the handler wrapped for %q was called as %q", e.name, f.call.Name)))
		}
		f.call.Name = e.name
		if f.call.Tool = f.guard.tool(e.name); f.call.Tool == nil {
			f.call.Tool = e.tool
		}
		return
	}
	if f.call.Tool = f.guard.tool(f.call.Name); f.call.Tool != nil {
		f.entry = f.call.Tool.entry
	}
}

// attach binds the guard to a server and returns what the server offers now.
func (g *Guard) attach(s *mcp.Server) (all everything, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.state.Load() == stateSealed:
		return all, ErrSealed
	case g.state.Load() == stateRefused:
		return all, errors.New("Install has failed before: make the server and the guard anew")
	case g.server != nil && g.server != s:
		return all, errors.New("the guard is on another server already: make one guard for each server")
	case g.server == nil:
		g.server = s
		g.sdk = capture(s)
	}
	err = withSession(s, func(ctx context.Context, ss *mcp.ServerSession) error {
		all, err = listEverything(ctx, g.sdk, ss)
		return err
	})
	return all, err
}

// Install puts the guard in force on a server. Call it last, after every tool,
// prompt, resource and middleware: middleware that is added later would run
// outside the guard, and the guard then refuses everything. Install
//
//   - refuses to work while the MCPGODEBUG environment variable is set;
//   - lists what the server offers as a client would, and seals the set of tools:
//     one that appears later is neither listed nor run;
//   - refuses tools that stand beside guarded ones without a guard of their own,
//     names the specification does not allow, and look-alike names;
//   - lets every [Sealer] inspect the inventory;
//   - sends probes over an in-memory connection (a denied tool, an unknown method,
//     a subscription, a panicking handler) and fails if the chain is not in force;
//   - lets every [Committer] remember the start.
//
// If Install fails, the server refuses every call. On a server whose tools were
// added with mcp.AddTool, Install alone guards the frame and the middleware. What
// that leaves open: the SDK looks a tool up after all middleware, so a handler
// registered again in that moment runs unnoticed; the second run that the SDK makes
// for clients without multi-round-trip calls is not attested; and a handler's shared
// result may be written to by the SDK. [AddTool] closes these.
func (g *Guard) Install(s *mcp.Server) error {
	if !g.made() || s == nil {
		return errors.New("mcpsec: Install needs a guard made by New and a server")
	}
	if g.InForce(s) == nil {
		return fmt.Errorf("mcpsec: Install twice on one server: %w", ErrSealed)
	}
	if err := g.install(s); err != nil {
		g.state.CompareAndSwap(stateOpen, stateRefused)
		s.AddReceivingMiddleware(refuseAll)
		g.notInForce(err)
		return fmt.Errorf("mcpsec: not installed, the server refuses every call: %w", err)
	}
	for _, p := range g.Postures() {
		if p.Mode == Observe || p.FailOpen {
			slog.Warn("mcpsec control does not enforce", "control", p.Name, "mode", p.Mode.String(), "failOpen", p.FailOpen)
		}
	}
	return nil
}

// ErrNotInstalled is wrapped by [Guard.InForce].
var ErrNotInstalled = errors.New("mcpsec: the guard is not installed on this server")

// InForce returns nil if Install has succeeded for this server. Transports ask it
// before they serve.
func (g *Guard) InForce(s *mcp.Server) error {
	if g == nil || s == nil {
		return ErrNotInstalled
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.server != s || g.state.Load() != stateSealed {
		return ErrNotInstalled
	}
	return nil
}

// refuseAll is what a server is left with when Install fails: it may be another
// guard's server, or the guard's middleware may not have got so far.
func refuseAll(mcp.MethodHandler) mcp.MethodHandler {
	return func(_ context.Context, method string, _ mcp.Request) (mcp.Result, error) {
		d := codeNotInstalled.Deny("")
		d.CallID = newID(time.Now())
		return toWire(&Call{ID: d.CallID, Method: method}, d)
	}
}

func (g *Guard) install(s *mcp.Server) error {
	all, err := g.attach(s)
	if err != nil {
		return err
	}
	// From here on nothing passes that is not sealed.
	s.AddReceivingMiddleware(g.receiving)
	s.AddSendingMiddleware(g.sending)

	g.mu.Lock()
	faults := slices.Clone(g.faults)
	g.mu.Unlock()
	if v := os.Getenv("MCPGODEBUG"); v != "" && !g.settings.AllowMCPGODEBUG {
		faults = append(faults, fmt.Errorf("the environment sets MCPGODEBUG=%s, which changes what the SDK checks: unset it, or set Settings.AllowMCPGODEBUG", v))
	}
	o, err := g.take(s, all)
	if err = errors.Join(append(faults, err)...); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), introspectTimeout)
	defer cancel()
	for _, l := range g.links {
		if c, ok := as[Sealer](l.control); ok {
			if err := c.Seal(ctx, o.inventory); err != nil {
				return fmt.Errorf("control %s: %w", l.Name, err)
			}
		}
	}
	g.mu.Lock() // a handler that is being added now comes too late
	g.offer.Store(o)
	g.state.Store(stateSealed)
	g.mu.Unlock()
	if err := g.probe(ctx, s); err != nil {
		g.state.Store(stateRefused)
		return fmt.Errorf("start-up probe: %w", err)
	}
	for _, l := range g.links {
		if c, ok := as[Committer](l.control); ok {
			if err := c.Commit(ctx); err != nil {
				g.state.Store(stateRefused)
				return fmt.Errorf("control %s: %w", l.Name, err)
			}
		}
	}
	return nil
}

// take makes the inventory and checks the tools.
func (g *Guard) take(s *mcp.Server, all everything) (*offer, error) {
	inv := &Inventory{Prompts: all.Prompts, Resources: all.Resources, Templates: all.Templates, Alarm: g.alarm}
	o := &offer{inventory: inv, tools: make(map[string]*Tool, len(all.Tools))}
	err := withSession(s, func(ctx context.Context, ss *mcp.ServerSession) error {
		res, err := g.sdk(ctx, methodInitialize, &mcp.ServerRequest[*mcp.InitializeParams]{
			Session: ss, Params: &mcp.InitializeParams{ProtocolVersion: "2025-11-25", ClientInfo: &mcp.Implementation{Name: "mcpsec"}},
		})
		if r, ok := res.(*mcp.InitializeResult); ok && err == nil {
			inv.Server, inv.Instructions = r.ServerInfo, r.Instructions
		}
		return err
	})
	faults := []error{err}
	var bare, foreign []string
	for _, t := range all.Tools {
		if err := checkToolName(t.Name); err != nil {
			faults = append(faults, fmt.Errorf("tool %q: %w", t.Name, err))
		}
		if twin := lookalike(t.Name, maps.Keys(o.tools)); twin != "" {
			faults = append(faults, fmt.Errorf("tool %q can be mistaken for tool %q", t.Name, twin))
		}
		tool := &Tool{Name: t.Name, Definition: t}
		if e := g.entries[t.Name]; e != nil {
			tool.Guarded, tool.entry = true, e
			if e.marker != nil && !e.registered(t) {
				foreign = append(foreign, t.Name)
			}
			if e.typed != nil {
				if e.typed.definition, err = copyTool(t); err != nil {
					faults = append(faults, err)
				}
			}
		} else {
			bare = append(bare, t.Name)
		}
		o.tools[t.Name] = tool
		inv.Tools = append(inv.Tools, tool)
	}
	if len(g.entries) > 0 && len(bare) > 0 {
		faults = append(faults, fmt.Errorf("tools without a guard of their own beside guarded ones: %s: add them with mcpsec.AddTool", strings.Join(bare, ", ")))
	}
	if len(foreign) > 0 {
		faults = append(faults, fmt.Errorf("tools registered again after mcpsec.AddTool: %s: find out by whom", strings.Join(foreign, ", ")))
	}
	for name, e := range g.entries {
		if e.marker != nil && o.tools[name] == nil {
			faults = append(faults, fmt.Errorf("tool %q was removed after mcpsec.AddTool", name))
		}
	}
	return o, errors.Join(faults...)
}

// registered reports whether a definition in the registry is the one AddTool put
// there: it shares the memory of its schema.
func (e *entry) registered(t *mcp.Tool) bool {
	raw, ok := t.InputSchema.(json.RawMessage)
	return ok && len(raw) > 0 && sameBytes(raw, e.marker)
}
