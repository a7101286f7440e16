package ratelimit

import (
	"context"
	"io"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// freezer is the control of StageAllow that asks the switch: not of StageLimit,
// which a call that comes back with answers does not pass again.
type freezer struct {
	*Switch

	reporter *reporter // nil without a directory
}

var (
	_ mcpsec.Declarer = freezer{}
	_ io.Closer       = freezer{}
)

func (f freezer) Declare() mcpsec.Declaration {
	return mcpsec.Declaration{Name: "ratelimit.freeze", Stage: mcpsec.StageAllow}
}

func (f freezer) Wrap(next mcpsec.Handler) mcpsec.Handler {
	return func(ctx context.Context, call *mcpsec.Call) (mcp.Result, error) {
		if f.reporter != nil {
			f.reporter.report()
		}
		if d := f.refuse(call); d != nil {
			return nil, d
		}
		return next(ctx, call)
	}
}

// Close removes what the process said of itself.
func (f freezer) Close() error {
	if f.reporter == nil {
		return nil
	}
	return f.reporter.Close()
}
