package attest

import (
	"context"
	"errors"
	"fmt"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// errReview tells what to do about any difference.
var errReview = errors.New("find out who made these changes; if they are wanted, review them and make a new manifest with attest.Capture")

// errSealed is the second use of one Attestor.
var errSealed = errors.New("attest: sealed before: make one Attestor for each guard")

// Seal compares what the server offers with the manifest, both ways: it fails,
// naming every difference, for a tool that is missing, extra or changed, for
// another server name, version or instructions, and for another executable. It
// sets Digest and Version of every tool. [mcpsec.Guard.Install] calls it, once.
func (a *Attestor) Seal(ctx context.Context, inv *mcpsec.Inventory) error {
	if err := a.Check(); err != nil {
		return err
	}
	if a.seal.Load() != nil {
		return errSealed
	}
	s := &seal{tools: make(map[string]*sealedTool, len(inv.Tools))}
	faults := a.pins.sealServer(&s.server, inv)
	faults = append(faults, a.pins.sealTools(s.tools, inv.Tools)...)
	if err := a.pins.checkExecutable(ctx); err != nil {
		faults = append(faults, err)
	}
	if len(faults) > 0 {
		return fmt.Errorf("attest: the server is not the one in the manifest: %w", errors.Join(append(faults, errReview)...))
	}
	if !a.seal.CompareAndSwap(nil, s) {
		return errSealed
	}
	versions := make(map[string]string, len(a.pins.Tools))
	for _, p := range a.pins.Tools {
		versions[p.Name] = p.Version
	}
	for _, t := range inv.Tools {
		t.Digest, t.Version = digestPrefix+s.tools[t.Name].wire, versions[t.Name]
		if a.pins.ExecutableSHA256 != "" {
			t.Code = digestPrefix + a.pins.ExecutableSHA256
		}
	}
	return nil
}

// sealServer compares what the server says of itself with the pins.
func (p *Pins) sealServer(s *sealedServer, inv *mcpsec.Inventory) (faults []error) {
	if inv.Server == nil {
		return []error{errors.New("the server does not say its name")}
	}
	if got := (ServerPin{inv.Server.Name, inv.Server.Version}); got != p.Server {
		faults = append(faults, fmt.Errorf("the server is %q version %q, the manifest is for %q version %q",
			got.Name, got.Version, p.Server.Name, p.Server.Version))
	}
	if got := hexSum(inv.Instructions); got != p.InstructionsSHA256 {
		faults = append(faults, fmt.Errorf("the instructions changed: expected sha256:%s, found sha256:%s", p.InstructionsSHA256, got))
	}
	s.live, s.instructions = inv.Server, inv.Instructions
	var err error
	if s.now, err = sumServer(s.live, s.instructions, maxServerFrame); err != nil {
		faults = append(faults, fmt.Errorf("the server's description of itself: %w", err))
	}
	return faults
}

// sealTools compares the two sets of tools and every definition in both.
func (p *Pins) sealTools(sealed map[string]*sealedTool, tools []*mcpsec.Tool) (faults []error) {
	pinned := make(map[string]ToolPin, len(p.Tools))
	for _, pin := range p.Tools {
		pinned[pin.Name] = pin
	}
	for _, t := range tools {
		pin, known := pinned[t.Name]
		if !known {
			faults = append(faults, fmt.Errorf("tool %q is extra: it is not in the manifest", t.Name))
			continue
		}
		s, err := sealTool(t.Definition)
		switch {
		case err != nil:
			faults = append(faults, fmt.Errorf("tool %q cannot be attested: %w", t.Name, err))
		case s.wire != pin.SHA256:
			faults = append(faults, fmt.Errorf("tool %q changed: expected sha256:%s, found sha256:%s", t.Name, pin.SHA256, s.wire))
		}
		sealed[t.Name] = s
		delete(pinned, t.Name)
	}
	for _, pin := range p.Tools {
		if _, left := pinned[pin.Name]; left {
			faults = append(faults, fmt.Errorf("tool %q is missing: the manifest has it and the server does not", pin.Name))
		}
	}
	return faults
}
