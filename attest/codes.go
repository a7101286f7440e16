package attest

import "github.com/mcpsec/mcpsec-go/mcpsec"

var (
	codeArtifactChanged = mcpsec.Code{
		Name: "attest.artifact_changed", Kind: mcpsec.Unavailable,
		Meaning: "The content of a file that the tool uses is not, or at some moment was not, what the manifest pins; the tool is out of service.",
		Remedy:  "Find out who wrote to the file (the detail names it), restore it, then restart the server; after a wanted change make a new manifest.",
	}
	codeArtifactNotBound = mcpsec.Code{
		Name: "attest.artifact_not_bound", Kind: mcpsec.Unavailable,
		Meaning: "A handler asked for an artifact that the manifest does not list for its tool, or that is not kept in sealed memory.",
		Remedy:  "If the tool should use it, list it among the tool's artifacts with bind snapshot or exec and sign a new manifest; if not, find out why it asks.",
	}
	codeArtifactUnsettled = mcpsec.Code{
		Name: "attest.artifact_unsettled", Kind: mcpsec.Unavailable,
		Meaning: "A file that the tool uses was touched or cannot be read; calls are refused until its content was read anew and is the reviewed one.",
		Remedy:  "Nothing if it passes within seconds; otherwise see why the file (in the detail) cannot be read.",
	}
	codeCapturing = mcpsec.Code{
		Name: "attest.capturing", Kind: mcpsec.Unavailable,
		Meaning: "The server was started to make a manifest and serves nothing.",
		Remedy:  "Replace attest.Capture by attest.New with the manifest it made.",
	}
	codeClosed = mcpsec.Code{
		Name: "attest.closed", Kind: mcpsec.Unavailable,
		Meaning: "The attestor was closed; the server is shutting down.",
		Remedy:  "Start the server again; close the guard only after the server.",
	}
	codeMismatch = mcpsec.Code{
		Name: "attest.definition_mismatch", Kind: mcpsec.Unavailable,
		Meaning: "The live definition of the tool, prompt or resource is not, or at some moment was not, the one the manifest pins; it is out of service.",
		Remedy:  "Find out what changed it (the detail has both digests), then restart the server; after a wanted change make a new manifest.",
	}
	codeExecutableReplaced = mcpsec.Code{
		Name: "attest.executable_replaced", Kind: mcpsec.Unavailable,
		Meaning: "The file of the running program now holds another program; only an alarm: what runs is not affected, and the next start will be refused.",
		Remedy:  "If it was an update, restart the server with the manifest of the new program; if not, find out who replaced it.",
	}
	codeExpired = mcpsec.Code{
		Name: "attest.expired", Kind: mcpsec.Unavailable,
		Meaning: "The manifest has expired while the server ran.",
		Remedy:  "Sign a new manifest and restart the server with it.",
	}
	codeExpiring = mcpsec.Code{
		Name: "attest.expiring", Kind: mcpsec.Unavailable,
		Meaning: "The manifest expires within a day; only an alarm.",
		Remedy:  "Sign a new manifest and restart the server with it.",
	}
	codeNotOffered = mcpsec.Code{
		Name: "attest.not_offered", Kind: mcpsec.NotFound,
		Meaning: "The prompt or resource is not among those that the manifest lists.",
		Remedy:  "If it should be there, review it and make a new manifest; if not, find out who added it.",
	}
	codeNotSealed = mcpsec.Code{
		Name: "attest.not_sealed", Kind: mcpsec.Unavailable,
		Meaning: "The tool, prompt or resource was not attested when the server started, or the server was never sealed.",
		Remedy:  "Call Guard.Install after everything was added and serve only if it returns nil; review what was added and make a new manifest.",
	}
	codeServerMismatch = mcpsec.Code{
		Name: "attest.server_mismatch", Kind: mcpsec.Unavailable,
		Meaning: "The server's instructions or its own description are not, or at some moment were not, what they were when it was attested.",
		Remedy:  "Find out what changed them, then restart the server; after a wanted change make a new manifest.",
	}
)

// Codes lists the package's refusal codes, sorted by name.
func Codes() []mcpsec.Code {
	return []mcpsec.Code{
		codeArtifactChanged, codeArtifactNotBound, codeArtifactUnsettled, codeCapturing, codeClosed, codeMismatch,
		codeExecutableReplaced, codeExpired, codeExpiring, codeNotOffered, codeNotSealed, codeServerMismatch,
	}
}
