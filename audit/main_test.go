package audit

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"go.uber.org/goleak"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A memory is a sink that keeps lines and can be told to fail.
type memory struct {
	mu     sync.Mutex
	lines  []string
	closed int
	fail   func(e *Event) error
}

func (m *memory) Record(_ context.Context, e *Event) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		if err := m.fail(e); err != nil {
			return err
		}
	}
	m.lines = append(m.lines, string(e.AppendJSON(nil)))
	return nil
}

func (m *memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed++
	return nil
}

func (m *memory) String() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return strings.Join(m.lines, "\n")
}

// record is a line as a reader of the log sees it.
type record struct {
	Time      time.Time `json:"time"`
	Event     string    `json:"event"`
	ID        string    `json:"id"`
	Parent    string    `json:"parent"`
	Round     int       `json:"round"`
	Method    string    `json:"method"`
	Name      string    `json:"name"`
	Outgoing  bool      `json:"outgoing"`
	Principal struct {
		Rung    string   `json:"rung"`
		Issuer  string   `json:"issuer"`
		Subject string   `json:"subject"`
		Client  string   `json:"client"`
		Tenant  string   `json:"tenant"`
		Actors  []string `json:"actors"`
	} `json:"principal"`
	Untrusted struct {
		Session string `json:"session"`
		Client  string `json:"client"`
	} `json:"untrusted"`
	Tool struct {
		Digest   string `json:"digest"`
		Version  string `json:"version"`
		Code     string `json:"code"`
		Manifest uint64 `json:"manifest"`
	} `json:"tool"`
	Source struct {
		Transport string `json:"transport"`
		Address   string `json:"address"`
	} `json:"source"`
	Trace struct {
		ID    string `json:"id"`
		Span  string `json:"span"`
		Flags string `json:"flags"`
	} `json:"trace"`
	Policy    string `json:"policy"`
	Arguments struct {
		Bytes    int               `json:"bytes"`
		Keys     []string          `json:"keys"`
		More     int               `json:"more"`
		HMAC     string            `json:"hmac"`
		Clear    map[string]string `json:"clear"`
		Redacted []string          `json:"redacted"`
	} `json:"arguments"`
	Count       uint64           `json:"count"`
	First       time.Time        `json:"first"`
	Last        time.Time        `json:"last"`
	Level       string           `json:"level"`
	Credentials []map[string]any `json:"credentials"`
	Result      struct {
		Bytes  int    `json:"bytes"`
		Digest string `json:"digest"`
	} `json:"result"`
	Seq      uint64 `json:"seq"`
	Prev     string `json:"prev"`
	Decision string `json:"decision"`
	Code     string `json:"code"`
	Control  string `json:"control"`
	Reason   string `json:"reason"`
	Detail   string `json:"detail"`
	Findings []struct {
		Control string `json:"control"`
		Code    string `json:"code"`
		Reason  string `json:"reason"`
		Detail  string `json:"detail"`
		Failed  bool   `json:"failed"`
	} `json:"findings"`
	Notes     map[string]string `json:"notes"`
	LatencyUS int64             `json:"latency_us"`
	IsError   bool              `json:"is_error"`
	Truncated bool              `json:"truncated"`
}

// parse reads a log strictly: a line is one JSON object with known members.
func parse(t *testing.T, log string) []record {
	t.Helper()
	var all []record
	for line := range strings.Lines(log) {
		if err := mcpsec.CheckJSON([]byte(line)); err != nil {
			t.Fatalf("%v in line %q", err, line)
		}
		d := json.NewDecoder(strings.NewReader(line))
		d.DisallowUnknownFields()
		var r record
		if err := d.Decode(&r); err != nil {
			t.Fatalf("%v in line %q", err, line)
		}
		all = append(all, r)
	}
	return all
}

// one returns the last outcome, after checking that an attempt of the same call
// precedes it unless it was refused.
func (m *memory) one(t *testing.T) record {
	t.Helper()
	all := parse(t, m.String())
	if len(all) == 0 {
		t.Fatal("nothing is recorded")
	}
	first, outcome := all[0], all[len(all)-1]
	if outcome.Event != "outcome" || outcome.ID == "" || first.ID != outcome.ID {
		t.Fatalf("no outcome of one call:\n%s", m)
	}
	if ran := first.Event == "attempt" && first.Decision == "allowed"; !ran && outcome.Decision != "refused" {
		t.Fatalf("the call ran without an attempt:\n%s", m)
	}
	return outcome
}

func ok(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	return &mcp.CallToolResult{}, nil
}

// drive calls a handler once through a guard of its own.
func drive(t *testing.T, h mcp.ToolHandler, args string, controls ...mcpsec.Control) (*mcp.CallToolResult, error) {
	t.Helper()
	g, err := mcpsec.New(controls...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.Close() })
	wrapped, err := mcpsec.Wrap(g, "tool", h)
	if err != nil {
		t.Fatal(err)
	}
	return wrapped(t.Context(), request("tool", args))
}

func request(name, args string) *mcp.CallToolRequest {
	return &mcp.CallToolRequest{Params: &mcp.CallToolParamsRaw{Name: name, Arguments: json.RawMessage(args)}}
}

// refusing is a control that refuses every call.
func refusing(d mcpsec.Denial) mcpsec.Control {
	return mcpsec.At(mcpsec.StageAllow, "test", mcpsec.ControlFunc(func(mcpsec.Handler) mcpsec.Handler {
		return func(context.Context, *mcpsec.Call) (mcp.Result, error) { return nil, &d }
	}))
}

// denied fails the test unless err is the answer to an unavailable record.
func denied(t *testing.T, err error) {
	t.Helper()
	if err == nil || !strings.Contains(dataOf(err), `"audit.unavailable"`) {
		t.Fatalf("want audit.unavailable, got %v %s", err, dataOf(err))
	}
}

func dataOf(err error) string {
	var data string
	if e, ok := errors.AsType[*jsonrpc.Error](err); ok {
		data = string(e.Data)
	}
	return data
}

func logFile(t *testing.T) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "audit.jsonl")
}
