package attest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"time"

	"github.com/mcpsec/mcpsec-go/attest/internal/state"
	"github.com/mcpsec/mcpsec-go/attest/manifest"
)

// clockSlack is how far the clock here and that of a timestamp authority may differ.
const clockSlack = 5 * time.Minute

// admissible reports everything that speaks against the manifest itself at a time.
func (a *Attestor) admissible(now time.Time) error {
	m := a.source.manifest
	faults := []error{m.At(now, 0)}
	for _, s := range a.source.signers {
		switch {
		case s.Time.IsZero():
		case m.IssuedAt.After(s.Time.Add(clockSlack)):
			faults = append(faults, fmt.Errorf("the manifest says it was issued at %s, and was signed at %s", m.IssuedAt, s.Time))
		case now.Before(s.Time.Add(-clockSlack)):
			faults = append(faults, fmt.Errorf("the clock says %s, and the manifest was signed at %s: set the clock", now, s.Time))
		}
	}
	if m.Sequence < a.minimum {
		faults = append(faults, fmt.Errorf("the manifest has sequence %d, the minimum is %d: it was replaced by a newer one", m.Sequence, a.minimum))
	}
	switch {
	case m.PolicySHA256 == "" && a.policy != nil:
		faults = append(faults, errors.New("the manifest pins no policy, and one was given: sign one with policySha256"))
	case m.PolicySHA256 != "" && a.policy == nil:
		faults = append(faults, errors.New("the manifest pins a policy: give it to New with Policy or PolicyFile"))
	case m.PolicySHA256 != "" && *a.policy != m.PolicySHA256:
		faults = append(faults, fmt.Errorf("the policy is another one: expected sha256:%s, found sha256:%s", m.PolicySHA256, *a.policy))
	}
	if len(m.Artifacts) > 0 && a.dir == "" {
		faults = append(faults, errors.New("the manifest has artifacts: give New their folder with Dir"))
	}
	if _, err := a.executable(); err != nil {
		faults = append(faults, err)
	}
	for _, rule := range a.rules {
		faults = append(faults, apply(rule, m))
	}
	return errors.Join(faults...)
}

// apply runs an operator's rule, whose panic is a no.
func apply(rule func(*manifest.Manifest) error, m *manifest.Manifest) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("a rule given with Accept panicked: %v", p)
		}
	}()
	if err := rule(m); err != nil {
		return fmt.Errorf("the manifest is not acceptable: %w", err)
	}
	return nil
}

// platform is what this program was built for.
const platform = runtime.GOOS + "/" + runtime.GOARCH

// executable returns the entry for the running program; nil if there may be none.
func (a *Attestor) executable() (*manifest.Executable, error) {
	list := a.source.manifest.Executables
	if i := slices.IndexFunc(list, func(e manifest.Executable) bool { return e.Platform == platform }); i >= 0 {
		return &list[i], nil
	}
	switch {
	case len(list) > 0:
		return nil, fmt.Errorf("the manifest has executables, and none for %s", platform)
	case a.allowUnpinned:
		return nil, nil
	}
	return nil, errors.New("the manifest pins no executable: add one, or accept it with AllowUnpinnedExecutable")
}

// recall refuses a manifest that is older than one that was accepted before, and says so
// if there was none.
func (a *Attestor) recall(ctx context.Context) error {
	if a.state == "" {
		return nil
	}
	store, err := state.Open(a.state, a.stateKey)
	if err != nil {
		return err
	}
	known, err := store.Judge(ctx, a.seen(), a.minimum)
	if err == nil && !known {
		slog.Warn("mcpsec attest: no manifest of this server has been accepted here before; if one has, somebody removed the state: compare the sequence with the latest that was signed",
			"server", a.source.manifest.ServerName, "sequence", a.source.manifest.Sequence, "state", a.state)
	}
	return err
}

// remember does the same, and keeps the manifest in mind.
func (a *Attestor) remember(ctx context.Context) error {
	if a.state == "" {
		return nil
	}
	store, err := state.Open(a.state, a.stateKey)
	if err != nil {
		return err
	}
	return store.Accept(ctx, a.seen(), a.minimum)
}

// seen is what is remembered of the manifest.
func (a *Attestor) seen() state.Seen {
	m := a.source.manifest
	seen := state.Seen{Server: m.ServerName, Sequence: m.Sequence, Digest: a.source.digest}
	for _, s := range a.source.signers {
		if seen.Log == "" {
			seen.Log = s.Log
		}
		if s.Time.After(seen.Time) {
			seen.Time = s.Time
		}
	}
	return seen
}
