package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/audit"
	"github.com/mcpsec/mcpsec-go/audit/ledger"
)

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
	if rec.Decision != audit.Refused || rec.Code != code {
		return fmt.Errorf("%s was recorded as %s %s, want refused %s", tool, rec.Decision, rec.Code, code)
	}
	return nil
}

// lastOutcome returns the latest outcome of a tool in the audit log. A refusal is on
// the disk before its caller hears of it.
func (s *stage) lastOutcome(tool string) (*audit.Event, error) {
	records, err := s.read()
	if err != nil {
		return nil, err
	}
	for _, r := range slices.Backward(records) {
		if r.Name == tool && r.Kind == audit.Outcome && r.Code != "" {
			return r, nil
		}
	}
	return nil, fmt.Errorf("the refusal of %s does not appear in the audit log", tool)
}

// read returns the events of the audit log so far.
func (s *stage) read() ([]*audit.Event, error) {
	log, err := ledger.Scan(s.dir.audit(), 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }() // nothing was written
	var events []*audit.Event
	for {
		line, err := log.Next()
		if errors.Is(err, io.EOF) {
			return events, nil
		}
		if err != nil {
			return nil, err
		}
		if line.Kind != ledger.Record {
			continue
		}
		e, err := audit.Decode(line.Text)
		if err != nil {
			return nil, err
		}
		events = append(events, e)
	}
}

// records prints the audit log of the whole demonstration.
func (s *stage) records() error {
	s.out.scene("What the audit log says of it")
	events, err := s.read()
	if err != nil {
		return err
	}
	attempts := make(map[string]bool)
	var outcomes, refusals int
	for _, e := range events {
		switch e.Kind { //nolint:exhaustive // what concerns no call is not shown
		case audit.Attempt:
			attempts[e.ID] = true
		case audit.Outcome:
			outcomes++
			if e.Decision == audit.Refused {
				refusals++
			}
			if ran := e.Decision != audit.Refused && e.Method == "tools/call"; ran && !attempts[e.ID] {
				return fmt.Errorf("the call of %s ran without a record from before", e.Name)
			}
			s.out.record(e)
		}
	}
	s.out.sayf("%d calls, %d refused; each that ran has a record from before and from after", outcomes, refusals)
	if err := s.verify(); err != nil {
		return err
	}
	s.out.done()
	return nil
}

// verify proves that the log is what was written, as "mcpsec audit verify" does.
func (s *stage) verify() error {
	r, err := ledger.Verify(s.ctx, s.dir.audit(), ledger.VerifyOptions{})
	if err != nil {
		return err
	}
	if len(r.Faults) > 0 {
		return fmt.Errorf("the audit log was changed: %+v", r.Faults[0])
	}
	s.out.sayf("%d records, chained and signed: change one byte and \"mcpsec audit verify\" names the record", r.Records)
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
