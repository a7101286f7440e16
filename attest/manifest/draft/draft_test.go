package draft

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/attest"
	"github.com/mcpsec/mcpsec-go/attest/envelope"
	"github.com/mcpsec/mcpsec-go/attest/lint"
	"github.com/mcpsec/mcpsec-go/attest/lock"
	"github.com/mcpsec/mcpsec-go/attest/manifest"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 999, time.UTC)

// files is a server with something of every kind.
func files(t *testing.T, guard *mcpsec.Guard, version string) *mcp.Server {
	t.Helper()
	s := mcp.NewServer(&mcp.Implementation{Name: "files", Version: version}, &mcp.ServerOptions{Instructions: "Be brief.", PageSize: 1})
	handler := func(context.Context, *mcp.CallToolRequest, struct{ Path string }) (*mcp.CallToolResult, any, error) {
		return &mcp.CallToolResult{}, nil, nil
	}
	yes := true
	if err := errors.Join(
		mcpsec.AddTool(guard, s, &mcp.Tool{Name: "read", Title: "Read", Annotations: &mcp.ToolAnnotations{ReadOnlyHint: true, OpenWorldHint: &yes}}, handler),
		mcpsec.AddTool(guard, s, &mcp.Tool{Name: "write", Description: "Writes <b> & \"c\"."}, handler),
	); err != nil {
		t.Fatal(err)
	}
	s.AddPrompt(&mcp.Prompt{Name: "tidy", Arguments: []*mcp.PromptArgument{{Name: "how", Required: true}}}, nil)
	s.AddResource(&mcp.Resource{URI: "file:///a", Name: "a", Size: 3}, nil)
	s.AddResource(&mcp.Resource{URI: "file:///b", Name: "b"}, nil)
	s.AddResourceTemplate(&mcp.ResourceTemplate{URITemplate: "file:///{x}", Name: "x"}, nil)
	return s
}

func observe(t *testing.T, version string) *lock.Server {
	t.Helper()
	guard, err := mcpsec.New()
	if err != nil {
		t.Fatal(err)
	}
	s := files(t, guard, version)
	if err := guard.Install(s); err != nil {
		t.Fatal(err)
	}
	here, there := mcp.NewInMemoryTransports()
	session, err := s.Connect(t.Context(), guard.Transport(there, mcpsec.Peer{}), nil)
	if err != nil {
		t.Fatal(err)
	}
	seen, err := lock.Observe(t.Context(), here)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(session.Wait(), guard.Close()); err != nil {
		t.Fatal(err)
	}
	return seen
}

// What is read over the wire is what attest reads of the same server in process: a
// manifest of the one holds for the other, every digest of it.
func TestDraftIsWhatAttestWouldCapture(t *testing.T) {
	t.Parallel()
	var want *manifest.Manifest
	guard, err := mcpsec.New(attest.Capture(func(m *manifest.Manifest) error { want = m; return nil }))
	if err != nil {
		t.Fatal(err)
	}
	if err := guard.Install(files(t, guard, "1.2.0")); err != nil {
		t.Fatal(err)
	}
	got, err := New(observe(t, "1.2.0"), noon, manifest.MaxLifetime)
	if err != nil {
		t.Fatal(err)
	}
	e, err := Executable(t.Context(), want.Executables[0].Platform, self(t))
	if err != nil {
		t.Fatal(err)
	}
	got.Executables = append(got.Executables, e)
	want.IssuedAt, want.NotBefore, want.Expires = got.IssuedAt, got.NotBefore, got.Expires
	if !reflect.DeepEqual(got, want) {
		t.Errorf("over the wire: %+v\nin process: %+v", got, want)
	}
}

