package cosign_test

import (
	"fmt"

	"github.com/mcpsec/mcpsec-go/attest/cosign"
	"github.com/mcpsec/mcpsec-go/attest/sigstore"
)

func ExampleVerifier() {
	_, err := cosign.Verifier(sigstore.TrustedRootFile("missing.json"))
	fmt.Println(err != nil)
	_, err = cosign.Verifier(sigstore.Identity("release@example.com", ""))
	fmt.Println(err)
	// Output:
	// true
	// cosign.Verifier: envelope: trust is not configured: Identity needs a subject and an issuer
}
