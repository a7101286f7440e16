package creds_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/audit"
	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// lines keeps the audit record as a file would.
type lines struct {
	mu     sync.Mutex
	text   strings.Builder
	issued []mcpsec.Credential
}

func (l *lines) Record(_ context.Context, e *audit.Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(e.AppendJSON(nil))
	l.text.WriteByte('\n')
	l.issued = append(l.issued, e.Credentials...)
	return nil
}

func (*lines) Close() error { return nil }

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// issuer issues canaries: of every call, or kept under one plan.
type issuer struct{ n int }

func (i *issuer) Issue(context.Context, creds.Spec, creds.Request) (creds.Material, error) {
	i.n++
	return creds.Material{
		Secret: creds.NewValue(fmt.Appendf(nil, `{"key":"canary-key-%d","user":"canary-user-%d"}`, i.n, i.n)),
		Parts:  []creds.Value{creds.NewValue(fmt.Appendf(nil, "canary-key-%d", i.n))}, Version: "1", Expires: time.Now().Add(time.Hour),
		Record: mcpsec.Credential{Provider: "fake", Role: "role/reader", KeyID: fmt.Sprintf("ID-%d", i.n), Name: "forged", Kept: true},
	}, nil
}

type keeper struct{ *issuer }

func (keeper) Plan(creds.Spec, creds.Request) (string, error) { return "", nil }

// audited starts a server whose record knows what the injector holds, with one tool
// that leaks its secret in every way a handler has.
func audited(t *testing.T, p creds.Provider) (*mcp.ClientSession, *lines, *creds.Injector) {
	t.Helper()
	in := creds.New(creds.ForTool("leak", creds.Named("store", p)))
	record := &lines{}
	guard, err := mcpsec.New(in, audit.New(audit.To(record), audit.HeldSecrets(in.Held())))
	if err != nil {
		t.Fatal(err)
	}
	server := mcp.NewServer(&mcp.Implementation{Name: "notes"}, nil)
	leak := func(ctx context.Context, how string) (string, error) {
		v, err := creds.Secret(ctx, "store")
		if err != nil {
			return "", err
		}
		secret := string(v.Reveal())
		switch part, _, _ := strings.Cut(strings.TrimPrefix(secret, `{"key":"`), `"`); how {
		case "error":
			return "", fmt.Errorf("cannot use %s", secret)
		case "wire error":
			return "", &jsonrpc.Error{Code: -32000, Message: "cannot use " + part}
		case "panic":
			panic("cannot use " + part)
		case "denial":
			return "", (&mcpsec.Denial{Code: "test.no", Reason: "no"}).Because(errors.New("cannot use " + secret))
		case "report":
			h, err := creds.From(ctx)
			if err != nil {
				return "", err
			}
			_ = h.Report(v, nil)
			m, err := h.Get(ctx, "store")
			if err != nil {
				return "", err
			}
			return "", h.Report(m.Secret, errors.New("the service does not like "+part))
		}
		return "done", nil
	}
	if err := mcpsec.AddTool(guard, server, &mcp.Tool{Name: "leak"}, body(leak).handle); err != nil {
		t.Fatal(err)
	}
	if err := guard.Install(server); err != nil {
		t.Fatal(err)
	}
	near, far := mcp.NewInMemoryTransports()
	ss, err := server.Connect(t.Context(), guard.Transport(far, mcpsec.Peer{Process: "uid:1000"}), nil)
	if err != nil {
		t.Fatal(err)
	}
	cs, err := mcp.NewClient(&mcp.Implementation{Name: "client"}, nil).Connect(t.Context(), near, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cs.Close()
		ss.Wait()
		if err := guard.Close(); err != nil {
			t.Error(err)
		}
	})
	return cs, record, in
}

// Case 23: the record knows the secrets that the injector holds, also those of calls
// that are over when it is written, and those that were replaced.
func TestRecordIsScrubbedOfHeldSecrets(t *testing.T) {
	for name, p := range map[string]creds.Provider{"kept": keeper{&issuer{}}, "of the call": creds.ProviderFunc((&issuer{}).Issue), "static": creds.Static([]byte(`{"key":"canary-key-0"}`))} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cs, record, _ := audited(t, p)
			for _, how := range []string{"error", "wire error", "panic", "denial", "report", "error", "panic"} {
				if _, err := call(t, cs, "leak", how); err == nil {
					t.Errorf("%s: no error", how)
				}
			}
			if text := record.String(); strings.Contains(text, "canary") && name != "static" || strings.Contains(text, `{\"key\":\"canary`) {
				t.Errorf("the record has the secret:\n%s", text)
			} else if !strings.Contains(text, "cannot use") && !strings.Contains(text, "does not like") {
				t.Errorf("the test is wrong: nothing of it was recorded:\n%s", text)
			}
		})
	}
}

