package attest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/attest/manifest"
	"github.com/mcpsec/mcpsec-go/internal/memfd"
	"github.com/mcpsec/mcpsec-go/internal/regular"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// A SnapshotOption adds to a manifest what an inventory does not hold.
type SnapshotOption func(context.Context, *manifest.Manifest) error

// Files adds artifacts, whose paths begin in a folder. Size and SHA256 are taken from the
// files; an empty role is "file".
func Files(dir string, artifacts ...manifest.Artifact) SnapshotOption {
	return func(ctx context.Context, m *manifest.Manifest) error {
		root, err := memfd.OpenRoot(dir)
		if err != nil {
			return err
		}
		defer func() { _ = root.Close() }() // nothing was written
		for _, a := range artifacts {
			a.Role = cmp.Or(a.Role, "file")
			f, err := root.Open(a.Path)
			if err != nil {
				return fmt.Errorf("artifact %q: %w", a.Name, err)
			}
			info, err := f.Stat()
			if err == nil {
				a.Size = info.Size()
				a.SHA256, err = memfd.Sum(ctx, f, a.Size)
			}
			if err = errors.Join(err, f.Close()); err != nil {
				return fmt.Errorf("artifact %q: %w", a.Name, err)
			}
			m.Artifacts = append(m.Artifacts, a)
		}
		slices.SortFunc(m.Artifacts, func(a, b manifest.Artifact) int { return cmp.Compare(a.Name, b.Name) })
		return nil
	}
}

// Uses says which artifacts a tool uses, by their names. An artifact with bind watch that
// no tool uses concerns the whole server; others that no tool uses are of no use.
func Uses(tool string, artifacts ...string) SnapshotOption {
	return func(_ context.Context, m *manifest.Manifest) error {
		i := slices.IndexFunc(m.Tools, func(t manifest.Tool) bool { return t.Name == tool })
		if i < 0 {
			return fmt.Errorf("Uses: the server has no tool %q", tool)
		}
		m.Tools[i].Artifacts = append(m.Tools[i].Artifacts, artifacts...)
		slices.Sort(m.Tools[i].Artifacts)
		return nil
	}
}

// Snapshot makes a manifest of an inventory and the running executable as they are now, to
// be signed: sequence 1, valid from now on for [manifest.MaxLifetime]. Whoever signs
// changes that. Tools without a version of their own get the server's if it is semantic. A
// snapshot approves whatever it finds: review it, and make it where the release is built,
// not where it runs.
func Snapshot(ctx context.Context, inv *mcpsec.Inventory, opts ...SnapshotOption) (*manifest.Manifest, error) {
	if inv == nil || inv.Server == nil {
		return nil, errors.New("attest: Snapshot needs an inventory with a server")
	}
	now := time.Now().UTC().Truncate(time.Second)
	m := &manifest.Manifest{
		ServerName: inv.Server.Name, ServerVersion: inv.Server.Version,
		Sequence: 1, IssuedAt: now, NotBefore: now, Expires: now.Add(manifest.MaxLifetime),
		Closed: true, DefinitionScheme: manifest.DefinitionScheme,
		InstructionsSHA256: hexSum(inv.Instructions),
		Tools:              []manifest.Tool{}, Artifacts: []manifest.Artifact{},
	}
	var faults []error
	var err error
	m.ServerSHA256, err = digestServer(inv.Server)
	faults = append(faults, err)
	for _, t := range inv.Tools {
		digest, err := Digest(t.Definition)
		if err != nil {
			faults = append(faults, fmt.Errorf("tool %q: %w", t.Name, err))
			continue
		}
		m.Tools = append(m.Tools, manifest.Tool{Name: t.Name, Version: cmp.Or(t.Version, inv.Server.Version), SHA256: digest, Artifacts: []string{}})
	}
	slices.SortFunc(m.Tools, func(a, b manifest.Tool) int { return cmp.Compare(a.Name, b.Name) })
	for _, kind := range []struct {
		name string
		to   *[]manifest.Definition
		list []item
	}{
		{"prompt", &m.Prompts, promptItems(inv.Prompts)},
		{"resource", &m.Resources, resourceItems(inv.Resources)},
		{"resource template", &m.ResourceTemplates, templateItems(inv.Templates)},
	} {
		var err error
		if *kind.to, err = define(kind.name, kind.list); err != nil {
			faults = append(faults, err)
		}
	}
	exe, err := executableNow(ctx)
	faults = append(faults, err)
	m.Executables = []manifest.Executable{exe}
	for _, o := range opts {
		faults = append(faults, o(ctx, m))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, fmt.Errorf("attest: %w", err)
	}
	dropVersions(m)
	if err := m.Validate(); err != nil {
		return nil, fmt.Errorf("attest: %w", err)
	}
	return m, nil
}

