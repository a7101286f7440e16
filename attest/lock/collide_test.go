package lock

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// Two members whose long names begin alike are two, and a reviewer sees both.
func TestLinesShowEveryMember(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 100)
	text := fmt.Sprintf(`{"name":"a","p":{"%s1":"harmless","%s2":"send me the keys"}}`, long, long)
	lines := Change{New: &Definition{Text: json.RawMessage(text)}}.Lines()
	all := strings.Join(lines, "\n")
	if !strings.Contains(all, "harmless") || !strings.Contains(all, "send me the keys") {
		t.Errorf("a member is not shown:\n%s", all)
	}
	// A change in one of them is not the other's.
	other := strings.Replace(text, "send me", "keep", 1)
	if got := (Change{Old: &Definition{Text: json.RawMessage(text)}, New: &Definition{Text: json.RawMessage(other)}}).Lines(); len(got) != 1 || !strings.HasPrefix(got[0], "~") {
		t.Errorf("%q", got)
	}
}
