package https_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/internal/test/clients/site"
	"github.com/mcpsec/mcpsec-go/internal/test/httpx"
	"github.com/mcpsec/mcpsec-go/mcpsec"
	"github.com/mcpsec/mcpsec-go/ratelimit"
	"github.com/mcpsec/mcpsec-go/transport/https"
	"github.com/mcpsec/mcpsec-go/transport/https/bearer"
	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// A duty is one that the specification lays on a server: shown to hold by an exchange with
// the listener, or by the test of another package that is named, or not ours, and why.
type duty struct {
	number int
	name   string
	hold   func(visit)
	test   string // "package.TestName"
	why    string
}

// A visit is one row's, to an office that all share.
type visit struct {
	*testing.T
	*office
}

// The 85 duties of revisions 2025-11-25 and 2026-07-28 that concern security.
func TestDuties(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	next := 1
	for _, d := range append(append(append([]duty{}, httpDuties...), authorizationDuties...), featureDuties...) {
		if d.number != next {
			t.Errorf("duty %d is in the place of %d", d.number, next)
		}
		next++
		t.Run(fmt.Sprintf("%02d %s", d.number, d.name), func(t *testing.T) {
			t.Parallel()
			switch {
			case d.hold != nil:
				d.hold(visit{t, o})
			case d.test != "":
				exists(t, d.test)
			case d.why != "":
				t.Skip("reason: not applicable: " + d.why)
			default:
				t.Error("nothing shows it")
			}
		})
	}
	if next != 86 {
		t.Errorf("%d duties, want 85", next-1)
	}
}

// exists checks that a test is there which a table refers to.
func exists(t *testing.T, name string) {
	t.Helper()
	pkg, test, _ := strings.Cut(name, ".")
	files, err := filepath.Glob(filepath.Join("..", "..", filepath.FromSlash(pkg), "*_test.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no tests of %s: %v", pkg, err)
	}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parsed.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Name.Name == test {
				return
			}
		}
	}
	t.Errorf("there is no %s", name)
}

// An office is a site with something of everything.
type office struct {
	*site.Site

	alice, mallory *httpx.Peer // speak 2026-07-28

	mu     sync.Mutex
	parked map[string]*parking
}

var errOurs = mcpsec.Code{Name: "duties.not_mallory", Kind: mcpsec.NotFound, Meaning: "Mallory may not.", Remedy: "Be alice."}

// notMallory refuses what is hers to ask for and not to have.
func notMallory(next mcpsec.Handler) mcpsec.Handler {
	return func(ctx context.Context, c *mcpsec.Call) (mcp.Result, error) {
		if c.Principal.Subject == "mallory" && (c.Name == "secret" || c.Name == "x://secret" || c.Method == "completion/complete" || c.Method == "prompts/get") {
			return nil, errOurs.Deny("not for you")
		}
		return next(ctx, c)
	}
}

// tidy stands for a control of contents.
func tidy(next mcpsec.Handler) mcpsec.Handler {
	return func(ctx context.Context, c *mcpsec.Call) (mcp.Result, error) {
		res, err := next(ctx, c)
		if r, ok := res.(*mcp.CallToolResult); ok && c.Name == "dirty" {
			clean := *r
			clean.Content = []mcp.Content{&mcp.TextContent{Text: "clean"}}
			return &clean, err
		}
		return res, err
	}
}

func newOffice(t *testing.T) *office {
	t.Helper()
	o := &office{parked: make(map[string]*parking)}
	o.Site = site.New(t, site.Plan{
		Options: &mcp.ServerOptions{CompletionHandler: func(context.Context, *mcp.CompleteRequest) (*mcp.CompleteResult, error) {
			return &mcp.CompleteResult{Completion: mcp.CompletionResultDetails{Values: []string{"a"}}}, nil
		}},
		Controls: []mcpsec.Control{
			mcpsec.At(mcpsec.StageAllow, "not_mallory", mcpsec.ControlFunc(notMallory)),
			mcpsec.At(mcpsec.StageInspect, "tidy", mcpsec.ControlFunc(tidy)),
			ratelimit.New(ratelimit.PerPrincipalAndTool(2, time.Hour).Of("scarce")),
		},
		Tools: o.furnish(t),
		Change: func(c *https.Config) {
			c.Origins, c.Batches = []string{"https://app.example"}, true
			c.Limits = https.Limits{KeepAlive: 50 * time.Millisecond}
		},
		Bearer: func(c *bearer.Config) {
			c.Scopes = map[string][]string{"tools/call secret": {"secrets"}}
			c.Implies = map[string][]string{"admin": {"secrets"}}
		},
	})
	o.alice, o.mallory = o.Peer(t, "alice").As("alice"), o.Peer(t, "mallory").As("mallory")
	return o
}

