package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// A record is what this program reads of a line of the audit log.
type record struct {
	Event    string    `json:"event"`
	Time     time.Time `json:"time"`
	ID       string    `json:"id"`
	Method   string    `json:"method"`
	Name     string    `json:"name"`
	Decision string    `json:"decision"`
	Code     string    `json:"code"`
	Control  string    `json:"control"`
}

// refused makes a call that must be refused, prints what the client sees, and
// compares the code in the audit log.
func (s *stage) refused(tool string, args any, code string) error {
	res, err := s.call(tool, args)
	if err == nil {
		return fmt.Errorf("%s was not refused: %s", tool, firstText(res))
	}
	rec, readErr := s.lastOutcome(tool)
	if readErr != nil {
		return readErr
	}
	seen := strings.TrimPrefix(err.Error(), `calling "tools/call": `)
	if wire, ok := errors.AsType[*jsonrpc.Error](err); ok && wire.Data != nil {
		seen += " " + string(wire.Data)
	}
	s.out.refused(tool, seen, rec.Code)
	if rec.Decision != "refused" || rec.Code != code {
		return fmt.Errorf("%s was recorded as %s %s, want refused %s", tool, rec.Decision, rec.Code, code)
	}
	return nil
}

// lastOutcome waits for the latest outcome of a tool in the audit log: the log is
// written in the background, a fraction of a second behind.
func (s *stage) lastOutcome(tool string) (record, error) {
	attempts := 0
	for {
		records, err := s.read()
		if err != nil {
			return record{}, err
		}
		open := 0
		var last record
		for _, r := range records {
			if r.Name != tool {
				continue
			}
			if r.Event == "attempt" {
				open++
			} else {
				open--
				last = r
			}
		}
		if open == 0 && last.ID != "" && last.Code != "" {
			return last, nil
		}
		if attempts++; attempts > 200 {
			return last, fmt.Errorf("the refusal of %s does not appear in the audit log", tool)
		}
		select {
		case <-s.ctx.Done():
			return record{}, s.ctx.Err()
		case <-time.After(25 * time.Millisecond):
		}
	}
}

// read returns the complete lines of the audit log.
func (s *stage) read() ([]record, error) {
	data, err := os.ReadFile(s.dir.audit())
	if err != nil {
		return nil, err
	}
	data = data[:bytes.LastIndexByte(data, '\n')+1]
	var records []record
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r record
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return nil, fmt.Errorf("audit log: %w", err)
		}
		records = append(records, r)
	}
	return records, lines.Err()
}

// records prints the audit log of the whole demonstration.
func (s *stage) records() error {
	s.out.scene("What the audit log says of it")
	records, err := s.read()
	if err != nil {
		return err
	}
	var outcomes, refusals int
	for _, r := range records {
		if r.Event != "outcome" {
			continue
		}
		outcomes++
		if r.Decision == "refused" {
			refusals++
		}
		s.out.record(r)
	}
	if 2*outcomes != len(records) {
		return fmt.Errorf("%d records for %d outcomes: every call has two", len(records), outcomes)
	}
	s.out.sayf("%d calls, %d refused; each has a record from before and from after it ran", outcomes, refusals)
	s.out.done()
	return nil
}

func firstText(res *mcp.CallToolResult) string {
	if res == nil || len(res.Content) == 0 {
		return ""
	}
	t, _ := res.Content[0].(*mcp.TextContent)
	if t == nil {
		return ""
	}
	return t.Text
}

func resultError(res *mcp.CallToolResult) error {
	if res == nil || !res.IsError {
		return nil
	}
	return errors.New(firstText(res))
}
