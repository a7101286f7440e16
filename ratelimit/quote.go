package ratelimit

import (
	"encoding/json"
	"fmt"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// A quote is what a call may cost at most, unit by unit, and what has to be reserved
// for it.
type quote struct {
	call         *mcpsec.Call
	subject      subject
	prices       []price
	reservations []Reservation
	ceilings     []*ceiling // of the reservations
	refusal      *mcpsec.Denial
}

// A price is what a call costs in one unit.
type price struct {
	tariff   *Tariff
	reserved int64
	perCall  int64 // the most one call may cost
}

// A ceiling is a budget as the control keeps it.
type ceiling struct {
	Ceiling

	prefix string
}

// maxReservations bounds the budgets that one call can meet.
const maxReservations = 8

// quote prices a call; nil if it costs nothing.
func (b *budgets) quote(call *mcpsec.Call) *quote {
	tariffs := b.tariffsOf(call)
	if len(tariffs) == 0 {
		return nil
	}
	q := &quote{call: call, subject: b.digests.payer(call), prices: make([]price, 0, len(tariffs))}
	for _, t := range tariffs {
		cost, d := t.worst(call)
		if d != nil {
			q.refusal = d
			return q
		}
		p := price{t, cost, maxMicros}
		for _, c := range b.ceilings {
			switch {
			case c.limit.Unit != t.fixed.Unit || !c.applies(&q.subject):
			case cost > c.limit.Micros:
				q.refusal = codeBudget.Deny(fmt.Sprintf("the call may cost %v, more than its budget%s",
					Amount{t.fixed.Unit, cost}, c.told()))
				q.refusal.Detail = c.String()
				return q
			case c.perCall:
				p.perCall = min(p.perCall, c.limit.Micros)
			default:
				q.reservations = append(q.reservations, Reservation{c.shared(c.prefix, &q.subject), c.window, c.limit.Micros, cost})
				q.ceilings = append(q.ceilings, c)
			}
		}
		q.prices = append(q.prices, p)
	}
	return q
}

// tariffsOf returns the tariffs of a call, one for each unit at most.
func (b *budgets) tariffsOf(call *mcpsec.Call) []*Tariff {
	switch {
	case call.Outgoing:
		return b.questions[call.Method]
	case call.Method != methodCallTool || call.Tool == nil:
		return nil
	}
	if own, ok := b.tools[call.Tool.Name]; ok {
		return own
	}
	return b.tools[AnyTool]
}

// worst returns what the call costs at most.
func (t Tariff) worst(call *mcpsec.Call) (int64, *mcpsec.Denial) {
	cost := plus(t.base(call), times(t.mostKiB, t.resultKiB))
	if t.token > 0 {
		n, d := t.maxTokens(call)
		if d != nil {
			return 0, d
		}
		cost = plus(cost, times(n, t.token))
	}
	return plus(cost, t.reported), nil
}

// base is what is known before the call runs.
func (t Tariff) base(call *mcpsec.Call) int64 {
	return plus(t.fixed.Micros, times(kib(len(call.Arguments)), t.argumentKiB))
}

// maxTokens reads how many tokens a sample may have.
func (t Tariff) maxTokens(call *mcpsec.Call) (int, *mcpsec.Denial) {
	var params struct {
		MaxTokens int64 `json:"maxTokens"`
	}
	if err := json.Unmarshal(call.Arguments, &params); err != nil || params.MaxTokens < 1 || params.MaxTokens > int64(t.mostTokens) {
		d := codeUnbounded.Deny(fmt.Sprintf("a sample has maxTokens between 1 and %d", t.mostTokens))
		return 0, d.Because(err)
	}
	return int(params.MaxTokens), nil
}

// actual returns what a call has cost that ended in this way.
func (p *price) actual(call *mcpsec.Call, runs int, reported int64, res mcp.Result, e ending) int64 {
	t := p.tariff
	again := times(runs-1, t.base(call)) // runs of the handler beyond the first
	switch {
	case e == refused:
		return reported
	case e == failed:
		return plus(again, max(reported, percent(p.reserved, t.onFailure)))
	case e == toolError && t.onToolError >= 0:
		return plus(again, max(reported, percent(p.reserved, t.onToolError)))
	}
	cost := plus(again, t.base(call))
	switch r := res.(type) {
	case *mcp.CallToolResult, *mcp.ElicitResult:
	case *mcp.CreateMessageResult, *mcp.CreateMessageWithToolsResult:
		n, _ := t.maxTokens(call) // checked when it was reserved
		cost = plus(cost, times(min(n, size(r)), t.token))
	default: // only decided about: nobody knows what the answer will cost
		return plus(again, p.reserved)
	}
	if t.resultKiB > 0 {
		cost = plus(cost, times(kib(size(res)), t.resultKiB))
	}
	return plus(cost, reported)
}

func percent(amount int64, share int) int64 {
	// Rounded up, without overflow: an amount is at most 1<<52.
	return (amount*int64(share) + 99) / 100
}

// size is how many bytes a result has on the wire, about.
func size(res mcp.Result) int {
	raw, err := json.Marshal(res)
	if err != nil {
		return 0 // the guard refuses what cannot be encoded
	}
	return len(raw)
}
