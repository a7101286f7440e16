package mcpsec

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

var errNilContent = errors.New("a content of the result is nil")

// encodable returns why a result cannot be written. The SDK encodes results outside
// every recover: one that panics there ends the process, and one that fails is never
// answered. Where encoding is costly, only what can go wrong is tried.
func encodable(res mcp.Result) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("encoding the result: %w", panicError(p))
		}
	}()
	if isNil(res) {
		if res == nil {
			return nil // of a notification
		}
		return errNoResult
	}
	switch r := res.(type) {
	case *mcp.CallToolResult:
		return tryTool(r)
	case *mcp.ReadResourceResult:
		for _, c := range r.Contents {
			if c == nil {
				return errNilContent
			}
			if err := tryMap(c.Meta); err != nil {
				return err
			}
		}
		return errors.Join(tryMap(r.Meta), tryQuestions(r.InputRequests))
	case *decided:
		return nil
	}
	if _, ok := res.(interface{ GetMeta() map[string]any }); ok {
		_, err = json.Marshal(res)
	}
	return err
}

func tryTool(r *mcp.CallToolResult) error {
	for _, c := range r.Content {
		if err := tryContent(c); err != nil {
			return err
		}
	}
	if _, raw := r.StructuredContent.(json.RawMessage); !raw && r.StructuredContent != nil {
		if _, err := json.Marshal(r.StructuredContent); err != nil {
			return err
		}
	}
	return errors.Join(tryMap(r.Meta), tryQuestions(r.InputRequests))
}

func tryContent(c mcp.Content) error {
	if isNil(c) {
		return errNilContent
	}
	switch c := c.(type) {
	case *mcp.TextContent:
		return tryMap(c.Meta)
	case *mcp.ImageContent:
		return tryMap(c.Meta)
	case *mcp.AudioContent:
		return tryMap(c.Meta)
	}
	_, err := json.Marshal(c)
	return err
}

func tryMap(m map[string]any) error {
	if len(m) == 0 {
		return nil
	}
	_, err := json.Marshal(m)
	return err
}

func tryQuestions(questions mcp.InputRequestMap) error {
	if len(questions) == 0 {
		return nil
	}
	for id, q := range questions {
		if isNil(q) {
			return fmt.Errorf("input request %q is nil", id)
		}
	}
	_, err := json.Marshal(questions)
	return err
}

// isNil reports whether an interface holds nothing, or a nil pointer.
func isNil(v any) bool {
	r := reflect.ValueOf(v)
	return !r.IsValid() || r.Kind() == reflect.Pointer && r.IsNil()
}
