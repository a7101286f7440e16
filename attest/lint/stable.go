package lint

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// icons finds icons that are fetched from elsewhere when they are shown.
func (l *linter) icons(where string, fields map[string]any) {
	icons, _ := fields["icons"].([]any)
	for i, e := range icons {
		icon, _ := e.(map[string]any)
		if src, ok := icon["src"].(string); !ok || !strings.HasPrefix(strings.ToLower(src), "data:") {
			l.add(Warning, fmt.Sprintf("%s: icons[%d]", where, i), RemoteIcon,
				"the picture is fetched from elsewhere, and can change after it was signed", "use a data: URI")
		}
	}
}

// annotations finds hints that cannot both be true.
func (l *linter) annotations(where string, fields map[string]any) {
	hints, _ := fields["annotations"].(map[string]any)
	if hints["readOnlyHint"] == true && hints["destructiveHint"] == true {
		l.add(Error, where+": annotations", Contradiction, "readOnlyHint and destructiveHint are both true, and clients believe one of them", "remove the one that is wrong")
	}
}

// volatileNames are words in names of metadata that belongs to one listing.
var volatileNames = []string{"timestamp", "nonce", "requestid", "traceparent", "tracestate", "traceid", "sessionid", "etag", "generatedat", "fetchedat", "updatedat", "expiresat"}

var uuid = regexp.MustCompile(`^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$`)

// meta finds metadata that will be another in the next listing, so that no pin holds.
func (l *linter) meta(where, at string, meta map[string]any) {
	for _, name := range slices.Sorted(maps.Keys(meta)) {
		below := at + "." + visible(name)
		if inner, ok := meta[name].(map[string]any); ok {
			l.meta(where, below, inner)
			continue
		}
		if volatile(name, meta[name]) {
			l.add(Warning, where+": "+below, VolatileMeta, "it looks like something that changes from listing to listing, and the digest covers it", "leave it out of the definition")
		}
	}
}

func volatile(name string, value any) bool {
	plain := strings.ToLower(strings.NewReplacer("_", "", "-", "", ".", "", "/", "").Replace(name))
	if slices.ContainsFunc(volatileNames, func(word string) bool { return strings.HasSuffix(plain, word) }) {
		return true
	}
	switch v := value.(type) {
	case string:
		_, err := time.Parse(time.RFC3339, v)
		return err == nil || uuid.MatchString(v)
	case json.Number:
		n, err := v.Int64()
		return err == nil && n > 1_000_000_000 && n < 100_000_000_000_000 // seconds or milliseconds since 1970
	}
	return false
}
