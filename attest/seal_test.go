package attest_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/attest"
	"github.com/mcpsec/mcpsec-go/attest/envelope"
	"github.com/mcpsec/mcpsec-go/attest/manifest"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

const otherDigest = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// otherExecutable makes a manifest one of another program for this platform.
func otherExecutable(p *manifest.Manifest) {
	e := p.Executables[0]
	e.SHA256, e.GoBuild = otherDigest, nil
	p.Executables = []manifest.Executable{e}
}

func TestInstallRefusesAnotherServer(t *testing.T) {
	described := func(text string) *mcp.Tool {
		tool := noteTool()
		tool.Description = text
		return tool
	}
	extra := &mcp.Tool{Name: "upload"}
	good := pins(t, "Be kind.", noteTool())
	tests := []struct {
		attack       string
		instructions string
		tools        []*mcp.Tool
		edit         func(*manifest.Manifest)
		want         []string
	}{
		{"neg 39: extra tool that nobody reviewed", "Be kind.", []*mcp.Tool{noteTool(), extra}, nil, []string{`tool "upload" is extra`}},
		{"neg 46: missing tool", "Be kind.", []*mcp.Tool{noteTool()}, func(p *manifest.Manifest) {
			p.Tools = append(p.Tools, manifest.Tool{Name: "write_note", SHA256: otherDigest, Artifacts: []string{}})
		}, []string{`tool "write_note" is missing`}},
		{"changed description", "Be kind.", []*mcp.Tool{described("Sends one note.")}, nil, []string{`tool "read_note" changed`, good.Tools[0].SHA256}},
		{"one tool in the place of another", "Be kind.", []*mcp.Tool{extra}, nil, []string{`"upload" is extra`, `"read_note" is missing`}},
		{"neg 45: changed instructions", "Be cruel.", []*mcp.Tool{noteTool()}, nil, []string{"the instructions changed"}},
		{"instructions removed", "", []*mcp.Tool{noteTool()}, nil, []string{"the instructions changed"}},
		{"neg 37: manifest of another server", "Be kind.", []*mcp.Tool{noteTool()}, func(p *manifest.Manifest) { p.ServerName = "bank" }, []string{`manifest is for "bank"`}},
		{"manifest of another version", "Be kind.", []*mcp.Tool{noteTool()}, func(p *manifest.Manifest) { p.ServerVersion = "1.1.9" }, []string{`version "1.1.9"`}},
		{"another executable", "Be kind.", []*mcp.Tool{noteTool()}, func(p *manifest.Manifest) { otherExecutable(p) }, []string{"the executable is another one", otherDigest}},
		{"everything at once", "", []*mcp.Tool{described("x"), extra}, func(p *manifest.Manifest) {
			p.ServerVersion = "0"
			otherExecutable(p)
		}, []string{"is extra", "changed", "instructions", "executable", "the server is"}},
		{"a number that a digest cannot tell apart", "Be kind.", []*mcp.Tool{noteTool(), {Name: "n", Meta: mcp.Meta{"max": uint64(1<<53 + 1)}}}, func(p *manifest.Manifest) {
			p.Tools = append([]manifest.Tool{{Name: "n", SHA256: otherDigest, Artifacts: []string{}}}, p.Tools...)
		}, []string{`tool "n" cannot be attested`}},
	}
	for _, test := range tests {
		t.Run(test.attack, func(t *testing.T) {
			p := *good
			p.Tools = append([]manifest.Tool(nil), good.Tools...)
			if test.edit != nil {
				test.edit(&p)
			}
			l := newLab(t, test.instructions, attest.New(attest.Pinned(&p))).add(test.tools...)
			err := l.guard.Install(l.server)
			if err == nil {
				t.Fatal("installed")
			}
			for _, part := range append(test.want, "make a new manifest") {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("the error does not say %q: %v", part, err)
				}
			}
			if _, err := l.dial(); err == nil {
				t.Error("the server serves all the same")
			}
		})
	}
}

