package pki

import (
	"encoding/pem"
	"path/filepath"
	"testing"

	"github.com/mcpsec/mcpsec-go/internal/test/testpki"
)

// What is read is wiped after it was parsed: a list must not refer to it.
func TestRevocationListInDER(t *testing.T) {
	root := testpki.New(t, "root")
	block, _ := pem.Decode(root.CRL(t, 1, nil))
	r, err := CRL(testpki.Write(t, filepath.Join(t.TempDir(), "crl"), block.Bytes))
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range *r.now.Load() {
		for _, x := range l {
			if err := x.signedBy(root.Cert); err != nil {
				t.Error(err)
			}
		}
	}
}
