package attest

import (
	"context"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// A changed definition raises the alarm once, however often it is called.
func TestAlarmRingsOnce(t *testing.T) {
	t.Parallel()
	rings := make(chan mcpsec.Alarm, 16)
	var wire tripwire
	ring := mcpsec.At(mcpsec.StageAllow, "ring", mcpsec.ControlFunc(func(mcpsec.Handler) mcpsec.Handler {
		return func(_ context.Context, call *mcpsec.Call) (mcp.Result, error) {
			return nil, ring(call, wire.trip(codeMismatch, "changed", "expected a, found b"))
		}
	}))
	guard, err := mcpsec.New(ring, mcpsec.Settings{OnAlarm: func(al mcpsec.Alarm) { rings <- al }})
	if err != nil {
		t.Fatal(err)
	}
	h, err := mcpsec.Wrap(guard, "tool", func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) { return nil, nil })
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := h(t.Context(), &mcp.CallToolRequest{Params: &mcp.CallToolParamsRaw{Name: "tool"}}); err == nil {
			t.Fatal("the call passed")
		}
	}
	if len(rings) != 1 {
		t.Fatalf("%d alarms", len(rings))
	}
	if al := <-rings; al.Code != codeMismatch.Name || al.Tool != "tool" || al.CallID == "" || al.Detail == "" {
		t.Errorf("alarm %+v", al)
	}
}
