package ratelimit_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/mcpsec"
	"github.com/mcpsec/mcpsec-go/ratelimit"
)

func Example() {
	guard, err := mcpsec.New(ratelimit.New())
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, p := range guard.Postures() {
		fmt.Println(p.Stage, p.Name)
	}
	// Output:
	// limit ratelimit
	// budget ratelimit.inflight
	// budget ratelimit.breaker
}

func ExampleNew() {
	guard, err := mcpsec.New(ratelimit.New(ratelimit.PerPrincipal(2, time.Hour)))
	if err != nil {
		fmt.Println(err)
		return
	}
	search, err := mcpsec.Wrap(guard, "search", func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return &mcp.CallToolResult{}, nil
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 3 {
		_, err := search(context.Background(), &mcp.CallToolRequest{Params: &mcp.CallToolParamsRaw{Name: "search"}})
		var refusal *jsonrpc.Error
		if !errors.As(err, &refusal) {
			fmt.Println("found")
			continue
		}
		var data struct {
			Code string `json:"code"`
		}
		_ = json.Unmarshal(refusal.Data, &data)
		fmt.Println(refusal.Code, data.Code)
	}
	// Output:
	// found
	// found
	// -32029 ratelimit.exceeded
}

func ExampleNew_options() {
	limiter := ratelimit.New(
		ratelimit.PerPrincipal(600, time.Hour).Burst(60),
		ratelimit.PerTool(1000, time.Minute),
		ratelimit.InFlight(4, 64),
		ratelimit.Breaker(ratelimit.Trip{Failures: 3, OpenFor: time.Minute}),
	)
	fmt.Println(limiter.Check())
	fmt.Println(ratelimit.New(ratelimit.InFlight(64, 4)).Check())
	// Output:
	// <nil>
	// ratelimit: InFlight(64, 4): one principal cannot have more than all together: the order is perPrincipal, total
}

func ExampleCodes() {
	for _, c := range ratelimit.Codes() {
		fmt.Println(c.Name)
	}
	// Output:
	// ratelimit.breaker_open
	// ratelimit.exceeded
	// ratelimit.too_many_in_flight
}
