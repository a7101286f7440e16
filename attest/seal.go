package attest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/mcpsec/mcpsec-go/attest/manifest"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// A seal is what the server was when it was attested.
type seal struct {
	tools     map[string]*sealedTool
	prompts   items
	resources items
	templates items
	server    sealedServer
	wire      tripwire // of what concerns the server as a whole
	watches   []*watch // all of them; those of a tool are also with the tool
	shared    []*watch // those of no tool, which concern the whole server
	unsigned  bool
	expires   time.Time
	started   time.Time
	lasts     time.Duration // from started to expires, by the clock that nobody sets
	alarm     func(mcpsec.Alarm)
}

// down returns why nothing of the server may run: what is final, or that the manifest has
// expired, also if the clock was set back since the server started.
func (s *seal) down(now time.Time) *finding {
	if f := s.wire.tripped(); f != nil {
		return f
	}
	if !now.Before(s.expires) || now.Sub(s.started) >= s.lasts {
		return &finding{code: codeExpired, reason: "the attestation of this server has expired",
			detail: "the manifest expired at " + s.expires.Format(time.RFC3339)}
	}
	return nil
}

// errReview tells what to do about any difference.
var errReview = errors.New("find out who made these changes; if they are wanted, review them and make a new manifest with attest.Capture")

// errSealed is the second use of one Attestor.
var errSealed = errors.New("attest: sealed before or closed: make one Attestor for each guard")

// Seal compares what the server is with the manifest, both ways: it fails, naming every
// difference, for a tool, prompt or resource that is missing, extra or changed, for another
// server name, version or instructions, for another executable, and for an artifact that
// is not exactly what the manifest says. It reads artifacts into sealed memory, and moves
// schemas and longer texts of the definitions there too, byte for byte. It sets Digest,
// Version, Code and Manifest of every tool. [mcpsec.Guard.Install] calls it, once, and
// then [Attestor.Commit]; until that has returned, everything is refused.
func (a *Attestor) Seal(ctx context.Context, inv *mcpsec.Inventory) error {
	if err := a.Check(); err != nil {
		return err
	}
	if err := a.unused(); err != nil {
		return err
	}
	m := a.source.manifest
	s := &seal{
		tools: make(map[string]*sealedTool, len(inv.Tools)), alarm: inv.Alarm, unsigned: a.source.unsigned,
		expires: m.Expires, started: a.started, lasts: m.Expires.Sub(a.started.Round(0)),
	}
	if s.alarm == nil {
		s.alarm = func(al mcpsec.Alarm) {
			slog.Error("mcpsec alarm", "code", al.Code, "tool", al.Tool, "detail", al.Detail)
		}
	}
	faults := sealServer(m, &s.server, inv)
	faults = append(faults, sealTools(m.Tools, s.tools, inv.Tools)...)
	var more [3][]error
	s.prompts, more[0] = sealItems("prompt", m.Prompts, promptItems(inv.Prompts))
	s.resources, more[1] = sealItems("resource", m.Resources, resourceItems(inv.Resources))
	s.templates, more[2] = sealItems("resource template", m.ResourceTemplates, templateItems(inv.Templates))
	faults = append(faults, slices.Concat(more[:]...)...)
	faults = append(faults, a.checkExecutable(ctx)...)
	faults = append(faults, a.sealArtifacts(ctx, s)...)
	if len(faults) == 0 {
		faults = moveTools(s.tools)
	}
	if len(faults) > 0 {
		return fmt.Errorf("attest: the server is not the one in the manifest: %w", errors.Join(append(faults, errReview)...))
	}
	if err := a.recall(ctx); err != nil {
		return fmt.Errorf("attest: %w", err)
	}
	a.describe(s, inv.Tools)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ready = s
	return nil
}

// unused refuses a second use.
func (a *Attestor) unused() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed || a.ready != nil {
		return errSealed
	}
	return nil
}

