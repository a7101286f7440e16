package registry

import (
	"strings"
	"testing"
)

// fileSha256 says nothing of an image, which its own registry serves by a tag.
func TestImageWithoutDigestIsNotPinned(t *testing.T) {
	t.Parallel()
	for _, p := range []Package{
		{RegistryType: "oci", Identifier: "ghcr.io/acme/files:latest", FileSHA256: strings.Repeat("a", 64)},
		{RegistryType: "OCI", Identifier: "ghcr.io/acme/files:latest", FileSHA256: strings.Repeat("a", 64)},
	} {
		if p.pinned() {
			t.Errorf("%s %s passes for pinned", p.RegistryType, p.Identifier)
		}
	}
}