func TestVersionOfTheServerThatIsNotSemantic(t *testing.T) {
	t.Parallel()
	m, err := New(observe(t, "summer 2026"), noon, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if m.ServerVersion != "summer 2026" || m.Tools[0].Version != "" {
		t.Errorf("%+v", m)
	}
	if m.NotBefore.Nanosecond() != 0 || m.NotBefore.After(noon) || m.At(noon, 0) != nil || m.At(noon.Add(time.Hour), 0) == nil {
		t.Errorf("valid from %s until %s", m.NotBefore, m.Expires)
	}
	if err := SetVersion(m, "read", "2.0.0"); err != nil || m.Tools[0].Version != "2.0.0" {
		t.Errorf("%v, %+v", err, m.Tools)
	}
	if err := SetVersion(m, "nothing", "2.0.0"); err == nil {
		t.Error("a tool that is not there has a version")
	}
}

// edit changes a copy of what a server showed.
func edit(t *testing.T, change func(*lock.Server)) *lock.Server {
	t.Helper()
	s := observe(t, "1.2.0")
	change(s)
	return s
}

// text is a definition with the digest that it should have.
func text(t *testing.T, wire string) *lock.Definition {
	t.Helper()
	sum, err := attest.DigestJSON([]byte(wire))
	if err != nil {
		t.Fatal(err)
	}
	return &lock.Definition{SHA256: sum, Text: json.RawMessage(wire)}
}

func TestMatchNamesEveryDifference(t *testing.T) {
	t.Parallel()
	m, err := New(observe(t, "1.2.0"), noon, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*lock.Server)
		want   string
	}{
		"nothing":                {func(*lock.Server) {}, ""},
		"neg 39: extra tool":     {func(s *lock.Server) { s.Tools["rm"] = text(t, `{"name":"rm"}`) }, `the tool "rm" is not in the manifest`},
		"neg 46: missing tool":   {func(s *lock.Server) { delete(s.Tools, "read") }, `the tool "read" is missing`},
		"neg 50: unknown member": {func(s *lock.Server) { s.Tools["read"] = text(t, `{"name":"read","execution":{}}`) }, `the tool "read" changed`},
		"neg 45: other instructions": {func(s *lock.Server) {
			s.Identity = text(t, `{"instructions":"","serverInfo":{"name":"files","version":"1.2.0"}}`)
		}, "the instructions are other ones"},
		"neg 37: another server": {func(s *lock.Server) {
			s.Identity = text(t, `{"instructions":"Be brief.","serverInfo":{"name":"Files","version":"1.2.0"}}`)
		}, `the server is "Files" "1.2.0"`},
		"neg 10: member in another case": {func(s *lock.Server) {
			s.Identity = text(t, `{"Instructions":"Be brief.","serverInfo":{"Name":"files","version":"1.2.0"}}`)
		}, `the server is ""`},
		"extra prompt":      {func(s *lock.Server) { s.Prompts["p"] = text(t, `{"name":"p"}`) }, `the prompt "p" is not`},
		"missing resource":  {func(s *lock.Server) { delete(s.Resources, "file:///b") }, `the resource "file:///b" is missing`},
		"changed template":  {func(s *lock.Server) { s.ResourceTemplates["file:///{x}"].SHA256 = "0" }, `the resource template "file:///{x}" changed`},
		"no identity":       {func(s *lock.Server) { s.Identity = nil }, "did not say who it is"},
		"name is no text":   {func(s *lock.Server) { s.Identity = text(t, `{"serverInfo":{"name":7}}`) }, "name"},
		"info is no object": {func(s *lock.Server) { s.Identity = text(t, `{"serverInfo":7}`) }, "says of itself"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := Match(m, edit(t, c.change))
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
	if Match(m, nil) == nil {
		t.Error("nothing matches")
	}
}

func TestDefinitionsAreReadAsTheyWereWritten(t *testing.T) {
	t.Parallel()
	seen := edit(t, func(s *lock.Server) { s.Tools["read"] = text(t, `{"description":"a\u200b","name":"read"}`) })
	data, err := Encode(seen, noon)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(data), `a\u200b`) {
		t.Errorf("a hidden character is not shown: %s", data)
	}
	got, err := Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	m, err := New(seen, noon, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if err := Match(m, got); err != nil {
		t.Error(err)
	}
	set, err := Set(got)
	if err != nil {
		t.Fatal(err)
	}
	if f := lint.Definitions(set); len(f) == 0 || f[0].Code != lint.HiddenCharacter {
		t.Errorf("%v", f)
	}
	for name, change := range map[string]func(string) string{
		"a text edited without its digest": func(s string) string { return strings.Replace(s, "Be brief.", "Be evil.", 1) },
		"two servers":                      func(s string) string { return strings.Replace(s, `"files": {`, `"more": {}, "files": {`, 1) },
		"another name":                     func(s string) string { return strings.Replace(s, `"files": {`, `"other": {`, 1) },
		"not a file of definitions":        func(string) string { return "{}" },
		"neg 11: trailing bytes":           func(s string) string { return s + "{}" },
	} {
		if _, err := Decode([]byte(change(string(data)))); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// neg 47: without definitions, the names are judged.
func TestNamesAreJudged(t *testing.T) {
	t.Parallel()
	m, err := New(edit(t, func(s *lock.Server) { s.Tools["Read"] = text(t, `{"name":"Read"}`) }), noon, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	set, err := Names(m)
	if err != nil {
		t.Fatal(err)
	}
	if f := lint.Definitions(set); len(f) != 1 || f[0].Code != lint.NameLookAlike {
		t.Errorf("%v", f)
	}
}

func TestFollow(t *testing.T) {
	t.Parallel()
	first, err := New(observe(t, "1.2.0"), noon, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	first.Sequence = 41
	statement, err := first.Encode()
	if err != nil {
		t.Fatal(err)
	}
	next, err := New(observe(t, "1.3.0"), noon.Add(time.Minute), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	before, err := Follow(next, statement)
	if err != nil || next.Sequence != 42 || next.Previous != manifest.Digest(statement) || before.Sequence != 41 {
		t.Errorf("%v, %+v", err, next)
	}
	next.ServerName = "other"
	if _, err := Follow(next, statement); err == nil || !strings.Contains(err.Error(), `of the server "files"`) {
		t.Errorf("neg 37: %v", err)
	}
	if _, err := Follow(next, []byte("{}")); !errors.Is(err, manifest.ErrFormat) {
		t.Errorf("%v", err)
	}
}

// FuzzStatement: what is read of a file is in it, and nothing panics.
func FuzzStatement(f *testing.F) {
	f.Add([]byte(`{"_type":"https://in-toto.io/Statement/v1"}`))
	f.Add([]byte(`{"mediaType":"` + envelope.MediaType + `","verificationMaterial":{"publicKey":{"hint":"aGk="}},"dsseEnvelope":{"payload":"e30=","payloadType":"` + envelope.PayloadType + `","signatures":[{"sig":"aGk="}]}}`))
	f.Fuzz(func(t *testing.T, file []byte) {
		statement, said, err := Statement(t.Context(), file)
		if err == nil && said == nil && !bytes.Equal(statement, file) {
			t.Error("a file that is not signed is not its statement")
		}
		for _, b := range said {
			if err == nil && !bytes.Equal(b.Payload, statement) {
				t.Error("the bundles have several payloads")
			}
		}
	})
}

// FuzzDecode: whatever is read matches its own manifest.
func FuzzDecode(f *testing.F) {
	seed := []byte(`{"lockVersion":1,"servers":{"files":{` +
		`"server":{"sha256":"f6d782bd3a113b174c9db9a98217bff8d86e742b9aaccfd1195e589279de6f81","pinned":"first-use","at":"2026-11-22T12:00:00Z","definition":{"serverInfo":{"name":"files","version":"1"}}},` +
		`"tools":{},"prompts":{},"resources":{},"resourceTemplates":{}}}}`)
	if _, err := Decode(seed); err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, data []byte) {
		seen, err := Decode(data)
		if err != nil {
			return
		}
		m, err := New(seen, noon, time.Hour)
		if err != nil {
			return
		}
		if err := Match(m, seen); err != nil {
			t.Error(err)
		}
	})
}
