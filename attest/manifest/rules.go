package manifest

import (
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/mcpsec/mcpsec-go/internal/printable"
)

// Limits of what stands in a manifest.
const (
	maxToolName = 128 // characters, by the specification
	maxName     = 256 // of a server, a version, an artifact, in bytes
	maxURI      = 2048
	maxPath     = 1024
	maxNumber   = 1 << 53 // beyond it, JSON readers disagree
	maxExcerpt  = 80
)

func isDigest(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}

const (
	digits  = "0123456789"
	lower   = "abcdefghijklmnopqrstuvwxyz"
	letters = lower + "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
)

// only reports whether s has 1 to limit bytes, all of them of the set.
func only(s, set string, limit int) bool {
	return s != "" && len(s) <= limit && strings.Trim(s, set) == ""
}

// IsToolName reports whether a name is one that MCP recommends (SEP-986): 1 to 128 ASCII
// letters, digits, underscores, hyphens and dots.
func IsToolName(s string) bool { return only(s, letters+digits+"_-.", maxToolName) }

// isWord is for roles and the like.
func isWord(s string) bool { return only(s, lower+digits+"-", 64) }

// isText reports whether s has at most limit bytes and shows to a reader all that is in it.
func isText(s string, limit int) bool {
	return len(s) <= limit && utf8.ValidString(s) && !strings.ContainsFunc(s, printable.Hidden)
}

// isName is for what people name.
func isName(s string, limit int) bool {
	return s != "" && isText(s, limit) && strings.TrimSpace(s) == s
}

// isPath reports whether s is a path below a folder that means the same on every system.
func isPath(s string) bool {
	return isName(s, maxPath) && !path.IsAbs(s) && path.Clean(s) == s && s != "." && s != ".." &&
		!strings.HasPrefix(s, "../") && !strings.ContainsAny(s, `\:`) &&
		!strings.Contains(s+"/", "./") && !strings.Contains(s, " /") // Windows drops dots and spaces at the end of a name
}

func isPlatform(s string) bool {
	system, arch, ok := strings.Cut(s, "/")
	return ok && only(system, lower+digits, 32) && only(arch, lower+digits, 32)
}

// quote puts what a stranger wrote into an error.
func quote(s string) string {
	if len(s) > maxExcerpt {
		s = s[:maxExcerpt] + "..."
	}
	return string(printable.AppendString(nil, s))
}

func isBind(b Bind) bool { return slices.Contains([]Bind{Exec, Snapshot, Watch}, b) }

func nth(list string, i int) string { return list + "[" + strconv.Itoa(i) + "]" }