// A glimpse is what a handler sees of a request.
type glimpse struct {
	Headers string `json:"headers"`
	User    string `json:"user"`
}

type answers struct {
	Number int `json:"number"`
}

func (o *office) furnish(t *testing.T) func(*mcpsec.Guard, *mcp.Server) {
	t.Helper()
	return func(g *mcpsec.Guard, s *mcp.Server) {
		for _, name := range []string{"secret", "scarce", "dirty"} {
			site.AddTool(t, g, s, &mcp.Tool{Name: name}, site.Echo)
		}
		site.AddTool(t, g, s, &mcp.Tool{Name: "seen"}, func(_ context.Context, r *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, glimpse, error) {
			names := slices.Sorted(maps.Keys(r.Extra.Header))
			return nil, glimpse{strings.Join(names, " "), r.Extra.TokenInfo.UserID}, nil
		})
		site.AddTool(t, g, s, &mcp.Tool{Name: "park"}, o.park)
		site.AddTool(t, g, s, &mcp.Tool{Name: "asks"}, func(ctx context.Context, r *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, site.Say, error) {
			_, err := r.Session.CreateMessage(ctx, &mcp.CreateMessageParams{MaxTokens: 1})
			return nil, site.Say{Text: "asked"}, err
		})
		site.AddTool(t, g, s, &mcp.Tool{Name: "logs"}, func(ctx context.Context, r *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, site.Say, error) {
			err := r.Session.Log(ctx, &mcp.LoggingMessageParams{Level: "error", Data: "unasked"})
			return nil, site.Say{Text: "logged"}, err
		})
		site.AddTool(t, g, s, &mcp.Tool{Name: "region", InputSchema: json.RawMessage(`{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"}}}`)}, site.Echo)
		site.AddTool(t, g, s, &mcp.Tool{Name: "lies", OutputSchema: json.RawMessage(`{"type":"object","properties":{"number":{"type":"integer","minimum":10}},"required":["number"]}`)},
			func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, answers, error) {
				return nil, answers{1}, nil
			})
		for _, name := range []string{"secret", "doc"} {
			s.AddResource(&mcp.Resource{URI: "x://" + name, Name: name}, func(context.Context, *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
				return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{{URI: "x://" + name, Text: "text"}}}, nil
			})
		}
		s.AddPrompt(&mcp.Prompt{Name: "prompt"}, func(context.Context, *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
			return &mcp.GetPromptResult{Messages: []*mcp.PromptMessage{{Role: "user", Content: &mcp.TextContent{Text: "p"}}}}, nil
		})
	}
}

// park waits for the end of the call, and tells of it.
func (o *office) park(ctx context.Context, _ *mcp.CallToolRequest, in site.Say) (*mcp.CallToolResult, site.Say, error) {
	p := o.parking(in.Text)
	close(p.begun)
	select {
	case <-ctx.Done():
		close(p.cancelled)
		return nil, site.Say{}, ctx.Err()
	case <-p.leave:
		return nil, in, nil
	}
}

// A parking is a call of park.
type parking struct{ begun, cancelled, leave chan struct{} }

func (o *office) parking(name string) *parking {
	o.mu.Lock()
	defer o.mu.Unlock()
	p := o.parked[name]
	if p == nil {
		p = &parking{make(chan struct{}), make(chan struct{}), make(chan struct{})}
		o.parked[name] = p
	}
	return p
}

// await waits for what must happen.
func await(t *testing.T, c <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(httpx.Patience):
		t.Fatalf("%s did not happen", what)
	}
}

// status fails the test unless the answer has the status and the JSON-RPC code; 0 is none.
func status(t *testing.T, a *httpx.Answer, want int, code int64) {
	t.Helper()
	var got int64
	if wire, ok := errors.AsType[*jsonrpc.Error](a.Result(nil)); ok {
		got = wire.Code
	}
	if a.Status != want || got != code {
		t.Errorf("answered with %d, code %d, want %d and %d: %s", a.Status, got, want, code, a.Body)
	}
}

// ok fails the test unless a call came to a good end.
func ok(t *testing.T, a *httpx.Answer) {
	t.Helper()
	status(t, a, http.StatusOK, 0)
}