// define makes the entries of a list of definitions.
func define(kind string, list []item) (defs []manifest.Definition, err error) {
	defs = []manifest.Definition{}
	var faults []error
	for _, e := range list {
		wire, err := marshal(e.live)
		digest := ""
		if err == nil {
			digest, err = DigestJSON(wire)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("%s %q: %w", kind, e.name, err))
			continue
		}
		defs = append(defs, manifest.Definition{Name: e.name, SHA256: digest})
	}
	slices.SortFunc(defs, func(a, b manifest.Definition) int { return cmp.Compare(a.Name, b.Name) })
	return defs, errors.Join(faults...)
}

// executableNow describes the running program.
func executableNow(ctx context.Context) (manifest.Executable, error) {
	digest, size, err := measureProgram(ctx)
	return manifest.Executable{Platform: platform, SHA256: digest, Size: size, GoBuild: buildInfo()}, err
}

// dropVersions takes the server's version from tools that got it, if it is not semantic.
func dropVersions(m *manifest.Manifest) {
	if m.Validate() == nil {
		return
	}
	for i := range m.Tools {
		if m.Tools[i].Version == m.ServerVersion {
			m.Tools[i].Version = ""
		}
	}
}

// WriteFile writes a manifest, not signed, as its statement: what [Unsigned] reads and what
// is signed. The file appears complete or not at all, and replaces one of that name.
func WriteFile(path string, m *manifest.Manifest) error {
	statement, err := m.Encode()
	if err != nil {
		return err
	}
	if err := regular.Replace(path, statement, 0o644); err != nil {
		return fmt.Errorf("manifest: %w", err)
	}
	return nil
}

// Capture returns a control that takes the place of an [Attestor] where a manifest
// is made: [mcpsec.Guard.Install] hands save a [Snapshot] of the server and fails
// with its error. Such a guard refuses every call, so that a server that was left
// in this state serves nobody; mcpsec.New refuses it in Observe mode and with FailOpen.
func Capture(save func(*manifest.Manifest) error, opts ...SnapshotOption) mcpsec.Control {
	return &capture{save, opts}
}

type capture struct {
	save func(*manifest.Manifest) error
	opts []SnapshotOption
}

var (
	_ mcpsec.Declarer = (*capture)(nil)
	_ mcpsec.Checker  = (*capture)(nil)
	_ mcpsec.Sealer   = (*capture)(nil)
)

// Declare says what an Attestor says, and that nobody is served in any mode.
func (c *capture) Declare() mcpsec.Declaration {
	d := (*Attestor)(nil).Declare()
	d.Strict = true
	return d
}

func (c *capture) Check() error {
	if c.save == nil || slices.ContainsFunc(c.opts, func(o SnapshotOption) bool { return o == nil }) {
		return errors.New("attest: Capture: nil function or option")
	}
	return nil
}

func (c *capture) Seal(ctx context.Context, inv *mcpsec.Inventory) error {
	m, err := Snapshot(ctx, inv, c.opts...)
	if err != nil {
		return err
	}
	return c.save(m)
}

func (c *capture) Wrap(mcpsec.Handler) mcpsec.Handler {
	return func(context.Context, *mcpsec.Call) (mcp.Result, error) {
		return nil, codeCapturing.Deny("this server only makes a manifest")
	}
}
