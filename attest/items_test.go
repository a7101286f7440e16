package attest_test

import (
	"context"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/attest"
	"github.com/mcpsec/mcpsec-go/attest/manifest"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

func greet(context.Context, *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
	return &mcp.GetPromptResult{Messages: []*mcp.PromptMessage{}}, nil
}

func readResource(_ context.Context, req *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
	return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{{URI: req.Params.URI, Text: "y"}}}, nil
}

// An offer is what a server has beside tools, in the memory that the SDK keeps.
type offer struct {
	prompt   *mcp.Prompt
	resource *mcp.Resource
	template *mcp.ResourceTemplate
}

func newOffer() *offer {
	return &offer{
		&mcp.Prompt{Name: "greet", Description: "Greets.", Arguments: []*mcp.PromptArgument{{Name: "who", Description: "whom"}}, Meta: mcp.Meta{"a": 1.0}},
		&mcp.Resource{Name: "readme", URI: "doc://readme", Description: "Read this.", Annotations: &mcp.Annotations{Priority: 1}},
		&mcp.ResourceTemplate{Name: "notes", URITemplate: "note://{title}", Description: "The notes.", Icons: []mcp.Icon{{Source: "data:,a"}}},
	}
}

func (o *offer) start(t *testing.T, control mcpsec.Control) (*lab, error) {
	t.Helper()
	l := newLab(t, "", control).add(noteTool())
	l.server.AddPrompt(o.prompt, greet)
	l.server.AddResource(o.resource, readResource)
	l.server.AddResourceTemplate(o.template, readResource)
	return l, l.guard.Install(l.server)
}

func (o *offer) manifest(t *testing.T) (m *manifest.Manifest) {
	t.Helper()
	if _, err := o.start(t, attest.Capture(func(made *manifest.Manifest) error { m = made; return nil })); err != nil {
		t.Fatal(err)
	}
	return m
}

func useAll(t *testing.T, cs *mcp.ClientSession) map[string]error {
	t.Helper()
	ctx := t.Context()
	errs := map[string]error{}
	_, errs["prompts/list"] = cs.ListPrompts(ctx, nil)
	_, errs["resources/list"] = cs.ListResources(ctx, nil)
	_, errs["resources/templates/list"] = cs.ListResourceTemplates(ctx, nil)
	_, errs["prompts/get"] = cs.GetPrompt(ctx, &mcp.GetPromptParams{Name: "greet"})
	_, errs["resources/read"] = cs.ReadResource(ctx, &mcp.ReadResourceParams{URI: "doc://readme"})
	_, errs["resources/read of a template"] = cs.ReadResource(ctx, &mcp.ReadResourceParams{URI: "note://a"})
	return errs
}

func TestPromptsAndResourcesServe(t *testing.T) {
	t.Parallel()
	o := newOffer()
	m := o.manifest(t)
	if len(m.Prompts) != 1 || len(m.Resources) != 1 || len(m.ResourceTemplates) != 1 {
		t.Fatalf("%+v", m)
	}
	l, err := newOffer().start(t, attest.New(attest.Pinned(m)))
	if err != nil {
		t.Fatal(err)
	}
	for use, err := range useAll(t, l.connect()) {
		if err != nil {
			t.Errorf("%s: %v", use, err)
		}
	}
}

func TestPromptsAndResourcesOfAnotherServer(t *testing.T) {
	t.Parallel()
	m := newOffer().manifest(t)
	for attack, test := range map[string]struct {
		edit func(*offer, *manifest.Manifest)
		want string
	}{
		"prompt changed":     {func(o *offer, _ *manifest.Manifest) { o.prompt.Arguments[0].Description = "evil" }, `prompt "greet" changed`},
		"prompt missing":     {func(o *offer, _ *manifest.Manifest) { o.prompt.Name = "other" }, `prompt "greet" is missing`},
		"prompt extra":       {func(_ *offer, m *manifest.Manifest) { m.Prompts = []manifest.Definition{} }, `prompt "greet" is extra`},
		"resource changed":   {func(o *offer, _ *manifest.Manifest) { o.resource.Annotations.Priority = 0.5 }, `resource "doc://readme" changed`},
		"resource extra":     {func(_ *offer, m *manifest.Manifest) { m.Resources = []manifest.Definition{} }, `resource "doc://readme" is extra`},
		"template changed":   {func(o *offer, _ *manifest.Manifest) { o.template.Icons[0].Source = "data:,b" }, `resource template "note://{title}" changed`},
		"template missing":   {func(o *offer, _ *manifest.Manifest) { o.template.URITemplate = "x://{y}" }, `"note://{title}" is missing`},
		"not to be digested": {func(o *offer, _ *manifest.Manifest) { o.prompt.Meta["a"] = uint64(1<<53 + 1) }, "cannot be attested"},
	} {
		c := copyOf(m)
		o := newOffer()
		test.edit(o, c)
		if _, err := o.start(t, attest.New(attest.Pinned(c))); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", attack, err)
		}
	}
}

