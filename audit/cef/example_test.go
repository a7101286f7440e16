package cef_test

import (
	"fmt"

	"github.com/mcpsec/mcpsec-go/audit"
	"github.com/mcpsec/mcpsec-go/audit/cef"
)

// refused is a record of the ledger in which a caller tried to forge a second
// message.
var refused = audit.Record{
	Origin: "docs-mcp/audit", Seq: 7,
	Line: []byte(`{"seq":7,"prev":"0123456789abcdef","time":"2026-11-22T12:00:00Z","event":"outcome",` +
		`"method":"tools/call","name":"x\nCEF:0|a|b|c|d|e|9|act=allowed",` +
		`"decision":"refused","code":"guard.unknown_tool","latency_us":90,"is_error":false}`),
}

func ExampleNew() {
	format, err := cef.New(cef.Config{Version: "1.4.2"})
	if err != nil {
		panic(err)
	}
	// audit.Ship hands a destination its records, and the destination the format:
	message, err := format.AppendRecord(nil, &refused)
	if err != nil {
		panic(err)
	}
	fmt.Printf("%s\n", message)
	// Output:
	// CEF:0|mcpsec|mcpsec|1.4.2|guard.unknown_tool|Call refused|5|rt=1795348800000 externalId=docs-mcp/audit:7 cat=outcome act=refused outcome=failure cn1=7 cn1Label=Sequence start=1795348799999 end=1795348800000 deviceDirection=0 cn2=90 cn2Label=Latency in microseconds cs1=tools/call cs1Label=Method cs2=x\nCEF:0|a|b|c|d|e|9|act\=allowed cs2Label=Name
}

func ExampleNewLEEF() {
	format, err := cef.NewLEEF(cef.Config{Version: "1.4.2"})
	if err != nil {
		panic(err)
	}
	message, err := format.AppendRecord(nil, &refused)
	if err != nil {
		panic(err)
	}
	fmt.Printf("%s\n", message)
	// Output:
	// LEEF:2.0|mcpsec|mcpsec|1.4.2|guard.unknown_tool|^|sev=5^devTime=2026-11-22T12:00:00.000+0000^devTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSZ^mcpsecRecord=docs-mcp/audit:7^cat=outcome^mcpsecAction=refused^mcpsecOutcome=failure^mcpsecSequence=7^mcpsecStart=1795348799999^mcpsecEnd=1795348800000^mcpsecDirection=0^mcpsecLatencyMicros=90^mcpsecMethod=tools/call^resource=x\u{a}CEF:0|a|b|c|d|e|9|act=allowed
}
