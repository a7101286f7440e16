package lock

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// One server must not fill the file of what waits, so that no other can be reviewed.
func TestPendingHasRoomForOthers(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	change := func(server string, i, size int) Change {
		d, err := Tool.show(fmt.Appendf(nil, `{"name":"t%d","description":%q}`, i, strings.Repeat("x", size)))
		if err != nil {
			t.Fatal(err)
		}
		return Change{Server: server, Kind: Tool, Name: d.name, New: &Definition{SHA256: d.sha256, How: refused, At: time.Now().UTC().Truncate(time.Second), Text: json.RawMessage(d.text)}}
	}
	var changes []Change
	for i := range 20 {
		changes = append(changes, change("evil", i, 255<<10))
	}
	if err := Submit(t.Context(), u.lock, changes...); err == nil {
		t.Error("one server may keep 5 MB of what it shows")
	}
	if err := Submit(t.Context(), u.lock, change("mail", 0, 200)); err != nil {
		t.Errorf("nothing of another server can wait: %v", err)
	}
}

// How long a text is when it is indented is known without doing it.
func TestIndentedLength(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`{}`, `[]`, `{"a":[]}`, `[1,[2,[{}]],"x"]`, `{"a":"[{,:}]","b":"\"[","c":"\\"}`, `{"\"{":{"a":{"b":[1,2,3]}}}`,
		strings.Repeat("[", 50) + strings.Repeat("0,", 1000) + "0" + strings.Repeat("]", 50),
	} {
		var out bytes.Buffer
		if err := json.Indent(&out, []byte(text), "", "  "); err != nil {
			t.Fatal(err)
		}
		if got := indented([]byte(text)); got != out.Len() {
			t.Errorf("%.60s: %d, want %d", text, got, out.Len())
		}
	}
}

// Many definitions that grow when they are indented are refused before they do.
func TestGrowthIsBoundedBeforehand(t *testing.T) { //nolint:paralleltest // AllocsPerRun counts the whole process
	deep := `{"name":"x","x":` + strings.Repeat("[", 50) + strings.Repeat("0,", 100_000) + "0" + strings.Repeat("]", 50) + "}"
	server := &Server{Tools: map[string]*Definition{}}
	for i := range 100 {
		server.Tools[fmt.Sprint(i)] = &Definition{Text: json.RawMessage(deep)}
	}
	file := &File{Servers: map[string]*Server{"evil": server}} // 1 GB
	allocated := testing.AllocsPerRun(1, func() {
		if _, err := file.Encode(); !errors.Is(err, errTooLarge) {
			t.Error(err)
		}
	})
	if allocated > 10 {
		t.Errorf("%v allocations for a refusal", allocated)
	}
}
