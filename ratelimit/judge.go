package ratelimit

import (
	"context"
	"errors"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// handlerPanic is the guard's code for a panic it contained: the one refusal that
// is the tool's own fault.
const handlerPanic = "guard.handler_panic"

// judge says what a call tells of the health of its tool: nil, errFailed or
// errNeutral. What a caller alone can bring about is neutral and not a success,
// so that bad arguments neither open a breaker nor close one or keep it closed.
func (t Trip) judge(ctx context.Context, res mcp.Result, err error) error {
	if err == nil {
		return t.judgeResult(ctx, res)
	}
	if d := mcpsec.AsDenial(err); d != nil {
		if d.Code == handlerPanic {
			return errFailed
		}
		return errNeutral
	}
	// After a cancellation handlers fail with errors of every kind.
	if errors.Is(err, context.Canceled) || errors.Is(ctx.Err(), context.Canceled) {
		return errNeutral
	}
	if wire, ok := errors.AsType[*jsonrpc.Error](err); ok {
		switch wire.Code {
		case jsonrpc.CodeInvalidParams, mcp.CodeURLElicitationRequired:
			return errNeutral
		}
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return t.timeout()
	}
	if t.IgnoreErrors {
		return errNeutral
	}
	return errFailed
}

func (t Trip) judgeResult(ctx context.Context, res mcp.Result) error {
	r, ok := res.(*mcp.CallToolResult)
	switch {
	case !ok || r == nil:
		return nil
	case r.InputRequests != nil: // the call has not done its work yet
		return errNeutral
	case !r.IsError:
		return nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded): // a typed handler that ran out of time
		return t.timeout()
	case t.CountToolErrors && ctx.Err() == nil:
		return errFailed
	}
	return errNeutral
}

func (t Trip) timeout() error {
	if t.IgnoreTimeouts {
		return errNeutral
	}
	return errFailed
}