// Commit remembers the manifest in [State], and only then puts in force what Seal found
// right. [mcpsec.Guard.Install] calls it when the server is certain to start: a release that
// never ran does not rule out the one before. From then on [Attestor.Close] has something
// to stop.
func (a *Attestor) Commit(ctx context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.ready
	if s == nil || a.closed || a.seal.Load() != nil {
		return errSealed
	}
	if err := a.remember(ctx); err != nil {
		return fmt.Errorf("attest: %w", err)
	}
	if s.unsigned {
		slog.Warn("mcpsec attest: the manifest is NOT SIGNED: whoever can write its file decides what is attested; use attest.Manifest with a key before anything depends on it")
	}
	a.startPatrol(s) //nolint:contextcheck // what it starts lives until Close
	a.seal.Store(s)
	return nil
}

// describe tells the guard, and so the record, what each tool was attested as.
func (a *Attestor) describe(s *seal, tools []*mcpsec.Tool) {
	m := a.source.manifest
	pinned := make(map[string]manifest.Tool, len(m.Tools))
	for _, p := range m.Tools {
		pinned[p.Name] = p
	}
	exe, _ := a.executable() // its error was among the faults
	for _, t := range tools {
		p := pinned[t.Name]
		t.Digest, t.Version, t.Manifest, t.Attested = digestPrefix+p.SHA256, p.Version, m.Sequence, s.tools[t.Name]
		if exe != nil {
			t.Code = digestPrefix + exe.SHA256
		}
	}
}

// sealServer compares what the server says of itself with the manifest.
func sealServer(m *manifest.Manifest, s *sealedServer, inv *mcpsec.Inventory) (faults []error) {
	if inv.Server == nil {
		return []error{errors.New("the server does not say its name")}
	}
	if inv.Server.Name != m.ServerName || inv.Server.Version != m.ServerVersion {
		faults = append(faults, fmt.Errorf("the server is %q version %q, the manifest is for %q version %q",
			inv.Server.Name, inv.Server.Version, m.ServerName, m.ServerVersion))
	}
	if got, err := digestServer(inv.Server); err != nil {
		faults = append(faults, fmt.Errorf("the server's description of itself: %w", err))
	} else if got != m.ServerSHA256 {
		faults = append(faults, fmt.Errorf("the name, version, title, description, site or icons of the server changed: expected sha256:%s, found sha256:%s", m.ServerSHA256, got))
	}
	if got := hexSum(inv.Instructions); got != m.InstructionsSHA256 {
		faults = append(faults, fmt.Errorf("the instructions changed: expected sha256:%s, found sha256:%s", m.InstructionsSHA256, got))
	}
	s.live, s.instructions = inv.Server, inv.Instructions
	var err error
	if s.now, err = sumServer(s.live, s.instructions, maxServerFrame); err != nil {
		faults = append(faults, fmt.Errorf("the server's description of itself: %w", err))
	}
	return faults
}

// sealTools compares the two sets of tools and every definition in both.
func sealTools(pins []manifest.Tool, sealed map[string]*sealedTool, tools []*mcpsec.Tool) (faults []error) {
	pinned := make(map[string]manifest.Tool, len(pins))
	for _, pin := range pins {
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
		case s.digest != pin.SHA256:
			faults = append(faults, fmt.Errorf("tool %q changed: expected sha256:%s, found sha256:%s%s", t.Name, pin.SHA256, s.digest, hint(t)))
		}
		sealed[t.Name] = s
		delete(pinned, t.Name)
	}
	for _, pin := range pins {
		if _, left := pinned[pin.Name]; left {
			faults = append(faults, fmt.Errorf("tool %q is missing: the manifest has it and the server does not", pin.Name))
		}
	}
	return faults
}

// hint names the one thing in the environment that changes digests.
func hint(t *mcpsec.Tool) string {
	v := os.Getenv("MCPGODEBUG") //nolint:forbidigo // the SDK reads it, and the error names it
	if strings.Contains(v, "hintomitempty") && t.Definition.Annotations != nil {
		return " (MCPGODEBUG=" + v + " changes how the SDK encodes annotations: unset it)"
	}
	return ""
}
