package audit_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/audit"
	"github.com/mcpsec/mcpsec-go/audit/ledger"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// Every call leaves an attempt and an outcome in the ledger. The handler here reads
// one note and fails on all others.
func ExampleNew() {
	dir, err := os.MkdirTemp("", "audit")
	if err != nil {
		log.Fatal(err)
	}
	path := filepath.Join(dir, "audit")

	guard, err := mcpsec.New(audit.New(audit.Dir(path)))
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
	if err := guard.Close(); err != nil { // writes what is still queued, and signs
		log.Fatal(err)
	}

	record, err := ledger.Scan(path, 0)
	if err != nil {
		log.Fatal(err)
	}
	for {
		line, err := record.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			log.Fatal(err)
		}
		if line.Kind != ledger.Record {
			continue // a header or a signed checkpoint
		}
		e, err := audit.Decode(line.Text)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(line.Seq, e.Kind, e.Decision, e.Name, e.Arguments.Keys)
	}
	if err := record.Close(); err != nil {
		log.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		log.Fatal(err)
	}
	// Output:
	// 0 attempt allowed notes_read [name]
	// 1 outcome allowed notes_read [name]
	// 2 attempt allowed notes_read [name pin]
	// 3 outcome error notes_read [name pin]
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
