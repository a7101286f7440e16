package mcpsec

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// ErrSealed is wrapped by errors about tools that come after [Guard.Install].
var ErrSealed = errors.New("the guard is sealed: add every tool before Install")

// AddTool adds a typed tool behind the guard: the one-word change from
// mcp.AddTool. The definition is copied, so that later writes to t change
// nothing, and its schemas are inferred and checked as mcp.AddTool does.
//
// It refuses, and adds nothing, when an argument is nil, the guard is sealed or on
// another server, the name is not 1 to 128 characters of A-Z a-z 0-9 _ - . or
// can be mistaken for that of another tool, the server has a tool of that name
// already (mcp.AddTool would replace it in silence), or a schema is unusable. A
// refusal that the program ignores makes Install fail as well.
func AddTool[In, Out any](g *Guard, s *mcp.Server, t *mcp.Tool, h mcp.ToolHandlerFor[In, Out]) error {
	err := addTool(g, s, t, h)
	if err != nil && g != nil {
		g.mu.Lock()
		g.faults = append(g.faults, err)
		g.mu.Unlock()
	}
	return err
}

func addTool[In, Out any](g *Guard, s *mcp.Server, t *mcp.Tool, h mcp.ToolHandlerFor[In, Out]) error {
	if t == nil {
		return errors.New("mcpsec: AddTool: nil tool")
	}
	fail := func(err error) error { return fmt.Errorf("mcpsec: tool %q: %w", t.Name, err) }
	if !g.made() || s == nil || h == nil {
		return fail(errors.New("AddTool needs a guard made by New, a server and a handler"))
	}
	offered, err := g.attach(s)
	if err != nil {
		return fail(err)
	}
	if slices.ContainsFunc(offered.Tools, func(o *mcp.Tool) bool { return o.Name == t.Name }) {
		return fail(errors.New("the server has a tool of this name already"))
	}
	v := newValidator[In, Out]()
	def, err := v.define(t)
	if err != nil {
		return fail(err)
	}
	wrapped, err := WrapFor(g, t.Name, h)
	if err != nil {
		return err
	}
	g.mu.Lock()
	e := g.entries[t.Name]
	g.mu.Unlock()
	e.marker, _ = def.InputSchema.(json.RawMessage)
	if err := safely(func() { mcp.AddTool(s, def, wrapped) }); err != nil {
		return fail(err)
	}
	return nil
}

// enter books a name for a handler.
func (g *Guard) enter(name string, v *validator) (*entry, error) {
	if !g.made() {
		return nil, fmt.Errorf("tool %q: %w", name, errNoGuard)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.state.Load() == stateSealed {
		return nil, fmt.Errorf("mcpsec: tool %q: %w", name, ErrSealed)
	}
	if err := checkToolName(name); err != nil {
		return nil, fmt.Errorf("mcpsec: tool %q: %w", name, err)
	}
	if twin := lookalike(name, maps.Keys(g.entries)); twin != "" {
		return nil, fmt.Errorf("mcpsec: tool %q: can be mistaken for tool %q", name, twin)
	}
	e := &entry{guard: g, name: name, typed: v, tool: &Tool{Name: name, Guarded: true}}
	g.entries[name] = e
	return e, nil
}

// checkToolName holds a name to the specification (2026-07-28, server/tools,
// names), which the SDK only logs. Its alphabet leaves no room for look-alikes of
// other scripts, invisible characters or terminal escapes.
func checkToolName(name string) error {
	if name == "" || len(name) > 128 {
		return fmt.Errorf("a tool name has 1 to 128 characters, this one %d", len(name))
	}
	for _, r := range name {
		if !strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.", r) {
			return fmt.Errorf("a tool name has only A-Z a-z 0-9 _ - . and not %q", r)
		}
	}
	return nil
}

// skeleton folds what a reader takes for the same within that alphabet
// (after UTS #39, section 4).
var skeleton = strings.NewReplacer("rn", "m", "vv", "w", "0", "o", "O", "o", "1", "l", "I", "l", "-", "_", ".", "_")

// lookalike returns the name among others that name can be mistaken for.
func lookalike(name string, others iter.Seq[string]) string {
	mine := strings.ToLower(skeleton.Replace(name))
	for other := range others {
		if strings.ToLower(skeleton.Replace(other)) == mine {
			return other
		}
	}
	return ""
}

// safely turns a panic of the SDK, which is how it reports misuse, into an error.
func safely(do func()) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
		}
	}()
	do()
	return nil
}

// A validator repeats, apart from the server, what the SDK does with a typed
// tool's definition and arguments.
type validator struct {
	add        func(s *mcp.Server, t *mcp.Tool)
	definition *mcp.Tool

	once   sync.Once
	server *mcp.Server // with the sealed definition; made when arguments are first refused
	sdk    mcp.MethodHandler
}

var errNoDefinition = errors.New("the arguments cannot be checked apart from the server")

var errArgumentsValid = errors.New("arguments are valid")

func newValidator[In, Out any]() *validator {
	return &validator{add: func(s *mcp.Server, t *mcp.Tool) {
		mcp.AddTool(s, t, func(context.Context, *mcp.CallToolRequest, In) (*mcp.CallToolResult, Out, error) {
			var none Out
			return nil, none, errArgumentsValid
		})
	}}
}

// scratch returns a server with the tool alone.
func (v *validator) scratch(t *mcp.Tool) (*mcp.Server, error) {
	s := mcp.NewServer(&mcp.Implementation{Name: "mcpsec"}, &mcp.ServerOptions{Logger: slog.New(slog.DiscardHandler)})
	return s, safely(func() { v.add(s, t) })
}

// define returns the definition as the SDK completes it, in memory of its own.
func (v *validator) define(t *mcp.Tool) (*mcp.Tool, error) {
	s, err := v.scratch(t)
	if err != nil {
		return nil, err
	}
	var def *mcp.Tool
	err = introspect(s, func(ctx context.Context, sdk mcp.MethodHandler, ss *mcp.ServerSession) error {
		all, err := listEverything(ctx, sdk, ss)
		if err == nil {
			def, err = copyTool(all.Tools[0])
		}
		return err
	})
	return def, err
}

// refusal returns the reason for which the SDK refuses the arguments, or "".
func (v *validator) refusal(ctx context.Context, arguments json.RawMessage) (reason string, err error) {
	if v.definition == nil {
		return "", errNoDefinition
	}
	v.once.Do(func() {
		if s, err := v.scratch(v.definition); err == nil {
			v.server, v.sdk = s, capture(s)
		}
	})
	if v.server == nil {
		return "", errNoDefinition
	}
	err = withSession(v.server, func(_ context.Context, ss *mcp.ServerSession) error {
		params := &mcp.CallToolParamsRaw{Name: v.definition.Name, Arguments: arguments}
		res, err := v.sdk(ctx, methodCallTool, &mcp.CallToolRequest{Session: ss, Params: params})
		if r, ok := res.(*mcp.CallToolResult); ok && err == nil && r.IsError {
			if err := r.GetError(); err != nil && !errors.Is(err, errArgumentsValid) {
				reason = err.Error()
			}
		}
		return err
	})
	return reason, err
}
