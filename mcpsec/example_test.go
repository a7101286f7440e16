package mcpsec_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/mcpsec/mcpsec-go/mcpsec"
	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

type greeting struct {
	Name string `json:"name"`
}

func greet(_ context.Context, _ *mcp.CallToolRequest, in greeting) (*mcp.CallToolResult, any, error) {
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "Hello, " + in.Name}}}, nil, nil
}

// noRoot is a control made of a function: it refuses to greet root.
var noRoot = mcpsec.At(mcpsec.StageAllow, "no-root", mcpsec.ControlFunc(func(next mcpsec.Handler) mcpsec.Handler {
	code := mcpsec.Code{Name: "example.no_root", Kind: mcpsec.BadArguments, Meaning: "Somebody greeted root.", Remedy: "Greet somebody else."}
	return func(ctx context.Context, call *mcpsec.Call) (mcp.Result, error) {
		if strings.Contains(string(call.Arguments), `"root"`) {
			return nil, code.Deny("name: root is not greeted here")
		}
		return next(ctx, call)
	}
}))

// A guard of one control, around an ordinary server.
func Example() {
	guard, err := mcpsec.New(noRoot)
	if err != nil {
		fmt.Println(err)
		return
	}
	server := mcp.NewServer(&mcp.Implementation{Name: "greeter", Version: "1.0.0"}, nil)
	if err := mcpsec.AddTool(guard, server, &mcp.Tool{Name: "greet"}, greet); err != nil {
		fmt.Println(err)
		return
	}
	if err := guard.Install(server); err != nil {
		fmt.Println(err)
		return
	}

	ctx := context.Background()
	near, far := mcp.NewInMemoryTransports()
	session, err := server.Connect(ctx, guard.Transport(far, mcpsec.Peer{Process: "uid:1000"}), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	client, err := mcp.NewClient(&mcp.Implementation{Name: "client"}, nil).Connect(ctx, near, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, name := range []string{"Ann", "root"} {
		res, err := client.CallTool(ctx, &mcp.CallToolParams{Name: "greet", Arguments: greeting{name}})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(res.IsError, res.Content[0].(*mcp.TextContent).Text)
	}
	_ = client.Close()
	_ = session.Wait()
	// Output:
	// false Hello, Ann
	// true name: root is not greeted here
}

// New names every fault at once.
func ExampleNew() {
	_, err := mcpsec.New(nil, mcpsec.ControlFunc(func(next mcpsec.Handler) mcpsec.Handler { return next }))
	fmt.Println(err)
	// Output:
	// mcpsec: control 1 is nil
	// control 2 (mcpsec.ControlFunc) declares no stage: place it with mcpsec.At
}

// A tool of a taken name is refused, and Install remembers it.
func ExampleAddTool() {
	guard, _ := mcpsec.New()
	server := mcp.NewServer(&mcp.Implementation{Name: "greeter"}, nil)
	fmt.Println(mcpsec.AddTool(guard, server, &mcp.Tool{Name: "greet"}, greet))
	fmt.Println(mcpsec.AddTool(guard, server, &mcp.Tool{Name: "Greet"}, greet))
	fmt.Println(guard.Install(server) != nil)
	// Output:
	// <nil>
	// mcpsec: tool "Greet": can be mistaken for tool "greet"
	// true
}

// A tool added after sealing is refused.
func ExampleGuard_Install() {
	guard, _ := mcpsec.New()
	server := mcp.NewServer(&mcp.Implementation{Name: "greeter"}, nil)
	fmt.Println(guard.Install(server))
	err := mcpsec.AddTool(guard, server, &mcp.Tool{Name: "late"}, greet)
	fmt.Println(errors.Is(err, mcpsec.ErrSealed))
	// Output:
	// <nil>
	// true
}

// Wrap guards a raw handler without a server.
func ExampleWrap() {
	guard, _ := mcpsec.New(noRoot)
	handler, err := mcpsec.Wrap(guard, "greet", func(_ context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: string(req.Params.Arguments)}}}, nil
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, args := range []string{`{"name":"Ann"}`, `{"name":"root"}`, `{"name":"Ann","name":"root"}`} {
		res, err := handler(context.Background(), &mcp.CallToolRequest{Params: &mcp.CallToolParamsRaw{Name: "greet", Arguments: []byte(args)}})
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(res.IsError, res.Content[0].(*mcp.TextContent).Text)
	}
	// Output:
	// false {"name":"Ann"}
	// true name: root is not greeted here
	// arguments: not strict JSON: duplicate member name at offset 20
}

// WrapFor guards a typed handler that mcp.AddTool then takes.
func ExampleWrapFor() {
	guard, _ := mcpsec.New(noRoot)
	handler, err := mcpsec.WrapFor(guard, "greet", greet)
	if err != nil {
		fmt.Println(err)
		return
	}
	server := mcp.NewServer(&mcp.Implementation{Name: "greeter"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "greet"}, handler)
	fmt.Println(guard.Install(server))
	// Output: <nil>
}

// A control that only observes lets the call pass, and the call remembers.
func ExampleInMode() {
	report := mcpsec.At(mcpsec.StageAudit, "report", mcpsec.ControlFunc(func(next mcpsec.Handler) mcpsec.Handler {
		return func(ctx context.Context, call *mcpsec.Call) (mcp.Result, error) {
			res, err := next(ctx, call)
			for _, f := range call.Findings() {
				fmt.Println(f.Control, "would have refused:", f.Denial)
			}
			return res, err
		}
	}))
	guard, _ := mcpsec.New(report, mcpsec.InMode(mcpsec.Observe, noRoot))
	handler, _ := mcpsec.Wrap(guard, "greet", func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		fmt.Println("ran")
		return &mcp.CallToolResult{}, nil
	})
	_, err := handler(context.Background(), &mcp.CallToolRequest{Params: &mcp.CallToolParamsRaw{Name: "greet", Arguments: []byte(`{"name":"root"}`)}})
	fmt.Println(err)
	// Output:
	// ran
	// no-root would have refused: example.no_root: name: root is not greeted here
	// <nil>
}

