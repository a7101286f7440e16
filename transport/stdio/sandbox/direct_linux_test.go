//go:build linux && (amd64 || arm64)

package sandbox

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/mcpsec/mcpsec-go/internal/test/asuser"
)

// shell is a command that runs a line of shell inside.
func shell(text string) *Command {
	return &Command{
		Path: "/bin/sh", Args: []string{"sh", "-c", text}, Env: []string{"PATH=/usr/bin:/bin", "HOME=/tmp"},
		Profile: Profile{System: true},
	}
}

// output runs a command to its end and returns what it wrote to both outputs.
func output(t *testing.T, c *Command) (string, *os.ProcessState, *Report) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	c.Stdout, c.Stderr = w, w
	p, err := Start(t.Context(), c)
	_ = w.Close()
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	state, err := p.Wait()
	if err != nil {
		t.Fatal(err)
	}
	return string(text), state, p.Report()
}

func TestShellInside(t *testing.T) {
	t.Parallel()
	for _, user := range []string{"root", "ordinary"} {
		t.Run(user, func(t *testing.T) {
			t.Parallel()
			if user == "ordinary" && asuser.Again(t) {
				return
			}
			out, state, report := output(t, shell("id; echo pid $$; ls /proc | grep '^[0-9]'; grep -c . /proc/self/mountinfo; ls -l /; hostname; cat /proc/self/status | grep -E 'Cap|NoNew|Seccomp'"))
			text, err := json.MarshalIndent(report, "", " ")
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%s\n%v\n%s", out, state, text)
			if !strings.Contains(out, "uid=1000(sandbox)") || !strings.Contains(out, "pid 1\n") || report.Tier != T3 {
				t.Error("not the first process of its namespaces")
			}
			for _, f := range report.Controls {
				optional := slices.Contains([]Control{Cgroup, Artifact, Speculation, CoreScheduling}, f.Control)
				if !f.InForce && !optional {
					t.Errorf("%s is not in force: %s", f.Control, f.Detail)
				}
			}
		})
	}
}

var _ = context.Background
