package lock

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// A lenient judge lets everything pass.
type lenient struct{ pages int }

func (*lenient) identity(context.Context, shown) *mcpsec.Denial { return nil }
func (*lenient) use(Kind, string) *mcpsec.Denial                { return nil }
func (l *lenient) page(context.Context, Kind, page) *mcpsec.Denial {
	l.pages++
	return nil
}

func request(tb testing.TB, id float64, method, params string) *jsonrpc.Request {
	tb.Helper()
	return &jsonrpc.Request{ID: idOf(tb, id), Method: method, Params: json.RawMessage(params)}
}

func idOf(tb testing.TB, id float64) jsonrpc.ID {
	tb.Helper()
	made, err := jsonrpc.MakeID(id)
	if err != nil {
		tb.Fatal(err)
	}
	return made
}

func answer(tb testing.TB, id float64, result string) *jsonrpc.Response {
	tb.Helper()
	return &jsonrpc.Response{ID: idOf(tb, id), Result: json.RawMessage(result)}
}

const identityResult = `{"protocolVersion":"2025-11-25","serverInfo":{"name":"x","version":"1"},"capabilities":{}}`

// identified returns a gate behind which a server said who it is.
func identified(t *testing.T) (*gate, *lenient) {
	t.Helper()
	l := &lenient{}
	g := newGate(l)
	if err := g.outgoing(t.Context(), request(t, 0, "initialize", `{}`)); err != nil {
		t.Fatal(err)
	}
	if passed, _ := g.incoming(t.Context(), answer(t, 0, identityResult)).(*jsonrpc.Response); passed.Error != nil {
		t.Fatal(passed.Error)
	}
	return g, l
}

func refusedBy(t *testing.T, msg jsonrpc.Message, code mcpsec.Code) {
	t.Helper()
	resp, ok := msg.(*jsonrpc.Response)
	if !ok || resp.Result != nil {
		t.Fatalf("passed: %+v", msg)
	}
	wantCode(t, resp.Error, code)
}

func TestAnswersThatNobodyAskedFor(t *testing.T) {
	t.Parallel()
	const evil = `{"tools":[{"name":"evil"}]}`
	g, l := identified(t)
	// The answer is there before the question goes out.
	refusedBy(t, g.incoming(t.Context(), answer(t, 1, evil)), codeMalformed)
	if err := g.outgoing(t.Context(), request(t, 1, "tools/list", `{}`)); err != nil {
		t.Fatal(err)
	}
	if resp, _ := g.incoming(t.Context(), answer(t, 1, `{"tools":[]}`)).(*jsonrpc.Response); resp.Error != nil {
		t.Errorf("the answer: %v", resp.Error)
	}
	// A second answer to it.
	refusedBy(t, g.incoming(t.Context(), answer(t, 1, evil)), codeMalformed)
	// An answer to what was cancelled.
	if err := g.outgoing(t.Context(), request(t, 2, "tools/list", `{}`)); err != nil {
		t.Fatal(err)
	}
	if err := g.outgoing(t.Context(), &jsonrpc.Request{Method: "notifications/cancelled", Params: json.RawMessage(`{"requestId":2}`)}); err != nil {
		t.Fatal(err)
	}
	refusedBy(t, g.incoming(t.Context(), answer(t, 2, evil)), codeMalformed)
	if l.pages != 1 {
		t.Errorf("%d pages were judged", l.pages)
	}
	// An error beside a result: only the error counts.
	if err := g.outgoing(t.Context(), request(t, 3, "tools/list", `{}`)); err != nil {
		t.Fatal(err)
	}
	both := answer(t, 3, evil)
	both.Error = &jsonrpc.Error{Code: 1, Message: "no"}
	if resp, _ := g.incoming(t.Context(), both).(*jsonrpc.Response); resp.Result != nil || resp.Error == nil {
		t.Errorf("%+v", resp)
	}
}

func TestNothingBeforeIdentity(t *testing.T) {
	t.Parallel()
	g := newGate(&lenient{})
	for _, method := range []string{"tools/list", "tools/call", "resources/read", "subscriptions/listen", "x"} {
		if d := DenialOf(g.outgoing(t.Context(), request(t, 1, method, `{}`))); d == nil || d.Code != codeUnapproved.Name {
			t.Errorf("%s went out", method)
		}
	}
	if err := g.outgoing(t.Context(), request(t, 1, "ping", ``)); err != nil {
		t.Error(err)
	}
}

func TestParametersThatAreNotStrict(t *testing.T) {
	t.Parallel()
	g, _ := identified(t)
	for _, params := range []string{`{"name":"a","name":"b"}`, `{"name":"a","Name":"b"}`, `{"name":7}`, `{"cursor":7}`, `[]`, `null`} {
		if d := DenialOf(g.outgoing(t.Context(), request(t, 1, "tools/call", params))); d == nil || d.Code != codeMalformed.Name {
			t.Errorf("%s went out", params)
		}
	}
}

// A server that owes too many answers gets no more questions, and one that answers none
// of the cancelled ones costs nothing.
func TestQuestionsAreBounded(t *testing.T) {
	t.Parallel()
	g, _ := identified(t)
	for i := range 2 * maxAsked {
		if err := g.outgoing(t.Context(), request(t, float64(i), "ping", ``)); err != nil {
			t.Fatalf("%d: %v", i, err)
		}
		cancel := &jsonrpc.Request{Method: "notifications/cancelled", Params: fmt.Appendf(nil, `{"requestId":%d}`, i)}
		if err := g.outgoing(t.Context(), cancel); err != nil {
			t.Fatal(err)
		}
	}
	for i := range maxAsked {
		if err := g.outgoing(t.Context(), request(t, float64(i), "ping", ``)); err != nil {
			t.Fatalf("%d: %v", i, err)
		}
	}
	if err := g.outgoing(t.Context(), request(t, 2*maxAsked, "ping", ``)); err == nil {
		t.Error("no bound")
	}
}

func FuzzIncoming(f *testing.F) {
	f.Add("tools/list", `{"tools":[{"name":"a","inputSchema":{"type":"object"}}],"nextCursor":"2"}`)
	f.Add("initialize", identityResult)
	f.Add("server/discover", `{"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"x"}},"capabilities":{}}`)
	f.Add("resources/list", `{"resources":[{"uri":"file:///x","name":"x"}]}`)
	f.Fuzz(func(t *testing.T, method, result string) {
		r := &recorder{seen: &Server{}}
		g := newGate(r)
		g.identified = true
		if g.outgoing(t.Context(), request(t, 1, method, `{}`)) != nil {
			return
		}
		resp, ok := g.incoming(t.Context(), answer(t, 1, result)).(*jsonrpc.Response)
		if !ok || resp.Error == nil && string(resp.Result) != result {
			t.Fatalf("%+v", resp)
		}
		// What was recorded can be written and read.
		file := &File{Servers: map[string]*Server{"x": r.seen}}
		data, err := file.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decode(data, refused); err != nil {
			t.Fatalf("%v\n%s", err, data)
		}
	})
}

func (*lenient) refused(context.Context, *mcpsec.Denial) {}
