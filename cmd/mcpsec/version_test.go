package main

import (
	"runtime/debug"
	"strings"
	"testing"
)

func TestVersionSaysWhatTheBinaryRecords(t *testing.T) {
	t.Parallel()
	info := &debug.BuildInfo{
		GoVersion: "go1.26.8",
		Main:      debug.Module{Path: "github.com/mcpsec/mcpsec-go", Version: "v1.2.3"},
		Deps:      []*debug.Module{{Path: "example.com/other", Version: "v9.0.0"}, {Path: sdkModule, Version: "v1.8.0"}},
		Settings: []debug.BuildSetting{
			{Key: "vcs.revision", Value: "abc123"},
			{Key: "vcs.time", Value: "2026-11-22T00:00:00Z"},
			{Key: "vcs.modified", Value: "true"},
		},
	}
	got := newBuild(info).String()
	for _, want := range []string{"v1.2.3\n", "abc123 of 2026-11-22T00:00:00Z, modified\n", "go1.26.8\n", "v1.8.0\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
}

func TestVersionShowsThatTheSDKWasReplaced(t *testing.T) {
	t.Parallel()
	for want, r := range map[string]*debug.Module{
		"v1.8.0 replaced by example.com/fork v1.8.1": {Path: "example.com/fork", Version: "v1.8.1"},
		"v1.8.0 replaced by ../fork":                 {Path: "../fork"},
	} {
		info := &debug.BuildInfo{Deps: []*debug.Module{{Path: sdkModule, Version: "v1.8.0", Replace: r}}}
		if got := newBuild(info).SDK; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestVersionOfABinaryThatKnowsNothing(t *testing.T) {
	t.Parallel()
	if got := newBuild(&debug.BuildInfo{}).String(); strings.Count(got, "unknown") != 3 {
		t.Errorf("version, revision and SDK should be unknown:\n%s", got)
	}
}
