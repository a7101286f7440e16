package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/audit"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// Every call leaves an attempt and an outcome in the file. The handler here reads
// one note and fails on all others.
func ExampleNew() {
	dir, err := os.MkdirTemp("", "audit")
	if err != nil {
		log.Fatal(err)
	}
	path := filepath.Join(dir, "audit.jsonl")

	guard, err := mcpsec.New(audit.New(audit.File(path)))
	if err != nil {
		log.Fatal(err)
	}
	handler, err := mcpsec.Wrap(guard, "notes_read", func(_ context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return &mcp.CallToolResult{IsError: !strings.Contains(string(req.Params.Arguments), "todo")}, nil
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, args := range []string{`{"name": "todo"}`, `{"name": "diary", "pin": 1234}`} {
		req := &mcp.CallToolRequest{Params: &mcp.CallToolParamsRaw{Name: "notes_read", Arguments: json.RawMessage(args)}}
		if _, err := handler(context.Background(), req); err != nil {
			log.Fatal(err)
		}
	}
	if err := guard.Close(); err != nil { // writes what is buffered
		log.Fatal(err)
	}

	record, err := os.ReadFile(path)
	if err != nil {
		log.Fatal(err)
	}
	for line := range bytes.Lines(record) {
		var e struct {
			Event     string `json:"event"`
			Name      string `json:"name"`
			Decision  string `json:"decision"`
			Arguments struct {
				Keys []string `json:"keys"`
			} `json:"arguments"`
		}
		if err := json.Unmarshal(line, &e); err != nil {
			log.Fatal(err)
		}
		fmt.Println(e.Event, e.Decision, e.Name, e.Arguments.Keys)
	}
	if err := os.RemoveAll(dir); err != nil {
		log.Fatal(err)
	}
	// Output:
	// attempt  notes_read [name]
	// outcome allowed notes_read [name]
	// attempt  notes_read [name pin]
	// outcome error notes_read [name pin]
}

// A Sink of one's own takes events anywhere.
func ExampleTo() {
	guard, err := mcpsec.New(audit.New(audit.To(printer{})))
	if err != nil {
		log.Fatal(err)
	}
	handler, err := mcpsec.Wrap(guard, "ping", func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return &mcp.CallToolResult{}, nil
	})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := handler(context.Background(), &mcp.CallToolRequest{Params: &mcp.CallToolParamsRaw{Name: "ping"}}); err != nil {
		log.Fatal(err)
	}
	if err := guard.Close(); err != nil {
		log.Fatal(err)
	}
	// Output:
	// attempt
	// outcome: allowed
}

type printer struct{}

func (printer) Record(_ context.Context, e *audit.Event) error {
	if e.Kind == audit.Outcome {
		fmt.Println("outcome:", e.Decision)
		return nil
	}
	fmt.Println("attempt")
	return nil
}

func (printer) Close() error { return nil }
