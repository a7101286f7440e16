package ocsf_test

import (
	"encoding/json"
	"fmt"

	"github.com/mcpsec/mcpsec-go/audit"
	"github.com/mcpsec/mcpsec-go/audit/ocsf"
)

func ExampleNew() {
	format, err := ocsf.New(ocsf.Config{Service: "docs-mcp", ServiceVersion: "1.4.2"})
	if err != nil {
		panic(err)
	}
	// audit.Ship hands a destination its records, and the destination the format:
	message, err := format.AppendRecord(nil, &audit.Record{
		Origin: "docs-mcp.example.com/audit", Seq: 7,
		Line: []byte(`{"seq":7,"prev":"0123456789abcdef","time":"2026-11-22T12:00:00Z","event":"outcome",` +
			`"id":"01a202ca-e31f-7623-b4c6-0d4f90fdba55","method":"tools/call","name":"search",` +
			`"principal":{"rung":"process","subject":"uid:1000"},"source":{"transport":"stdio"},` +
			`"decision":"refused","code":"ratelimit.exceeded","reason":"too many calls","latency_us":90,"is_error":false}`),
	})
	if err != nil {
		panic(err)
	}
	var event struct {
		Message     string `json:"message"`
		Class       string `json:"class_name"`
		Status      string `json:"status"`
		Disposition string `json:"disposition"`
		Metadata    struct {
			UID string `json:"uid"`
		} `json:"metadata"`
	}
	if err := json.Unmarshal(message, &event); err != nil {
		panic(err)
	}
	fmt.Println(event.Class, event.Status, event.Disposition)
	fmt.Println(event.Message)
	fmt.Println(event.Metadata.UID)
	// Output:
	// API Activity Failure Blocked
	// tools/call search refused: ratelimit.exceeded
	// docs-mcp.example.com/audit:7
}