func TestNewRefuses(t *testing.T) {
	p := pins(t, "", noteTool())
	unpinned := *p
	unpinned.Executables = []manifest.Executable{}
	m := newMaker(t)
	dir, good, key := m.dir, m.sign(p), attest.Key(m.public)
	plain := filepath.Join(dir, "manifest.json")
	if err := attest.WriteFile(plain, p); err != nil {
		t.Fatal(err)
	}
	big := filepath.Join(dir, "big.json")
	if err := os.WriteFile(big, []byte(strings.Repeat(" ", envelope.MaxFile+1)), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		fault string
		opts  []attest.Option
		want  string
	}{
		{"no manifest", []attest.Option{attest.AllowUnpinnedExecutable()}, "0 manifests"},
		{"no option", []attest.Option{nil}, "option 1 is nil"},
		{"no verifier", []attest.Option{attest.Manifest(good, nil)}, "no verifier"},
		{"no such key", []attest.Option{attest.Manifest(good, attest.Key(filepath.Join(dir, "none")))}, "no such file"},
		{"a key file without a key", []attest.Option{attest.Manifest(good, attest.Key(good))}, "not a PEM file"},
		{"the key of somebody else", []attest.Option{attest.Manifest(good, attest.Key(newMaker(t).public))}, "no trusted signature"},
		{"a statement without a signature", []attest.Option{attest.Manifest(plain, key)}, "bundle"},
		{"a signed file as an unsigned one", []attest.Option{attest.Unsigned(good)}, "manifest"},
		{"no such policy", []attest.Option{attest.Pinned(p), attest.PolicyFile(filepath.Join(dir, "none"))}, "policy"},
		{"negative interval", []attest.Option{attest.Pinned(p), attest.Rehash(-1)}, "negative"},
		{"nil rule", []attest.Option{attest.Pinned(p), attest.Accept(nil)}, "Accept(nil)"},
		{"panicking rule", []attest.Option{attest.Pinned(p), attest.Accept(func(*manifest.Manifest) error { panic("boom") })}, "panicked"},
		{"two manifests", []attest.Option{attest.Pinned(p), attest.Pinned(p)}, "2 manifests"},
		{"file and memory", []attest.Option{attest.Manifest(good, key), attest.Pinned(p)}, "2 manifests"},
		{"nil pins", []attest.Option{attest.Pinned(nil)}, "Pinned(nil)"},
		{"nil option", []attest.Option{attest.Pinned(p), nil}, "option 2 is nil"},
		{"zero pins", []attest.Option{attest.Pinned(&manifest.Manifest{})}, "sequence is 0"},
		{"no such file", []attest.Option{attest.Manifest(filepath.Join(dir, "none"), key)}, "no such file"},
		{"directory", []attest.Option{attest.Manifest(dir, key)}, "not a regular file"},
		{"device", []attest.Option{attest.Manifest("/dev/zero", key)}, "not a regular file"},
		{"100 MB file", []attest.Option{attest.Manifest(big, key)}, "larger than"},
		{"no executable", []attest.Option{attest.Pinned(&unpinned)}, "pins no executable"},
	}
	for _, test := range tests {
		t.Run(test.fault, func(t *testing.T) {
			_, err := mcpsec.New(attest.New(test.opts[0], test.opts[1:]...))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
	for name, opts := range map[string][]attest.Option{
		"file":       {attest.Manifest(good, key)},
		"memory":     {attest.Pinned(p)},
		"unsigned":   {attest.Unsigned(plain)},
		"unpinned":   {attest.AllowUnpinnedExecutable(), attest.Pinned(&unpinned)},
		"needlessly": {attest.Pinned(p), attest.AllowUnpinnedExecutable()},
	} {
		newLab(t, "", attest.New(opts[0], opts[1:]...)).add(noteTool()).install()
		t.Log(name, "serves")
	}
	if _, err := mcpsec.New(&attest.Attestor{}); err == nil {
		t.Error("the zero Attestor was accepted")
	}
	if _, err := mcpsec.New((*attest.Attestor)(nil)); err == nil {
		t.Error("a nil Attestor was accepted")
	}
	if _, err := mcpsec.New(attest.New(attest.Pinned(p)), attest.New(attest.Pinned(p))); err == nil {
		t.Error("two Attestors were accepted")
	}
}

func TestAllowUnpinnedStillChecksAPin(t *testing.T) {
	p := pins(t, "", noteTool())
	otherExecutable(p)
	l := newLab(t, "", attest.New(attest.Pinned(p), attest.AllowUnpinnedExecutable())).add(noteTool())
	if err := l.guard.Install(l.server); err == nil {
		t.Error("another executable was accepted")
	}
}

func TestPinsChangedAfterNew(t *testing.T) {
	p := pins(t, "", noteTool())
	a := attest.New(attest.Pinned(p))
	p.Tools[0].SHA256, p.ServerName = otherDigest, "bank"
	newLab(t, "", a).add(noteTool()).install()
}

func TestManifestChangedAfterNew(t *testing.T) {
	m := newMaker(t)
	a := attest.New(attest.Manifest(m.sign(pins(t, "", noteTool())), attest.Key(m.public)))
	evil := noteTool()
	evil.Description = "evil"
	m.sign(pins(t, "", evil))
	l := newLab(t, "", a).add(evil)
	if err := l.guard.Install(l.server); err == nil {
		t.Error("the manifest that was put in place later counted")
	}
}

func TestOneAttestorForTwoServers(t *testing.T) {
	a := attest.New(attest.Pinned(pins(t, "", noteTool())))
	newLab(t, "", a).add(noteTool()).install()
	l := newLab(t, "", a).add(noteTool())
	if err := l.guard.Install(l.server); err == nil || !strings.Contains(err.Error(), "one Attestor for each guard") {
		t.Errorf("got %v", err)
	}
}

// TestUnsealed: a guard that is never installed attests nothing, so nothing runs.
func TestUnsealed(t *testing.T) {
	g, err := mcpsec.New(attest.New(attest.Pinned(pins(t, "", noteTool()))))
	if err != nil {
		t.Fatal(err)
	}
	ran := false
	h, err := mcpsec.Wrap(g, "read_note", func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		ran = true
		return &mcp.CallToolResult{}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = h(t.Context(), &mcp.CallToolRequest{Params: &mcp.CallToolParamsRaw{Name: "read_note"}})
	denied(t, err, "attest.not_sealed")
	if ran {
		t.Error("the handler ran")
	}
}

// TestUnsealedResults: whatever the guard does, an unsealed control tells nobody
// about tools, and a sealed one not about others.
func TestUnsealedResults(t *testing.T) {
	answer := func(a *attest.Attestor, res mcp.Result) error {
		h := a.Wrap(func(context.Context, *mcpsec.Call) (mcp.Result, error) { return res, nil })
		_, err := h(t.Context(), &mcpsec.Call{Method: "any"})
		return err
	}
	p := pins(t, "", noteTool())
	for _, res := range []mcp.Result{&mcp.ListToolsResult{}, &mcp.InitializeResult{}, &mcp.DiscoverResult{}, &mcp.ListPromptsResult{}, &mcp.ListResourcesResult{}, &mcp.ListResourceTemplatesResult{}} {
		if d := mcpsec.AsDenial(answer(attest.New(attest.Pinned(p)), res)); d == nil || d.Code != "attest.not_sealed" {
			t.Errorf("%T: %v", res, d)
		}
	}
	a := attest.New(attest.Pinned(p))
	newLab(t, "", a).add(noteTool()).install()
	for _, tools := range [][]*mcp.Tool{{nil}, {{Name: "upload"}}} {
		if d := mcpsec.AsDenial(answer(a, &mcp.ListToolsResult{Tools: tools})); d == nil || d.Code != "attest.not_sealed" {
			t.Errorf("list with %v: %v", tools, d)
		}
	}
}

// TestAnotherDefinitionUnderTheName: a call that carries a definition which is not
// the registry's own, even an equal one, is not what was attested.
func TestAnotherDefinitionUnderTheName(t *testing.T) {
	a := attest.New(attest.Pinned(pins(t, "", noteTool())))
	l := newLab(t, "", a).add(noteTool()).install()
	ran := 0
	h := a.Wrap(func(context.Context, *mcpsec.Call) (mcp.Result, error) { ran++; return &mcp.CallToolResult{}, nil })
	own := l.sealed.Tools[0]
	if _, err := h(t.Context(), &mcpsec.Call{Method: "tools/call", Tool: own}); err != nil {
		t.Fatal(err)
	}
	twin := *own.Definition
	for name, tool := range map[string]*mcpsec.Tool{"twin": {Name: own.Name, Definition: &twin}, "none": {Name: own.Name}} {
		_, err := h(t.Context(), &mcpsec.Call{Method: "tools/call", Tool: tool})
		if d := mcpsec.AsDenial(err); d == nil || d.Code != "attest.definition_mismatch" {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, tool := range map[string]*mcpsec.Tool{"unknown": {Name: "upload"}, "nil": nil} {
		_, err := h(t.Context(), &mcpsec.Call{Method: "tools/call", Tool: tool})
		if d := mcpsec.AsDenial(err); d == nil || d.Code != "attest.not_sealed" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if ran != 1 {
		t.Errorf("the handler ran %d times", ran)
	}
}

// TestUnguardedTools: Install alone attests tools added with mcp.AddTool too.
func TestUnguardedTools(t *testing.T) {
	start := func(control mcpsec.Control) *lab {
		l := newLab(t, "", control)
		mcp.AddTool(l.server, noteTool(), readNote)
		return l.install()
	}
	var p *manifest.Manifest
	start(attest.Capture(func(made *manifest.Manifest) error { p = made; return nil }))
	l := start(attest.New(attest.Pinned(p)))
	cs := l.connect()
	if err := call(t, cs, "read_note"); err != nil {
		t.Fatal(err)
	}
	if _, err := cs.ListTools(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	l.live["read_note"].Description = "evil"
	denied(t, call(t, cs, "read_note"), "attest.definition_mismatch")
}

// neg 40: the definition that a list sends is no longer the sealed one.
func TestToolAddedAgain(t *testing.T) {
	l := newLab(t, "", attest.New(attest.Pinned(pins(t, "", noteTool())))).add(noteTool()).install()
	cs := l.connect()
	evil := noteTool()
	evil.Description = "evil"
	mcp.AddTool(l.server, evil, readNote)
	_, err := cs.ListTools(t.Context(), nil)
	denied(t, err, "attest.definition_mismatch")
	denied(t, call(t, cs, "read_note"), "") // by the core, or because the tool tripped
}

func TestCaptureServesNothing(t *testing.T) {
	l := newLab(t, "", attest.Capture(func(*manifest.Manifest) error { return nil })).add(noteTool()).install()
	if _, err := l.dial(); err == nil {
		t.Error("a client was greeted")
	}
	denied(t, l.initialize(), "attest.capturing")
	if _, err := mcpsec.New(attest.Capture(nil)); err == nil {
		t.Error("Capture(nil) was accepted")
	}
	full := errors.New("disk full")
	l = newLab(t, "", attest.Capture(func(*manifest.Manifest) error { return full })).add(noteTool())
	if err := l.guard.Install(l.server); !errors.Is(err, full) {
		t.Errorf("Install: %v", err)
	}
}

func TestCodesAreComplete(t *testing.T) {
	last := ""
	for _, c := range attest.Codes() {
		if !strings.HasPrefix(c.Name, "attest.") || c.Meaning == "" || c.Remedy == "" || c.Name <= last || c.Kind != mcpsec.Unavailable && c.Kind != mcpsec.NotFound {
			t.Errorf("%+v", c)
		}
		last = c.Name
	}
}

// A subscription is only decided about, and must not look like an answer of the
// server: one client's subscription would take the tools from all.
func TestSubscriptionDoesNotTripTheServer(t *testing.T) {
	t.Parallel()
	start := func(control mcpsec.Control) *lab {
		l := newLab(t, "Be kind.", control).add(noteTool())
		l.server.AddResource(&mcp.Resource{URI: "x://y", Name: "y"}, func(context.Context, *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
			return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{{Text: "y"}}}, nil
		})
		return l.install()
	}
	var p *manifest.Manifest
	start(attest.Capture(func(made *manifest.Manifest) error { p = made; return nil }))
	cs := start(attest.New(attest.Pinned(p))).connect()
	_ = cs.Subscribe(t.Context(), &mcp.SubscribeParams{URI: "x://y"})
	if _, err := cs.ListTools(t.Context(), nil); err != nil {
		t.Fatalf("a subscription tripped the server: %v", err)
	}
}
