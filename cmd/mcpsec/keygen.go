package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/mcpsec/mcpsec-go/attest/cosign/keyfile"
	"github.com/mcpsec/mcpsec-go/attest/envelope"
	"github.com/mcpsec/mcpsec-go/internal/regular"
)

const keygenHelp = `Make a key pair that signs manifests: ECDSA on P-256, in the files that cosign reads and
writes. NAME.key is the private key, encrypted with a passphrase; keep it where releases
are signed and nowhere else. NAME.pub is the public key, which servers pin.

The passphrase is asked for on the terminal, twice, or read from a file: its content
without the line feed at its end. It has at least eight characters. It is never an
argument or a variable of the environment, which others can read. Files that are there
are not overwritten.

Members with --json: private, public, fingerprint.`

// minPassphrase is the least length of a new passphrase (NIST SP 800-63B), in characters.
const minPassphrase = 8

// A keyPair is what keygen prints; its members are those of the JSON form.
type keyPair struct {
	Private     string `json:"private"`
	Public      string `json:"public"`
	Fingerprint string `json:"fingerprint"`
}

func newKeygen(a *app) *cobra.Command {
	var name, file string
	cmd := &cobra.Command{
		Use:   "keygen",
		Short: "Make a key pair that signs manifests",
		Long:  keygenHelp,
		Example: `  mcpsec keygen
  mcpsec keygen -o keys/release --passphrase-file passphrase.txt`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			pair := keyPair{Private: name + ".key", Public: name + ".pub"}
			for _, path := range []string{pair.Private, pair.Public} {
				if _, err := os.Lstat(path); err == nil {
					return fmt.Errorf("%s is there already, and a key is not overwritten: give another name with -o", path)
				}
			}
			phrase, err := newPassphrase(cmd, file)
			if err != nil {
				return err
			}
			defer clear(phrase)
			private, public, err := keyfile.Generate(phrase)
			if err != nil {
				return err
			}
			key, err := envelope.ParseKey(public)
			if err != nil {
				return err
			}
			if err := create(pair.Private, private, 0o600); err != nil {
				return err
			}
			if err := create(pair.Public, public, 0o644); err != nil {
				return errors.Join(err, os.Remove(pair.Private))
			}
			pair.Fingerprint = key.ID()
			return a.emit(cmd, pair, pair.text())
		},
	}
	cmd.Flags().StringVarP(&name, "output", "o", "mcpsec", "name of the two files, without .key and .pub")
	addPassphraseFile(cmd, &file)
	return cmd
}

// create writes a file that must not be there yet.
func create(path string, content []byte, mode os.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return fmt.Errorf("writing a key: %w", err)
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("writing a key: %w", errors.Join(err, os.Remove(path)))
	}
	return regular.SyncDir(filepath.Dir(path))
}

func (p keyPair) text() string {
	var b bytes.Buffer
	align(&b, "", []row{
		{"private key", shown(p.Private, 500) + ", for mcpsec sign --key; it is never needed where the server runs"},
		{"public key", shown(p.Public, 500)},
		{"fingerprint", p.Fingerprint},
		{"pin it", fmt.Sprintf("attest.New(attest.Manifest(%q, attest.Key(%q)))", "manifest.sigstore.json", filepath.Base(p.Public))},
	})
	return b.String()
}
