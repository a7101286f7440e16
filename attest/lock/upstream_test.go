package lock

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

const schema = `{"type":"object","properties":{"path":{"type":"string","maxLength":9007199254740992}}}`

// An upstream is somebody else's server. Rewrite may change each of its answers as the
// bytes go out, of which the SDK's server knows nothing.
type upstream struct {
	t       *testing.T
	lock    string // path of the host's lock file
	server  *mcp.Server
	rewrite func(method, cursor, result string) string
}

// newUpstream makes a server with the tools a, b and c, one on a page.
func newUpstream(t *testing.T) *upstream {
	t.Helper()
	u := &upstream{t: t, lock: filepath.Join(t.TempDir(), "mcpsec.lock")}
	u.server = mcp.NewServer(&mcp.Implementation{Name: "files", Version: "1.0.0"}, &mcp.ServerOptions{
		Instructions: "Ask before you write.", PageSize: 1, Logger: slog.New(slog.DiscardHandler),
	})
	for _, name := range []string{"a", "b", "c"} {
		u.server.AddTool(&mcp.Tool{Name: name, Description: "reads " + name, InputSchema: json.RawMessage(schema)}, ran)
	}
	u.server.AddPrompt(&mcp.Prompt{Name: "greet", Description: "greets"}, func(context.Context, *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
		return &mcp.GetPromptResult{}, nil
	})
	u.server.AddResource(&mcp.Resource{Name: "note", URI: "file:///note"}, read)
	u.server.AddResourceTemplate(&mcp.ResourceTemplate{Name: "notes", URITemplate: "file:///notes/{id}"}, read)
	return u
}

func ran(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "ran"}}}, nil
}

func read(_ context.Context, req *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
	return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{{URI: req.Params.URI, Text: "x"}}}, nil
}

// transport starts a session of the server and returns the client's end.
func (u *upstream) transport() mcp.Transport {
	u.t.Helper()
	near, far := mcp.NewInMemoryTransports()
	session, err := u.server.Connect(u.t.Context(), &rewriting{Transport: far, rewrite: u.rewrite}, nil)
	if err != nil {
		u.t.Fatal(err)
	}
	u.t.Cleanup(func() { _ = session.Close() })
	return near
}

// connect connects a client through the lock file.
func (u *upstream) connect(opts ...Option) (*mcp.ClientSession, error) {
	u.t.Helper()
	return u.dial(Pin(u.transport(), u.lock, append([]Option{Name("files"), Logger(slog.New(slog.DiscardHandler))}, opts...)...), nil)
}

func (u *upstream) dial(transport mcp.Transport, opts *mcp.ClientSessionOptions) (*mcp.ClientSession, error) {
	u.t.Helper()
	client := mcp.NewClient(&mcp.Implementation{Name: "host", Version: "1"}, &mcp.ClientOptions{Logger: slog.New(slog.DiscardHandler)})
	session, err := client.Connect(u.t.Context(), transport, opts)
	if err == nil {
		u.t.Cleanup(func() { _ = session.Close() })
	}
	return session, err
}

// pinned connects and fails the test if that is refused.
func (u *upstream) pinned(opts ...Option) *mcp.ClientSession {
	u.t.Helper()
	session, err := u.connect(opts...)
	if err != nil {
		u.t.Fatal(err)
	}
	return session
}

// learn pins everything the server shows now.
func (u *upstream) learn(how How) {
	u.t.Helper()
	seen, err := Observe(u.t.Context(), u.transport())
	if err != nil {
		u.t.Fatal(err)
	}
	file, err := approvedIn(u.lock).load()
	if err != nil {
		u.t.Fatal(err)
	}
	if err := Approve(u.t.Context(), u.lock, how, file.Compare("files", seen)...); err != nil {
		u.t.Fatal(err)
	}
	if err := Seal(u.t.Context(), u.lock, "files", nil); err != nil {
		u.t.Fatal(err)
	}
}

func (u *upstream) pending() []Change {
	u.t.Helper()
	changes, err := Pending(u.lock)
	if err != nil {
		u.t.Fatal(err)
	}
	return changes
}

func (u *upstream) file() *File {
	u.t.Helper()
	file, err := Load(u.lock)
	if err != nil {
		u.t.Fatal(err)
	}
	return file
}

// everything lists and uses whatever a client can, and returns the first error.
func everything(ctx context.Context, s *mcp.ClientSession) error {
	if err := drain(s.Tools(ctx, nil)); err != nil {
		return err
	}
	if err := drain(s.Prompts(ctx, nil)); err != nil {
		return err
	}
	if err := drain(s.Resources(ctx, nil)); err != nil {
		return err
	}
	if err := drain(s.ResourceTemplates(ctx, nil)); err != nil {
		return err
	}
	if err := call(ctx, s, "a"); err != nil {
		return err
	}
	if _, err := s.GetPrompt(ctx, &mcp.GetPromptParams{Name: "greet"}); err != nil {
		return err
	}
	_, err := s.ReadResource(ctx, &mcp.ReadResourceParams{URI: "file:///note"})
	return err
}

func call(ctx context.Context, s *mcp.ClientSession, tool string) error {
	res, err := s.CallTool(ctx, &mcp.CallToolParams{Name: tool})
	if err == nil && res.IsError {
		return fmt.Errorf("tool error: %v", res.Content)
	}
	return err
}

// notify says on a channel that the list of tools changed.
func notify(changed chan<- struct{}) func(context.Context, *mcp.ToolListChangedRequest) {
	return func(context.Context, *mcp.ToolListChangedRequest) {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
}

// wantCode fails the test unless err is a refusal with the code.
func wantCode(t *testing.T, err error, code mcpsec.Code) *mcpsec.Denial {
	t.Helper()
	d := DenialOf(err)
	if d == nil || d.Code != code.Name {
		t.Fatalf("%v is no refusal with %s", err, code.Name)
	}
	return d
}

// rewriting changes the answers that a server writes.
type rewriting struct {
	mcp.Transport

	rewrite func(method, cursor, result string) string
}

func (r *rewriting) Connect(ctx context.Context) (mcp.Connection, error) {
	conn, err := r.Transport.Connect(ctx)
	if err != nil || r.rewrite == nil {
		return conn, err
	}
	return &rewritingConn{Connection: conn, rewrite: r.rewrite, asked: make(map[jsonrpc.ID]question)}, nil
}

type rewritingConn struct {
	mcp.Connection

	rewrite func(method, cursor, result string) string
	mu      sync.Mutex
	asked   map[jsonrpc.ID]question
}

func (c *rewritingConn) Read(ctx context.Context) (jsonrpc.Message, error) {
	msg, err := c.Connection.Read(ctx)
	if req, ok := msg.(*jsonrpc.Request); ok && err == nil {
		var params struct {
			Cursor string `json:"cursor"`
		}
		_ = json.Unmarshal(req.Params, &params) // not every method has such parameters
		c.mu.Lock()
		c.asked[req.ID] = question{req.Method, params.Cursor}
		c.mu.Unlock()
	}
	return msg, err
}

func (c *rewritingConn) Write(ctx context.Context, msg jsonrpc.Message) error {
	if resp, ok := msg.(*jsonrpc.Response); ok && resp.Error == nil {
		c.mu.Lock()
		q := c.asked[resp.ID]
		c.mu.Unlock()
		msg = &jsonrpc.Response{ID: resp.ID, Result: json.RawMessage(c.rewrite(q.method, q.cursor, string(resp.Result)))}
	}
	return c.Connection.Write(ctx, msg)
}
