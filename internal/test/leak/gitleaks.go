package leak

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Gitleaks runs the detector gitleaks, with the rules it comes with, on a file or
// folder. It knows nothing of this library. What it takes for a secret and public says is
// none, such as the id of an access key, is no finding. An error is that it could not look.
func Gitleaks(ctx context.Context, program, path string, public func(text string) bool) ([]Finding, error) {
	folder, err := os.MkdirTemp("", "gitleaks")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	report := filepath.Join(folder, "report.json")
	cmd := exec.CommandContext(ctx, program, "dir", "--no-banner", "--no-color", "--exit-code=0", //nolint:gosec // the program is the caller's
		"--ignore-gitleaks-allow", "--gitleaks-ignore-path="+folder, "--report-format=json", "--report-path="+report, path)
	cmd.Env, cmd.Dir = []string{"HOME=" + folder}, folder // no configuration but its own
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("leak: gitleaks: %w: %s", err, out)
	}
	raw, err := os.ReadFile(report)
	if err != nil {
		return nil, fmt.Errorf("leak: gitleaks wrote no report: %w", err)
	}
	var hits []struct {
		RuleID    string `json:"RuleID"`
		Secret    string `json:"Secret"`
		File      string `json:"File"`
		StartLine int    `json:"StartLine"`
	}
	if err := json.Unmarshal(raw, &hits); err != nil {
		return nil, fmt.Errorf("leak: the report of gitleaks: %w", err)
	}
	found := make([]Finding, 0, len(hits))
	for _, h := range hits {
		if public != nil && public(h.Secret) {
			continue
		}
		found = append(found, Finding{Place: fmt.Sprintf("%s:%d", h.File, h.StartLine), Secret: "looks like " + h.RuleID, Form: "by gitleaks"})
	}
	return found, nil
}
