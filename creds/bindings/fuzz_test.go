package bindings

import (
	"strings"
	"testing"

	"github.com/mcpsec/mcpsec-go/creds"
)

// FuzzDecode holds any input to one of two ends: bindings that can be closed, or an
// error that says where.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(everything(f)))
	for _, seed := range []string{
		`{}`, `{"tools": {"t": {"c": null}}}`, `{"tools": {"t": {"c": {"file": {"path": "/x"}}}}}`,
		`{"bases": {"b": null}, "tools": {"t": {"c": {"age": {"base": "b", "whole": true}}}}}`,
		`{"bases": {"b": {"age": {"path": "/x", "identity": {}}}}, "tools": {}}`,
		`{"bases": {"b": {"vault": {"addresses": [""], "auth": {"jwt": {}}}}}, "tools": {"t": {"c": {"vaultLease": {"base": "b", "path": ""}}}}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		bound, err := Decode(data)
		if (err == nil) != (bound != nil) {
			t.Fatalf("%v and %d bindings", err, len(bound))
		}
		if err != nil {
			if !strings.Contains(err.Error(), ": ") {
				t.Errorf("says nothing of where: %v", err)
			}
			return
		}
		if err := creds.New(bound...).Close(); err != nil {
			t.Error(err)
		}
	})
}
