package attest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// Snapshot pins an inventory and the running executable as they are now. Tools
// without a version of their own get the server's. A snapshot approves whatever it
// finds: review it, and make it where the release is built, not where it runs.
func Snapshot(inv *mcpsec.Inventory) (*Pins, error) {
	return snapshot(context.Background(), inv)
}

func snapshot(ctx context.Context, inv *mcpsec.Inventory) (*Pins, error) {
	if inv == nil || inv.Server == nil {
		return nil, errors.New("attest: Snapshot needs an inventory with a server")
	}
	p := &Pins{
		Version:            manifestVersion,
		Server:             ServerPin{inv.Server.Name, inv.Server.Version},
		InstructionsSHA256: hexSum(inv.Instructions),
		Tools:              make([]ToolPin, 0, len(inv.Tools)),
	}
	var faults []error
	for _, t := range inv.Tools {
		pin := ToolPin{Name: t.Name, Version: t.Version}
		if pin.Version == "" {
			pin.Version = inv.Server.Version
		}
		var err error
		if pin.SHA256, err = Digest(t.Definition); err != nil {
			faults = append(faults, fmt.Errorf("tool %q: %w", t.Name, err))
			continue
		}
		p.Tools = append(p.Tools, pin)
	}
	slices.SortFunc(p.Tools, func(a, b ToolPin) int { return strings.Compare(a.Name, b.Name) })
	var err error
	if p.ExecutableSHA256, err = executableDigest(ctx); err != nil {
		faults = append(faults, fmt.Errorf("attest: %w", err))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	if err := p.validate(); err != nil {
		return nil, err
	}
	return p, nil
}

// Capture returns a control that takes the place of an [Attestor] where a manifest
// is made: [mcpsec.Guard.Install] hands save a [Snapshot] of the server and fails
// with its error. Such a guard refuses every call, so that a server that was left
// in this state serves nobody.
func Capture(save func(*Pins) error) mcpsec.Control { return &capture{save} }

type capture struct{ save func(*Pins) error }

var (
	_ mcpsec.Declarer = (*capture)(nil)
	_ mcpsec.Checker  = (*capture)(nil)
	_ mcpsec.Sealer   = (*capture)(nil)
)

func (c *capture) Declare() mcpsec.Declaration { return (*Attestor)(nil).Declare() }

func (c *capture) Check() error {
	if c.save == nil {
		return errors.New("attest: Capture(nil)")
	}
	return nil
}

func (c *capture) Seal(ctx context.Context, inv *mcpsec.Inventory) error {
	p, err := snapshot(ctx, inv)
	if err != nil {
		return err
	}
	return c.save(p)
}

func (c *capture) Wrap(mcpsec.Handler) mcpsec.Handler {
	return func(context.Context, *mcpsec.Call) (mcp.Result, error) {
		return nil, codeCapturing.Deny("this server only makes a manifest")
	}
}
