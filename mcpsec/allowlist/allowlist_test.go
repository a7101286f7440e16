package allowlist_test

import (
	"context"
	"strings"
	"testing"

	"github.com/mcpsec/mcpsec-go/mcpsec"
	"github.com/mcpsec/mcpsec-go/mcpsec/allowlist"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

func TestAuthorize(t *testing.T) {
	t.Parallel()
	local := mcpsec.Principal{Rung: mcpsec.Process, Subject: "uid:1000"}
	alice := mcpsec.Principal{Rung: mcpsec.Token, Issuer: "https://idp", Subject: "alice", Scopes: []string{"notes:read", "notes:write"}}
	mallory := mcpsec.Principal{Rung: mcpsec.Token, Issuer: "https://evil", Subject: "alice"}
	list := allowlist.New(
		allowlist.Anyone().Tools("time"),
		allowlist.Subject(mcpsec.Process, "", "uid:1000").Tools("read").Resources("notes://*", "file:///etc/motd").Prompts("sum"),
		allowlist.Subject(mcpsec.Token, "https://idp", "alice").Tools("read").MayAsk("elicitation/create"),
		allowlist.Scope("notes:read", "notes:write").Tools("write").Methods("acme/search"),
	)
	tests := []struct {
		name         string
		who          mcpsec.Principal
		method, what string
		outgoing, ok bool
	}{
		{"anyone may use the open tool", mcpsec.Principal{}, "tools/call", "time", false, true},
		{"an unlisted tool is refused", local, "tools/call", "delete", false, false},
		{"anonymous is not the local user", mcpsec.Principal{}, "tools/call", "read", false, false},
		{"the local user has its tool", local, "tools/call", "read", false, true},
		{"names are exact", local, "tools/call", "read2", false, false},
		{"names do not fold case", local, "tools/call", "READ", false, false},
		{"the same subject of another issuer is somebody else", mallory, "tools/call", "read", false, false},
		{"scopes grant", alice, "tools/call", "write", false, true},
		{"a missing scope does not", mallory, "tools/call", "write", false, false},
		{"a custom method needs a rule", local, "acme/search", "", false, false},
		{"a custom method with a rule", alice, "acme/search", "", false, true},
		{"resource under a prefix", local, "resources/read", "notes://a/b", false, true},
		{"resource beside the prefix", local, "resources/read", "note://a", false, false},
		{"climbing out of a prefix", local, "resources/read", "notes://a/../../etc", false, false},
		{"climbing out in percent escapes", local, "resources/read", "notes://a/%2E%2e/etc", false, false},
		{"an exact resource has no prefix", local, "resources/read", "file:///etc/motd.bak", false, false},
		{"subscribing is reading", local, "resources/subscribe", "notes://a", false, true},
		{"completion of a granted prompt", local, "completion/complete", "sum", false, true},
		{"completion of another prompt", local, "completion/complete", "other", false, false},
		{"asking the user needs a rule", local, "elicitation/create", "read", true, false},
		{"asking the user with a rule", alice, "elicitation/create", "read", true, true},
		{"asking the model is another right", alice, "sampling/createMessage", "read", true, false},
		{"a tool named like a method gets nothing", local, "prompts/get", "read", false, false},
		{"lists pass", mcpsec.Principal{}, "tools/list", "", false, true},
		{"setting the log level needs a rule", local, "logging/setLevel", "", false, false},
		{"an outgoing list is no list", local, "roots/list", "", true, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			err := list.Authorize(t.Context(), &mcpsec.Call{Method: test.method, Name: test.what, Principal: test.who, Outgoing: test.outgoing})
			if (err == nil) != test.ok {
				t.Fatalf("Authorize: %v, want allowed: %v", err, test.ok)
			}
			if d := mcpsec.AsDenial(err); err != nil && (d == nil || d.Kind != mcpsec.NotFound || strings.Contains(d.Reason, test.who.Subject) && test.who.Subject != "") {
				t.Errorf("refusal reveals too much or has the wrong kind: %+v", d)
			}
		})
	}
}

