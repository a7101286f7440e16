package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mcpsec/mcpsec-go/attest"
	"github.com/mcpsec/mcpsec-go/attest/manifest"
	"github.com/mcpsec/mcpsec-go/attest/manifest/draft"
	"github.com/mcpsec/mcpsec-go/attest/sbom"
	"github.com/mcpsec/mcpsec-go/internal/regular"
)

// complete adds what the server does not show.
func (d *drafting) complete(ctx context.Context, r *reviewed, artifacts []draft.Artifact) (*manifestReport, error) {
	m, report := r.manifest, &manifestReport{File: d.out, Changes: []string{}, Findings: []remark{}}
	for _, pair := range d.platforms {
		name, path, _ := strings.Cut(pair, "=")
		e, err := draft.Executable(ctx, name, path)
		if err != nil {
			return nil, fmt.Errorf("--platform %s: %w", name, err)
		}
		m.Executables = append(m.Executables, e)
	}
	slices.SortFunc(m.Executables, func(a, b manifest.Executable) int { return cmp.Compare(a.Platform, b.Platform) })
	if err := draft.Add(ctx, m, d.dir, artifacts...); err != nil {
		return nil, err
	}
	for _, pair := range d.versions {
		name, version, _ := strings.Cut(pair, "=")
		if err := draft.SetVersion(m, name, version); err != nil {
			return nil, err
		}
	}
	if d.policy != "" {
		text, err := regular.ReadFile(d.policy, attest.MaxPolicy)
		if err != nil {
			return nil, fmt.Errorf("--policy: %w", err)
		}
		m.PolicySHA256 = manifest.Digest(text)
	}
	if err := d.pinBill(r, report); err != nil {
		return nil, err
	}
	if err := d.follow(ctx, m, report); err != nil {
		return nil, err
	}
	var err error
	if r.statement, err = m.Encode(); err != nil {
		return nil, err
	}
	report.Manifest, report.Digest = m, manifest.Digest(r.statement)
	return report, nil
}

func (d *drafting) follow(ctx context.Context, m *manifest.Manifest, report *manifestReport) error {
	if d.previous == "" {
		return nil
	}
	before, err := readReviewed(ctx, d.previous)
	if err != nil {
		return err
	}
	if _, err := draft.Follow(m, before.statement); err != nil {
		return err
	}
	if err := m.Validate(); err != nil { // Diff is of valid manifests
		return err
	}
	for _, c := range manifest.Diff(before.manifest, m) {
		report.Changes = append(report.Changes, c.String())
	}
	return nil
}

// pinBill adds the bill of materials, which must be that of the program.
func (d *drafting) pinBill(r *reviewed, report *manifestReport) error {
	if d.bill == "" {
		return nil
	}
	data, err := regular.ReadFile(d.bill, sbom.MaxSize)
	if err != nil {
		return fmt.Errorf("--sbom: %w", err)
	}
	bill, err := sbom.Decode(data)
	if err != nil {
		return fmt.Errorf("--sbom %s: %w", d.bill, err)
	}
	r.manifest.SBOM = sbom.Pin(data)
	if r.program == "" {
		report.Findings = append(report.Findings, remark{"warning", "sbom_not_compared", "sbom", "there is no executable here to compare it with", "compare it with mcpsec sbom --check"})
		return nil
	}
	program, err := sbom.File(r.program)
	if err != nil {
		return fmt.Errorf("--sbom: %w", err)
	}
	return sbom.Compare(bill, program)
}

// write writes the definitions first: a manifest is not there without them.
func (d *drafting) write(r *reviewed, now time.Time, report *manifestReport) error {
	if r.definitions != nil {
		texts, err := draft.Encode(r.definitions, now)
		if err != nil {
			return err
		}
		report.Definitions = companion(d.out)
		if err := regular.Replace(report.Definitions, texts, 0o644); err != nil {
			return fmt.Errorf("writing the definitions: %w", err)
		}
	}
	if err := regular.Replace(d.out, r.statement, 0o644); err != nil {
		return fmt.Errorf("writing the manifest: %w", err)
	}
	report.Written = true
	return nil
}
