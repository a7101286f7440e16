package attest_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/attest"
	"github.com/mcpsec/mcpsec-go/audit"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// TestARefusedStartIsOnRecord: what is refused before there is a call leaves an audit
// record as well, whoever finds it: the manifest itself, or the comparison with the server.
func TestARefusedStartIsOnRecord(t *testing.T) {
	t.Parallel()
	maker, other := newMaker(t), newMaker(t)
	good := pins(t, "", noteTool())
	expired := *good
	expired.IssuedAt, expired.NotBefore, expired.Expires = expired.IssuedAt.Add(-48*time.Hour), expired.NotBefore.Add(-48*time.Hour), time.Now().UTC().Truncate(time.Second).Add(-24*time.Hour)
	garbage := filepath.Join(t.TempDir(), "garbage")
	if err := os.WriteFile(garbage, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		control mcpsec.Control
		tools   []*mcp.Tool
		want    string
	}{
		"signed by another key":  {attest.New(attest.Manifest(other.sign(good), attest.Key(maker.public))), []*mcp.Tool{noteTool()}, "no trusted signature"},
		"expired":                {attest.New(attest.Manifest(maker.sign(&expired), attest.Key(maker.public))), []*mcp.Tool{noteTool()}, "expired"},
		"not a manifest":         {attest.New(attest.Manifest(garbage, attest.Key(maker.public))), []*mcp.Tool{noteTool()}, "garbage"},
		"older than the minimum": {attest.New(attest.Manifest(maker.sign(good), attest.Key(maker.public)), attest.MinSequence(2)), []*mcp.Tool{noteTool()}, "sequence"},
		"another definition":     {attest.New(attest.Manifest(maker.sign(good), attest.Key(maker.public))), []*mcp.Tool{{Name: "read_note", Description: "other"}}, `tool "read_note" changed`},
		"a tool nobody reviewed": {attest.New(attest.Manifest(maker.sign(good), attest.Key(maker.public))), []*mcp.Tool{noteTool(), {Name: "extra"}}, "extra"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := &lab{t: t}
			server := mcp.NewServer(&mcp.Implementation{Name: "notes", Version: "1.2.0"}, nil)
			guard, err := mcpsec.New(test.control, audit.New(audit.To(ledger{l})))
			if err == nil {
				for _, tool := range test.tools {
					if err := mcpsec.AddTool(guard, server, tool, readNote); err != nil {
						t.Fatal(err)
					}
				}
				err = errors.Join(guard.Install(server), guard.Close())
			}
			if err == nil {
				t.Fatal("the server starts")
			}
			l.mu.Lock()
			defer l.mu.Unlock()
			if len(l.records) != 1 || l.records[0].Code != "guard.not_installed" || !strings.Contains(l.records[0].Detail, test.want) {
				t.Errorf("%v is recorded as %+v, want %q", err, l.records, test.want)
			}
		})
	}
}
