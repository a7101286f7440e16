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
	// allow ratelimit.freeze
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

// What a call may cost is reserved before it runs; the handler reports the rest.
func ExampleBudget() {
	guard, err := mcpsec.New(ratelimit.New(
		ratelimit.Budget("$1/day").PerPrincipal(),
		ratelimit.Price("search", "$0.10").Reported("$0.40"),
	))
	if err != nil {
		fmt.Println(err)
		return
	}
	search, err := mcpsec.Wrap(guard, "search", func(ctx context.Context, _ *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		// ... the upstream says what it charged:
		return &mcp.CallToolResult{}, ratelimit.Charge(ctx, ratelimit.Amount{Unit: ratelimit.USD, Micros: 250_000})
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 3 {
		_, err := search(context.Background(), &mcp.CallToolRequest{Params: &mcp.CallToolParamsRaw{Name: "search"}})
		fmt.Println(err == nil)
	}
	// Output:
	// true
	// true
	// false
}

func ExampleCharge() {
	price, err := ratelimit.ParseAmount("1250 tokens")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(price, ratelimit.Units(3, "pages"))
	fmt.Println(ratelimit.Charge(context.Background(), price))
	// Output:
	// 1250 tokens 3 pages
	// ratelimit: no tool call with a price in this unit runs with this context
}

func ExampleSwitch() {
	limiter := ratelimit.New()
	guard, err := mcpsec.New(limiter)
	if err != nil {
		fmt.Println(err)
		return
	}
	tool, err := mcpsec.Wrap(guard, "delete_bucket", func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return &mcp.CallToolResult{}, nil
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	call := func() {
		_, err := tool(context.Background(), &mcp.CallToolRequest{Params: &mcp.CallToolParamsRaw{Name: "delete_bucket"}})
		fmt.Println(err == nil)
	}
	call()
	fmt.Println(limiter.Switch().Freeze(ratelimit.ToolNamed("delete_bucket"), "incident 42"))
	call()
	fmt.Println(limiter.Switch().Thaw(ratelimit.ToolNamed("delete_bucket")))
	call()
	// Output:
	// true
	// <nil>
	// false
	// <nil>
	// true
}

// Two servers of one program hold one limit.
func ExampleShared() {
	store := ratelimit.InProcess(ratelimit.DefaultMaxKeys)
	for range 2 {
		guard, err := mcpsec.New(ratelimit.New(ratelimit.Shared(store), ratelimit.PerPrincipal(1, time.Hour)))
		if err != nil {
			fmt.Println(err)
			return
		}
		tool, err := mcpsec.Wrap(guard, "tool", func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return &mcp.CallToolResult{}, nil
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		_, err = tool(context.Background(), &mcp.CallToolRequest{Params: &mcp.CallToolParamsRaw{Name: "tool"}})
		fmt.Println(err == nil)
	}
	// Output:
	// true
	// false
}

func ExampleBy() {
	region := ratelimit.By("region", func(call *mcpsec.Call) string {
		var args struct {
			Region string `json:"region"`
		}
		_ = json.Unmarshal(call.Arguments, &args) // whoever sends no region shares one bucket
		return args.Region
	})
	fmt.Println(ratelimit.New(ratelimit.PerKey(region, 100, time.Minute)).Check())
	// Output: <nil>
}

func ExampleLimiter_Stats() {
	s := ratelimit.New().Stats()
	fmt.Println(s.InFlight, s.Waiting, len(s.Breakers))
	// Output: 0 0 0
}

func ExampleCodes() {
	for _, c := range ratelimit.Codes() {
		fmt.Println(c.Name)
	}
	// Output:
	// ratelimit.breaker_open
	// ratelimit.exceeded
	// ratelimit.frozen
	// ratelimit.loop
	// ratelimit.over_budget
	// ratelimit.store_unavailable
	// ratelimit.too_many_in_flight
	// ratelimit.unbounded_sample
}
