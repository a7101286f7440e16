package attest

import "github.com/mcpsec/mcpsec-go/mcpsec"

var (
	codeCapturing = mcpsec.Code{
		Name: "attest.capturing", Kind: mcpsec.Unavailable,
		Meaning: "The server was started to make a manifest and serves nothing.",
		Remedy:  "Replace attest.Capture by attest.New with the manifest it made.",
	}
	codeMismatch = mcpsec.Code{
		Name: "attest.definition_mismatch", Kind: mcpsec.Unavailable,
		Meaning: "The live definition of the tool is not, or at some moment was not, the one the manifest pins; the tool is out of service.",
		Remedy:  "Find out what changed it (the detail has both digests), then restart the server; after a wanted change make a new manifest.",
	}
	codeNotSealed = mcpsec.Code{
		Name: "attest.not_sealed", Kind: mcpsec.Unavailable,
		Meaning: "The tool was not attested when the server started, or the server was never sealed.",
		Remedy:  "Call Guard.Install after every tool was added and serve only if it returns nil; review the tool and make a new manifest.",
	}
	codeServerMismatch = mcpsec.Code{
		Name: "attest.server_mismatch", Kind: mcpsec.Unavailable,
		Meaning: "The server's instructions or its own description are not, or at some moment were not, what they were when it was attested.",
		Remedy:  "Find out what changed them, then restart the server; after a wanted change make a new manifest.",
	}
)

// Codes lists the package's refusal codes, sorted by name.
func Codes() []mcpsec.Code {
	return []mcpsec.Code{codeCapturing, codeMismatch, codeNotSealed, codeServerMismatch}
}
