package ratelimit

import (
	"errors"
	"fmt"
	"slices"
)

// A Tariff is an [Option]: what one call of a tool costs at most, and how that is
// settled. Make one with [Price], [PriceSampling] or [PriceElicitation]; the zero
// value is refused by New. One tool can have a tariff in each of several units.
//
// Everything the tariff names is reserved before the call runs. Afterwards the sizes
// and reports that turned out smaller are given back, and larger ones are added.
type Tariff struct {
	of     string // "tool NAME", or what is asked of the client
	tool   string // any: every tool without a tariff of its own in this unit
	method string // of a question to the client

	fixed       Amount
	argumentKiB int64
	resultKiB   int64
	mostKiB     int
	token       int64
	mostTokens  int
	reported    int64
	onFailure   int // per cent of what was reserved
	onToolError int // the same; -1: as a success
	faults      []error
}

// AnyTool is the name under which [Price] sets the price of every tool that has none
// of its own in the unit.
const AnyTool = "*"

// Price sets what a call of a tool costs, such as "$0.01". Tools without a price
// cost nothing.
func Price(tool, amount string) Tariff {
	t := tariff("Price("+fmt.Sprintf("%q", tool)+")", amount)
	if t.tool = tool; tool == "" {
		blame(&t, errors.New("a tool has a name; AnyTool is all those without a price of their own"))
	}
	return t
}

// PriceSampling sets what it costs when the server asks the client's model
// (sampling/createMessage), directly or in a result.
func PriceSampling(amount string) Tariff {
	t := tariff("PriceSampling", amount)
	t.method = methodSample
	return t
}

// PriceElicitation sets what it costs when the server asks the user
// (elicitation/create), directly or in a result.
func PriceElicitation(amount string) Tariff {
	t := tariff("PriceElicitation", amount)
	t.method = methodElicit
	return t
}

func tariff(of, amount string) Tariff {
	t := Tariff{of: of, onFailure: 100, onToolError: -1}
	var err error
	if t.fixed, err = ParseAmount(amount); err != nil {
		blame(&t, err)
	}
	return t
}

// PerArgumentKiB adds an amount for each 1024 bytes of arguments, or parameters of a
// question, begun.
func (t Tariff) PerArgumentKiB(amount string) Tariff {
	read(&t, &t.argumentKiB, amount)
	return t
}

// PerResultKiB adds an amount for each 1024 bytes of the result begun, as JSON.
// Reserved are those for most KiB; a larger result costs more and makes debt.
func (t Tariff) PerResultKiB(amount string, most int) Tariff {
	t.mostKiB = most
	read(&t, &t.resultKiB, amount)
	if most < 1 {
		blame(&t, errors.New("PerResultKiB: reserve for at least 1 KiB"))
	}
	return t
}

// PerToken adds an amount for each token a sample may have, which its maxTokens
// says. A request without maxTokens, or with more than most, is refused. What is
// settled is at most one token for each byte of the answer. It is for PriceSampling.
func (t Tariff) PerToken(amount string, most int) Tariff {
	t.mostTokens = most
	read(&t, &t.token, amount)
	switch {
	case t.method != methodSample:
		blame(&t, errors.New("PerToken is for PriceSampling"))
	case most < 1:
		blame(&t, errors.New("PerToken: allow at least 1 token"))
	}
	return t
}

// Reported lets the handler report what the call costs beside that, with [Charge].
// Reserved is most; what is reported beyond it makes debt.
func (t Tariff) Reported(most string) Tariff {
	read(&t, &t.reported, most)
	if t.method != "" {
		blame(&t, errors.New("Reported is for tools: a question has no handler"))
	}
	return t
}

// OnFailure sets how much of what was reserved a call costs that ends in an error, a
// panic, its deadline or a cancellation, in per cent; and no less than what was
// reported. The default is 100, since what the tool calls may send its bill all the
// same. A call that is refused before its handler runs costs nothing.
func (t Tariff) OnFailure(percent int) Tariff {
	t.onFailure = percent
	return t
}

// OnToolError sets the same for results with isError. By default they cost what a
// success costs.
func (t Tariff) OnToolError(percent int) Tariff {
	if t.onToolError = percent; percent < 0 {
		t.onToolError = 101 // which check refuses
	}
	return t
}

// read reads an amount into one part of the tariff.
func read(t *Tariff, into *int64, amount string) {
	a, err := ParseAmount(amount)
	switch {
	case err != nil:
		blame(t, err)
	case a.Unit != t.fixed.Unit:
		blame(t, fmt.Errorf("%v is not in the unit of %v: give the tool a second price", a, t.fixed))
	case a.Micros == 0:
		blame(t, fmt.Errorf("%v is nothing: leave it out", a))
	}
	*into = a.Micros
}

// blame notes a fault, in memory that no other copy of the tariff has.
func blame(t *Tariff, err error) { t.faults = append(slices.Clip(t.faults), err) }

// String names the tariff as the caller wrote it.
func (t Tariff) String() string { return t.of }

func (t Tariff) apply(cfg *config) error {
	if t.of == "" {
		return errors.New("zero Tariff: use Price, PriceSampling or PriceElicitation")
	}
	if err := cfg.once(t.of+" in "+t.fixed.Unit, t); err != nil {
		return err
	}
	if t.onFailure < 0 || t.onFailure > 100 || t.onToolError > 100 {
		blame(&t, errors.New("a failed call costs between 0 and 100 per cent"))
	}
	if err := errors.Join(t.faults...); err != nil {
		return fmt.Errorf("%v: %w", t, err)
	}
	cfg.tariffs = append(cfg.tariffs, t)
	return nil
}

// times multiplies without overflow: what is too much for any budget stays so.
func times(n int, micros int64) int64 {
	if n <= 0 || micros <= 0 {
		return 0
	}
	if int64(n) > maxMicros/micros {
		return maxMicros
	}
	return int64(n) * micros
}

// plus adds without overflow, in the same sense.
func plus(a, b int64) int64 { return min(maxMicros, a+b) }

func kib(bytes int) int { return (bytes + 1023) / 1024 }
