package bindings_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/creds/bindings"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

const notes = `{"tools": {"list_notes": {"store": {"keyring": {"service": "notes", "user": "store"}}}}}`

func ExampleDecode() {
	bound, err := bindings.Decode([]byte(notes))
	if err != nil {
		fmt.Println(err)
		return
	}
	in := creds.New(bound...)
	defer func() { _ = in.Close() }()
	all, err := creds.Simulate(in, "list_notes", nil, mcpsec.Principal{})
	for _, d := range all {
		fmt.Println(d.Tool, d.Name, d.Access.Rules[0].Resources, err)
	}

	_, err = bindings.Decode([]byte(`{"tools": {"list_notes": {"store": {"file": {"path": "store.key"}}}}}`))
	fmt.Println(err)
	// Output:
	// list_notes store [notes/store] <nil>
	// tools.list_notes.store.file.path: "store.key" is not an absolute path
}

func ExampleLoad() {
	dir, err := os.MkdirTemp("", "bindings")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "creds.json")
	if err := os.WriteFile(path, []byte(notes), 0o600); err != nil {
		fmt.Println(err)
		return
	}
	bound, err := bindings.Load(path)
	fmt.Println(bound, err)
	// Output: [creds.Binding("list_notes")] <nil>
}

func ExampleSchema() {
	schema, err := bindings.Schema()
	fmt.Println(bytes.Contains(schema, []byte(`"vaultLease"`)), err)
	// Output: true <nil>
}
