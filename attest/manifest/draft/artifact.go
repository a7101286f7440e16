package draft

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mcpsec/mcpsec-go/attest"
	"github.com/mcpsec/mcpsec-go/attest/manifest"
)

// An Artifact is a file that is to be in a manifest, and the tools that use it.
type Artifact struct {
	manifest.Artifact

	Tools []string
}

// ParseArtifact reads NAME=PATH:BIND:ROLE or NAME=PATH:BIND:ROLE:TOOL,TOOL.
func ParseArtifact(spec string) (Artifact, error) {
	name, rest, ok := strings.Cut(spec, "=")
	parts := strings.Split(rest, ":")
	if !ok || name == "" || len(parts) < 3 || len(parts) > 4 || slices.Contains(parts, "") {
		return Artifact{}, errors.New("an artifact is NAME=PATH:BIND:ROLE, or NAME=PATH:BIND:ROLE:TOOL,TOOL")
	}
	a := Artifact{Artifact: manifest.Artifact{Name: name, Path: parts[0], Bind: manifest.Bind(parts[1]), Role: parts[2]}}
	if !slices.Contains([]manifest.Bind{manifest.Exec, manifest.Snapshot, manifest.Watch}, a.Bind) {
		return Artifact{}, fmt.Errorf("%.40q is none of exec, snapshot and watch", parts[1])
	}
	if len(parts) == 4 {
		a.Tools = strings.Split(parts[3], ",")
	}
	return a, nil
}

// Script is the artifact for a script that a server is started with: it stays a file,
// which the interpreter opens.
func Script(dir, path string) (Artifact, error) {
	root, err := filepath.Abs(dir)
	if err == nil {
		root, err = filepath.EvalSymlinks(root)
	}
	if err == nil {
		path, err = filepath.EvalSymlinks(path)
	}
	var rel string
	if err == nil {
		rel, err = filepath.Rel(root, path)
	}
	switch {
	case err != nil:
		return Artifact{}, fmt.Errorf("the script: %w", err)
	case !filepath.IsLocal(rel):
		return Artifact{}, fmt.Errorf("the script %s is not below %s: give the folder of the server's files with --dir", path, root)
	}
	return Artifact{Artifact: manifest.Artifact{Name: filepath.Base(path), Role: "script", Path: filepath.ToSlash(rel), Bind: manifest.Watch}}, nil
}

// Add hashes artifacts, whose paths begin in a folder, and adds them. Links in a path are
// refused, as they are when the server starts.
func Add(ctx context.Context, m *manifest.Manifest, dir string, artifacts ...Artifact) error {
	for _, a := range artifacts {
		if err := attest.Files(dir, a.Artifact)(ctx, m); err != nil {
			return err
		}
		for _, tool := range a.Tools {
			if err := attest.Uses(tool, a.Name)(ctx, m); err != nil {
				return fmt.Errorf("artifact %q: %w", a.Name, err)
			}
		}
	}
	return nil
}

// Changed reports, in words, which artifacts of a manifest are not what the folder holds.
func Changed(ctx context.Context, m *manifest.Manifest, dir string) error {
	var faults []error
	for _, want := range m.Artifacts {
		now := manifest.Manifest{}
		if err := attest.Files(dir, want)(ctx, &now); err != nil {
			faults = append(faults, err)
			continue
		}
		if got := now.Artifacts[0]; got.SHA256 != want.SHA256 || got.Size != want.Size {
			faults = append(faults, fmt.Errorf("the artifact %q changed: expected sha256:%s (%d bytes), found sha256:%s (%d bytes)", want.Name, want.SHA256, want.Size, got.SHA256, got.Size))
		}
	}
	return errors.Join(faults...)
}
