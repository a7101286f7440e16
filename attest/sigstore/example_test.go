package sigstore_test

import (
	"context"
	"fmt"

	"github.com/mcpsec/mcpsec-go/attest/sigstore"
)

func ExampleKeyless() {
	_, err := sigstore.Keyless(
		sigstore.Identity("https://github.com/owner/name/.github/workflows/release.yml@refs/tags/v1.2.0", "https://token.actions.githubusercontent.com"),
		sigstore.From(sigstore.Build{SourceRef: "refs/tags/v1.2.0", Runner: "github-hosted"}),
		// sigstore.TrustedRootFile("trusted_root.json") is missing.
	)
	fmt.Println(err)
	// Output: sigstore.Keyless: envelope: trust is not configured: no trusted root: give TrustedRootFile
}

func ExampleSign() {
	signer, err := sigstore.Sign(sigstore.Services{
		Fulcio:     "https://fulcio.example.com",
		RekorV2:    []string{"https://rekor.example.com"},
		Timestamps: []string{"https://tsa.example.com/api/v1/timestamp"},
	}, sigstore.TokenFile("/var/run/secrets/tokens/sigstore"))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(signer.Describe())
	_, err = signer.Sign(context.Background(), "application/vnd.in-toto+json", []byte("{}"))
	fmt.Println(err != nil) // there is no token here
	// Output:
	// keyless, certified by https://fulcio.example.com
	// true
}