// The rug pull on what is no tool.
func TestPromptsAndResourcesChangeLive(t *testing.T) {
	t.Parallel()
	m := newOffer().manifest(t)
	for attack, test := range map[string]struct {
		change, undo func(*offer)
		refused      []string
	}{
		"prompt": {
			func(o *offer) { o.prompt.Description = "Sends." }, func(o *offer) { o.prompt.Description = "Greets." },
			[]string{"prompts/list", "prompts/get"},
		},
		"resource": {
			func(o *offer) { o.resource.Annotations.Priority = 0 }, func(o *offer) { o.resource.Annotations.Priority = 1 },
			[]string{"resources/list", "resources/read"},
		},
		"template": {
			func(o *offer) { o.template.Icons[0].Source = "data:,b" }, func(o *offer) { o.template.Icons[0].Source = "data:,a" },
			[]string{"resources/templates/list", "resources/read of a template"},
		},
	} {
		o := newOffer()
		l, err := o.start(t, attest.New(attest.Pinned(m)))
		if err != nil {
			t.Fatal(err)
		}
		cs := l.connect()
		for _, change := range []func(*offer){test.change, test.undo} {
			change(o)
			errs := useAll(t, cs)
			for _, use := range test.refused {
				denied(t, errs[use], "attest.definition_mismatch")
				delete(errs, use)
			}
			for use, err := range errs {
				if err != nil {
					t.Errorf("%s: %s: %v", attack, use, err)
				}
			}
		}
		if a := l.awaitAlarm("attest.definition_mismatch"); !strings.Contains(a.Detail, "expected sha256:") {
			t.Errorf("%+v", a)
		}
	}
}

// What appears after the seal is neither listed nor used.
func TestPromptsAndResourcesAddedLater(t *testing.T) {
	t.Parallel()
	l, err := newOffer().start(t, attest.New(attest.Pinned(newOffer().manifest(t))))
	if err != nil {
		t.Fatal(err)
	}
	cs := l.connect()
	l.server.AddPrompt(&mcp.Prompt{Name: "evil"}, greet)
	l.server.AddResource(&mcp.Resource{Name: "evil", URI: "evil://x"}, readResource)
	l.server.AddResourceTemplate(&mcp.ResourceTemplate{Name: "evil", URITemplate: "evil://{x}"}, readResource)
	errs := useAll(t, cs)
	for _, list := range []string{"prompts/list", "resources/list", "resources/templates/list"} {
		denied(t, errs[list], "attest.not_sealed")
	}
	_, get := cs.GetPrompt(t.Context(), &mcp.GetPromptParams{Name: "evil"})
	_, none := cs.GetPrompt(t.Context(), &mcp.GetPromptParams{Name: "none"})
	if get == nil || none == nil || strings.ReplaceAll(get.Error(), "evil", "none") != none.Error() {
		t.Errorf("a prompt that was added and one that is not there: %v; %v", get, none)
	}
	if _, err := cs.ReadResource(t.Context(), &mcp.ReadResourceParams{URI: "evil://x"}); err == nil {
		t.Error("read")
	}
	if d := l.lastDenial(); d == nil || d.Code != "attest.not_offered" {
		t.Errorf("%+v", d)
	}
	if err := call(t, cs, "read_note"); err != nil {
		t.Errorf("tools: %v", err)
	}
}

// neg 41: a middleware inside the guard registers the tool again, after every check and
// before the SDK looks the handler up. What the other handler says never leaves.
func TestRegisteredAgainDuringTheCall(t *testing.T) {
	t.Parallel()
	p := pins(t, "", noteTool())
	l := newLab(t, "", attest.New(attest.Pinned(p)))
	armed := false
	l.server.AddReceivingMiddleware(func(next mcp.MethodHandler) mcp.MethodHandler {
		return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
			if method == "tools/call" && armed {
				mcp.AddTool(l.server, noteTool(), func(context.Context, *mcp.CallToolRequest, noteIn) (*mcp.CallToolResult, noteOut, error) {
					return nil, noteOut{"evil"}, nil
				})
			}
			return next(ctx, method, req)
		}
	})
	cs := l.add(noteTool()).install().connect()
	if err := call(t, cs, "read_note"); err != nil {
		t.Fatal(err)
	}
	armed = true
	for range 2 {
		denied(t, call(t, cs, "read_note"), "guard.foreign_handler")
	}
	l.awaitAlarm("guard.foreign_handler")
}

// neg 51: a tool that no list ever showed is not there.
func TestNeverListed(t *testing.T) {
	t.Parallel()
	l := newLab(t, "", attest.New(attest.Pinned(pins(t, "", noteTool())))).add(noteTool()).install()
	cs := l.connect()
	mcp.AddTool(l.server, &mcp.Tool{Name: "hidden"}, readNote)
	err := call(t, cs, "hidden")
	if wire, ok := err.(*jsonrpc.Error); err == nil || ok && wire.Code != jsonrpc.CodeInvalidParams { //nolint:errorlint // the client returns it bare or wrapped
		t.Errorf("neg 51: %v", err)
	}
	if d := l.lastDenial(); d == nil || d.Code != "guard.unknown_tool" {
		t.Errorf("neg 51: %+v", d)
	}
}
