package manifest

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"runtime/debug"
	"slices"
	"strings"
)

// Build describes a Go program by the build information in it; nil if that names no
// program.
func Build(info *debug.BuildInfo) *GoBuild {
	if info == nil || info.Main.Path == "" && info.Path == "" {
		return nil
	}
	b := &GoBuild{Main: cmp.Or(info.Main.Path, info.Path), Version: info.Main.Version, Sum: info.Main.Sum, GoVersion: info.GoVersion}
	lines := make([]string, 0, len(info.Settings))
	for _, s := range info.Settings {
		lines = append(lines, s.Key+"="+s.Value+"\n")
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	slices.Sort(lines)
	sum := sha256.Sum256([]byte(strings.Join(lines, "")))
	b.SettingsSHA256 = hex.EncodeToString(sum[:])
	return b
}