// Handler puts the guard's frame around the SDK's HTTP handler.
func ExampleGuard_Handler() {
	guard, _ := mcpsec.New()
	server := mcp.NewServer(&mcp.Implementation{Name: "greeter"}, nil)
	if err := guard.Install(server); err != nil {
		fmt.Println(err)
		return
	}
	web := httptest.NewServer(guard.Handler(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, nil)))
	defer web.Close()
	res, err := http.Post(web.URL, "application/json", strings.NewReader(`[{"jsonrpc":"2.0","id":1,"method":"ping"}]`))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer res.Body.Close()
	fmt.Println(res.Status)
	// Output: 400 Bad Request
}

// AsDenial finds out why a call was refused.
func ExampleAsDenial() {
	code := mcpsec.Code{Name: "example.full", Kind: mcpsec.Throttled, Meaning: "It is full.", Remedy: "Come back later."}
	err := fmt.Errorf("while greeting: %w", code.Deny("no room"))
	fmt.Println(mcpsec.AsDenial(err).Code, mcpsec.AsDenial(&jsonrpc.Error{}) == nil)
	// Output: example.full true
}

func ExampleCheckJSON() {
	fmt.Println(mcpsec.CheckJSON([]byte(`{"path":"a","pa\u0074h":"b"}`)))
	// Output: not strict JSON: duplicate member name at offset 23
}

// Transport puts the guard's frame around a transport and says who is at the other
// end.
func ExampleGuard_Transport() {
	who := mcpsec.At(mcpsec.StageAudit, "who", mcpsec.ControlFunc(func(next mcpsec.Handler) mcpsec.Handler {
		return func(ctx context.Context, call *mcpsec.Call) (mcp.Result, error) {
			res, err := next(ctx, call)
			if call.Method == "acme/unknown" {
				fmt.Println(call.Method, "by", call.Principal, "refused:", mcpsec.AsDenial(err).Code)
			}
			return res, err
		}
	}))
	guard, _ := mcpsec.New(who)
	server := mcp.NewServer(&mcp.Implementation{Name: "greeter"}, nil)
	if err := guard.Install(server); err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	near, far := mcp.NewInMemoryTransports()
	session, err := server.Connect(ctx, guard.Transport(far, mcpsec.Peer{Process: "uid:1000"}), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	conn, err := near.Connect(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	id, _ := jsonrpc.MakeID("1")
	_ = conn.Write(ctx, &jsonrpc.Request{ID: id, Method: "acme/unknown", Params: []byte(`{"secret":"x"}`)})
	_, _ = conn.Read(ctx) // the answer
	_ = conn.Close()
	_ = session.Wait()
	// Output: acme/unknown by process "" "uid:1000" "" "" refused: guard.rejected
}

// FailOpen lets calls pass when the control itself fails, never when it refuses.
func ExampleFailOpen() {
	broken := mcpsec.At(mcpsec.StageLimit, "limit", mcpsec.ControlFunc(func(mcpsec.Handler) mcpsec.Handler {
		return func(context.Context, *mcpsec.Call) (mcp.Result, error) { return nil, errors.New("store is down") }
	}))
	handler := func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return &mcp.CallToolResult{}, nil
	}
	for _, control := range []mcpsec.Control{broken, mcpsec.FailOpen(broken)} {
		guard, _ := mcpsec.New(control)
		h, _ := mcpsec.Wrap(guard, "greet", handler)
		_, err := h(context.Background(), &mcp.CallToolRequest{Params: &mcp.CallToolParamsRaw{Name: "greet"}})
		fmt.Println(err)
	}
	// Output:
	// refused
	// <nil>
}

// Postures shows the order in which a call meets the controls, whatever the order
// in which they were given.
func ExampleGuard_Postures() {
	pass := mcpsec.ControlFunc(func(next mcpsec.Handler) mcpsec.Handler { return next })
	guard, _ := mcpsec.New(
		mcpsec.At(mcpsec.StageCreds, "creds", pass),
		mcpsec.InMode(mcpsec.Observe, mcpsec.At(mcpsec.StageAllow, "allow", pass)),
		mcpsec.At(mcpsec.StageAudit, "audit", pass),
	)
	for _, p := range guard.Postures() {
		fmt.Println(p.Stage, p.Name, p.Mode)
	}
	// Output:
	// audit audit enforce
	// allow allow audit
	// creds creds enforce
}
