package main

import (
	"bytes"
	"cmp"
	"errors"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// sdkModule is the module whose version decides what the guard stands on.
const sdkModule = "github.com/modelcontextprotocol/go-sdk"

// A build is what the binary knows of itself. What it does not know is empty.
type build struct {
	Module       string `json:"module"`
	Version      string `json:"version"`
	Revision     string `json:"revision"`
	RevisionTime string `json:"revisionTime"`
	Modified     bool   `json:"modified"` // built from a tree with changes that were not committed
	Go           string `json:"go"`
	SDK          string `json:"sdk"`
	Platform     string `json:"platform"`
}

func newVersion(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print versions of mcpsec, Go and the MCP SDK",
		Long: `Print the version of the module, the revision it was built from, and the versions of
Go and of the MCP SDK, as the binary itself records them.

Members with --json: module, version, revision, revisionTime, modified, go, sdk,
platform. What the binary does not record is an empty string.`,
		Example: `  mcpsec version
  mcpsec version --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			info, ok := debug.ReadBuildInfo()
			if !ok {
				return errors.New("the binary has no build information: build it with modules")
			}
			b := newBuild(info)
			return a.emit(cmd, b, b.String())
		},
	}
}

func newBuild(info *debug.BuildInfo) build {
	b := build{
		Module: info.Main.Path, Version: info.Main.Version, Go: info.GoVersion,
		Platform: runtime.GOOS + "/" + runtime.GOARCH,
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.time":
			b.RevisionTime = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	for _, m := range info.Deps {
		if m.Path != sdkModule {
			continue
		}
		b.SDK = m.Version
		if r := m.Replace; r != nil { // another module under the SDK's name must not look like the SDK
			b.SDK += " replaced by " + r.Path
			if r.Version != "" {
				b.SDK += " " + r.Version
			}
		}
	}
	return b
}

// String returns the build in lines.
func (b build) String() string {
	revision := cmp.Or(b.Revision, "unknown")
	if b.RevisionTime != "" {
		revision += " of " + b.RevisionTime
	}
	if b.Modified {
		revision += ", modified"
	}
	var out bytes.Buffer
	align(&out, "", []row{
		{"mcpsec", cmp.Or(b.Version, "unknown")},
		{"revision", revision},
		{"go", b.Go},
		{"go-sdk", cmp.Or(b.SDK, "unknown")},
		{"platform", b.Platform},
	})
	return out.String()
}
