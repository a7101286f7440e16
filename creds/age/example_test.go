package age_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	filippo "filippo.io/age"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/creds/age"
)

func Example() {
	dir, err := os.MkdirTemp("", "age")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "secrets.age")

	// The operator, once: age-keygen makes such a pair of keys as well.
	identity, err := filippo.GenerateX25519Identity()
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := age.Write(path, map[string]creds.Value{"notes": creds.NewValue([]byte("s3cret"))}, age.PublicKey(identity.Recipient().String())); err != nil {
		fmt.Println(err)
		return
	}

	// The server: in earnest, the identity is a file that only its user can read.
	store := age.Open(age.Config{Path: path, Identity: creds.Static([]byte(identity.String()))})
	m, err := store.Secret("notes").Issue(context.Background(), creds.NewSpec("notes", nil), creds.Request{})
	fmt.Println(m.Secret, string(m.Secret.Reveal()), err)
	// Output: [secret] s3cret <nil>
}
