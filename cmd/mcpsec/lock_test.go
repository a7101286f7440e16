package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/attest/lock"
)

// What a person answers on a terminal decides about each change, and the end of the
// answers about none.
func TestInterview(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, answers     string
		approved, waiting int
		fails             bool
	}{
		{"all yes", "y\nyes\nY \n", 3, 0, false},
		{"one each", "y\nn\nl\n", 1, 1, true},
		{"quit", "y\nq\n", 1, 2, true},
		{"the input ends", "y\n", 1, 2, true},
		{"nothing", "", 0, 3, true},
		{"what is no answer is asked again", "maybe\n\ny\nno\nn\n", 1, 0, false},
	} {
		path := filepath.Join(t.TempDir(), "mcpsec.lock")
		var changes []lock.Change
		for _, name := range []string{"a", "b", "c"} {
			changes = append(changes, newTool(t, name))
		}
		if err := lock.Submit(t.Context(), path, changes...); err != nil {
			t.Fatal(err)
		}
		waiting, err := lock.Pending(path)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		err = interview(t.Context(), strings.NewReader(test.answers), &out, path, lock.Reviewed, waiting, newLockReport(&lock.File{}, waiting))
		if (err != nil) != test.fails {
			t.Errorf("%s: %v", test.name, err)
		}
		got := 0
		if file, err := lock.Load(path); err == nil {
			got = len(file.Servers["files"].Tools)
		}
		left, err := lock.Pending(path)
		if err != nil || got != test.approved || len(left) != test.waiting {
			t.Errorf("%s: %d approved, %d wait, %v", test.name, got, len(left), err)
		}
		if !strings.Contains(out.String(), `server files: tool "a" is new`) {
			t.Errorf("%s: shown was %s", test.name, out.String())
		}
	}
}

// newTool is a change that the definition of a tool brings.
func newTool(t *testing.T, name string) lock.Change {
	t.Helper()
	text := fmt.Sprintf(`{"inputSchema":{"type":"object"},"name":%q}`, name) // canonical as it is
	hash := sha256.Sum256([]byte(text))
	return lock.Change{Server: "files", Kind: lock.Tool, Name: name, New: &lock.Definition{
		SHA256: hex.EncodeToString(hash[:]), At: time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC), Text: json.RawMessage(text),
	}}
}