// TestHeldIsWhatIsHeld: secrets, their parts, and for two minutes those that are gone.
func TestHeldIsWhatIsHeld(t *testing.T) {
	in := creds.New(creds.ForTool("t", creds.Named("a", creds.Static([]byte("fixed"))), creds.Named("b", creds.ProviderFunc((&issuer{}).Issue))))
	all := func() (held []string) {
		for secret := range in.Held() {
			held = append(held, string(secret))
		}
		return held
	}
	if got := all(); fmt.Sprint(got) != "[fixed]" {
		t.Errorf("before any call: %q", got)
	}
	h := in.Wrap(func(ctx context.Context, _ *mcpsec.Call) (mcp.Result, error) {
		_, err := creds.Secret(ctx, "b")
		if got := all(); len(got) != 3 {
			t.Errorf("during the call: %q", got)
		}
		return nil, err
	})
	if _, err := h(t.Context(), &mcpsec.Call{Method: "tools/call", Tool: &mcpsec.Tool{Name: "t"}}); err != nil {
		t.Fatal(err)
	}
	if got := all(); len(got) != 3 || got[1] != `{"key":"canary-key-1","user":"canary-user-1"}` || got[2] != "canary-key-1" {
		t.Errorf("after the call: %q", got)
	}
	for range in.Held() {
		break // a reader may stop
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if got := all(); fmt.Sprint(got) != "[fixed]" {
		t.Errorf("after Close: %q", got)
	}
	for range (*creds.Injector)(nil).Held() {
		t.Error("nothing holds something")
	}
}

// TestIssueIsRecorded: with each call, which credential it had, and whether it was
// issued to this call.
func TestIssueIsRecorded(t *testing.T) {
	for name, test := range map[string]struct {
		p    creds.Provider
		kept []bool
		ids  string
	}{
		"kept":        {keeper{&issuer{}}, []bool{false, true, true}, "ID-1,ID-1,ID-1,"},
		"of the call": {creds.ProviderFunc((&issuer{}).Issue), []bool{false, false, false}, "ID-1,ID-2,ID-3,"},
		"static":      {creds.Static([]byte("canary-key-0")), nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cs, record, _ := audited(t, test.p)
			for range 3 {
				if _, err := call(t, cs, "leak", "no"); err != nil {
					t.Fatal(err)
				}
			}
			record.mu.Lock()
			defer record.mu.Unlock()
			var kept []bool
			ids := ""
			for _, c := range record.issued {
				kept = append(kept, c.Kept)
				ids += c.KeyID + ","
				if c.Name != "store" || c.Provider != "fake" || c.Role != "role/reader" || time.Until(c.Expires) < 59*time.Minute {
					t.Errorf("%+v", c)
				}
			}
			if fmt.Sprint(kept) != fmt.Sprint(test.kept) || ids != test.ids {
				t.Errorf("kept %v of %s", kept, ids)
			}
		})
	}
}

// TestUnavailableIsNoFailureOfTheControl: a credential that cannot be had is refused
// under FailOpen as well. There is nothing that the call could run with.
func TestUnavailableIsNoFailureOfTheControl(t *testing.T) {
	t.Parallel()
	in := creds.New(creds.ForTool("list", creds.Named("store", creds.ProviderFunc(func(context.Context, creds.Spec, creds.Request) (creds.Material, error) {
		return creds.Material{}, errors.New("down")
	}))))
	guard, err := mcpsec.New(mcpsec.FailOpen(in))
	if err != nil {
		t.Fatal(err)
	}
	ran := false
	h, err := mcpsec.Wrap(guard, "list", func(ctx context.Context, _ *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		if _, err := creds.Secret(ctx, "store"); err != nil {
			return nil, err
		}
		ran = true
		return &mcp.CallToolResult{}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = h(t.Context(), &mcp.CallToolRequest{Params: &mcp.CallToolParamsRaw{Name: "list"}})
	denied(t, err, "creds.unavailable")
	if ran {
		t.Error("it ran")
	}
}
