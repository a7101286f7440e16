package creds_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

func Example() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	path := filepath.Join(dir, "store")
	if err := os.WriteFile(path, []byte("correct horse battery staple\n"), 0o600); err != nil {
		log.Fatal(err)
	}

	guard, err := mcpsec.New(creds.New(
		creds.ForTool("list_notes", creds.Named("store", creds.File(path))),
	))
	if err != nil {
		log.Fatal(err)
	}

	type input struct{}
	listNotes := func(ctx context.Context, _ *mcp.CallToolRequest, _ input) (*mcp.CallToolResult, any, error) {
		key, err := creds.Secret(ctx, "store")
		if err != nil {
			return nil, nil, err
		}
		secret := key.Reveal()
		defer clear(secret)
		text := fmt.Sprintf("read with a key of %d bytes that prints as %v", len(secret), key)
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: text}}}, nil, nil
	}
	deleteNotes := func(ctx context.Context, _ *mcp.CallToolRequest, _ input) (*mcp.CallToolResult, any, error) {
		_, err := creds.Secret(ctx, "store") // bound to another tool
		return nil, nil, err
	}

	server := mcp.NewServer(&mcp.Implementation{Name: "notes"}, nil)
	if err := mcpsec.AddTool(guard, server, &mcp.Tool{Name: "list_notes"}, listNotes); err != nil {
		log.Fatal(err)
	}
	if err := mcpsec.AddTool(guard, server, &mcp.Tool{Name: "delete_notes"}, deleteNotes); err != nil {
		log.Fatal(err)
	}
	if err := guard.Install(server); err != nil {
		log.Fatal(err)
	}

	ctx := context.Background()
	near, far := mcp.NewInMemoryTransports()
	session, err := server.Connect(ctx, guard.Transport(far, mcpsec.Peer{Process: "uid:1000"}), nil)
	if err != nil {
		log.Fatal(err)
	}
	client, err := mcp.NewClient(&mcp.Implementation{Name: "client"}, nil).Connect(ctx, near, nil)
	if err != nil {
		log.Fatal(err)
	}
	res, err := client.CallTool(ctx, &mcp.CallToolParams{Name: "list_notes", Arguments: map[string]any{}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(res.Content[0].(*mcp.TextContent).Text)
	_, err = client.CallTool(ctx, &mcp.CallToolParams{Name: "delete_notes", Arguments: map[string]any{}})
	fmt.Println("delete_notes refused:", err != nil)

	if err := client.Close(); err != nil {
		log.Fatal(err)
	}
	if err := session.Wait(); err != nil {
		log.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		log.Fatal(err)
	}
	// Output:
	// read with a key of 28 bytes that prints as [secret]
	// delete_notes refused: true
}

func ExampleValue() {
	key := creds.NewValue([]byte("hunter2"))
	fmt.Printf("%v %s %x %#v %+v\n", key, key, key, key, struct{ V creds.Value }{key})
	key.Close()
	fmt.Println(key.Reveal() == nil)
	// Output:
	// [secret] [secret] [secret] [secret] {V:[secret]}
	// true
}

func ExampleProviderFunc() {
	exchange := creds.ProviderFunc(func(_ context.Context, s creds.Spec, r creds.Request) (creds.Material, error) {
		scope, _ := s.Param("scope")
		return creds.Material{Secret: creds.NewValue([]byte("token for " + r.Tool + " with " + scope)), Version: "1"}, nil
	})
	_, err := mcpsec.New(creds.New(
		creds.ForTool("read", creds.Named("api", exchange, creds.With("scope", "notes.read"))),
		creds.ForTool("write", creds.Named("api", exchange, creds.With("scope", "notes.write"))),
	))
	fmt.Println(err)
	// Output: <nil>
}

// tokens issues tokens that are kept: one for each principal.
type tokens struct{ issued int }

func (t *tokens) Plan(s creds.Spec, r creds.Request) (string, error) {
	scope, _ := s.Param("scope")
	return scope + " " + r.Principal.Key(), nil
}

func (t *tokens) Issue(_ context.Context, _ creds.Spec, r creds.Request) (creds.Material, error) {
	t.issued++
	return creds.Material{
		Secret:  creds.NewValue(fmt.Appendf(nil, "token-%d", t.issued)),
		Expires: time.Now().Add(15 * time.Minute), Version: "1",
		Record: mcpsec.Credential{Provider: "tokens", Role: r.Principal.Subject, KeyID: fmt.Sprint("id-", t.issued)},
	}, nil
}

func (t *tokens) Describe(s creds.Spec, r creds.Request) (creds.Access, error) {
	scope, _ := s.Param("scope")
	return creds.Access{
		Identity: r.Principal.Subject, Lifetime: 15 * time.Minute,
		Rules: []creds.Rule{{Actions: []string{scope}, Resources: []string{"notes"}}},
	}, nil
}

func (t *tokens) Probe(context.Context, creds.Spec) (creds.Access, error) {
	return creds.Access{Identity: "client mcp"}, nil
}

// run runs a handler as tool "read" of alice's.
func run(in *creds.Injector, handler func(ctx context.Context) error) error {
	h := in.Wrap(func(ctx context.Context, _ *mcpsec.Call) (mcp.Result, error) { return nil, handler(ctx) })
	_, err := h(context.Background(), &mcpsec.Call{
		ID: "1", Method: "tools/call", Tool: &mcpsec.Tool{Name: "read"},
		Principal: mcpsec.Principal{Rung: mcpsec.Process, Subject: "alice"},
	})
	return err
}

func ExamplePlanner() {
	provider := &tokens{}
	in := creds.New(creds.ForTool("read", creds.Named("api", provider, creds.With("scope", "notes.read"))))
	for range 3 {
		err := run(in, func(ctx context.Context) error {
			token, err := creds.Secret(ctx, "api")
			if err != nil {
				return err
			}
			fmt.Println(string(token.Reveal()))
			return nil
		})
		if err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println("issued:", provider.issued, in.Close())
	// Output:
	// token-1
	// token-1
	// token-1
	// issued: 1 <nil>
}

func ExampleHandle_Report() {
	revoked := errors.New("401 invalid_token")
	service := func(token creds.Value) error { // does not know the first token any more
		if string(token.Reveal()) == "token-1" {
			return revoked
		}
		return nil
	}
	in := creds.New(creds.ForTool("read", creds.Named("api", &tokens{})))
	err := run(in, func(ctx context.Context) error {
		handle, err := creds.From(ctx)
		if err != nil {
			return err
		}
		for {
			api, err := handle.Get(ctx, "api")
			if err != nil {
				return err
			}
			err = service(api.Secret)
			if !errors.Is(err, revoked) {
				fmt.Println("done with version", api.Version, "and", api.Record.KeyID)
				return err
			}
			if err := handle.Report(api.Secret, err); err != nil {
				return err // the second time: the service refuses the new one as well
			}
		}
	})
	fmt.Println(err, in.Close())
	// Output:
	// done with version 1 and id-2
	// <nil> <nil>
}

func ExampleInjector_Held() {
	in := creds.New(creds.ForTool("read", creds.Named("api", creds.Static([]byte("correct horse battery staple")))))
	// For audit.New: the option HeldSecrets takes what Held returns.
	for secret := range in.Held() {
		fmt.Println(len(secret), "bytes to look for")
	}
	// Output: 28 bytes to look for
}

func ExampleSimulate() {
	in := creds.New(creds.ForTool("read", creds.Named("api", &tokens{}, creds.With("scope", "notes.read"))))
	all, err := creds.Simulate(in, "read", []byte(`{"note":"7"}`), mcpsec.Principal{Rung: mcpsec.Process, Subject: "alice"})
	if err != nil {
		fmt.Println(err)
	}
	for _, d := range all {
		fmt.Println(d.Name, "as", d.Access.Identity, "may", d.Access.Rules[0].Actions, "on", d.Access.Rules[0].Resources)
	}
	// Output: api as alice may [notes.read] on [notes]
}

func ExampleProbe() {
	in := creds.New(creds.ForTool("read", creds.Named("api", &tokens{})))
	all, err := creds.Probe(context.Background(), in)
	if err != nil {
		fmt.Println(err)
	}
	for _, p := range all {
		fmt.Println(p.Tool, p.Name, p.Access.Identity, p.Err)
	}
	// Output: read api client mcp <nil>
}