func TestFaultyRulesFailAtConstruction(t *testing.T) {
	t.Parallel()
	for name, rule := range map[string]allowlist.Rule{
		"zero rule":        {},
		"nothing allowed":  allowlist.Anyone(),
		"empty tool name":  allowlist.Anyone().Tools(""),
		"no tool name":     allowlist.Anyone().Tools(),
		"empty subject":    allowlist.Subject(mcpsec.Token, "https://idp", "").Tools("x"),
		"no scope":         allowlist.Scope().Tools("x"),
		"unknown question": allowlist.Anyone().MayAsk("tools/call"),
		"nil match":        allowlist.Who(nil).Tools("x"),
	} {
		if _, err := mcpsec.New(allowlist.New(rule)); err == nil {
			t.Errorf("%s: New accepted it", name)
		}
	}
	if _, err := mcpsec.New(allowlist.New(allowlist.Anyone().AllTools()), allowlist.New(allowlist.Anyone().AllTools())); err == nil {
		t.Error("two lists: New accepted them")
	}
}

func TestRulesDoNotShareMemory(t *testing.T) {
	t.Parallel()
	base := allowlist.Anyone().Tools("a", "b", "c")
	one, two := base.Tools("one"), base.Tools("two")
	if allowlist.New(one).Authorize(t.Context(), &mcpsec.Call{Method: "tools/call", Name: "two"}) == nil {
		t.Error("a rule grew through its sibling")
	}
	if allowlist.New(two).Authorize(t.Context(), &mcpsec.Call{Method: "tools/call", Name: "one"}) == nil {
		t.Error("a rule grew through its sibling")
	}
}

type none struct{}

func connect(t *testing.T, guard *mcpsec.Guard, tools ...string) (*mcp.ClientSession, error) {
	t.Helper()
	s := mcp.NewServer(&mcp.Implementation{Name: "test"}, nil)
	for _, name := range tools {
		handler := func(context.Context, *mcp.CallToolRequest, none) (*mcp.CallToolResult, none, error) {
			return nil, none{}, nil
		}
		if err := mcpsec.AddTool(guard, s, &mcp.Tool{Name: name}, handler); err != nil {
			return nil, err
		}
	}
	if err := guard.Install(s); err != nil {
		return nil, err
	}
	near, far := mcp.NewInMemoryTransports()
	ss, err := s.Connect(t.Context(), guard.Transport(far, mcpsec.Peer{Process: "uid:1000"}), nil)
	if err != nil {
		return nil, err
	}
	cs, err := mcp.NewClient(&mcp.Implementation{Name: "test"}, nil).Connect(t.Context(), near, nil)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = cs.Close(); _ = ss.Wait() })
	return cs, nil
}

func TestHiddenIsRefused(t *testing.T) {
	t.Parallel()
	guard, err := mcpsec.New(allowlist.New(allowlist.Subject(mcpsec.Process, "", "uid:1000").Tools("read")))
	if err != nil {
		t.Fatal(err)
	}
	cs, err := connect(t, guard, "read", "delete")
	if err != nil {
		t.Fatal(err)
	}
	list, err := cs.ListTools(t.Context(), nil)
	if err != nil || len(list.Tools) != 1 || list.Tools[0].Name != "read" {
		t.Fatalf("list: %v, %v", list, err)
	}
	_, hidden := cs.CallTool(t.Context(), &mcp.CallToolParams{Name: "delete"})
	_, unknown := cs.CallTool(t.Context(), &mcp.CallToolParams{Name: "deletf"})
	if hidden == nil || unknown == nil || strings.ReplaceAll(hidden.Error(), "delete", "deletf") != unknown.Error() {
		t.Fatalf("a hidden tool answers %q, an unknown one %q", hidden, unknown)
	}
	if _, err := cs.CallTool(t.Context(), &mcp.CallToolParams{Name: "read"}); err != nil {
		t.Fatal(err)
	}
}

func TestMisspeltToolFailsInstall(t *testing.T) {
	t.Parallel()
	guard, err := mcpsec.New(allowlist.New(allowlist.Anyone().Tools("raed")))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := connect(t, guard, "read"); err == nil || !strings.Contains(err.Error(), "raed") {
		t.Fatalf("Install: %v, want the misspelt name", err)
	}
}
