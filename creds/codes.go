package creds

import "github.com/mcpsec/mcpsec-go/mcpsec"

var (
	codeClosed = mcpsec.Code{
		Name: "creds.closed", Kind: mcpsec.Unavailable,
		Meaning: "A credential was asked for after the tool call was over, by a goroutine it left behind, or after the guard was closed.",
		Remedy:  "Let the handler wait for what it starts, or fetch the credential before it returns.",
	}
	codeNoHandle = mcpsec.Code{
		Name: "creds.no_handle", Kind: mcpsec.Unavailable,
		Meaning: "A credential was asked for outside a guarded tool, or with a context that is not derived from the handler's.",
		Remedy:  "Pass on the context the handler received; add the tool with mcpsec.AddTool to a guard that has creds.New.",
	}
	codeNotBound = mcpsec.Code{
		Name: "creds.not_bound", Kind: mcpsec.Unavailable,
		Meaning: "The tool asked for a credential that is not bound to it.",
		Remedy:  "If the tool should have it, bind it with creds.ForTool; if not, find out why the tool asks.",
	}
	codeRejected = mcpsec.Code{
		Name: "creds.rejected", Kind: mcpsec.Unavailable,
		Meaning: "The service refused a credential, and either the one issued in its place as well or it cannot be issued anew.",
		Remedy:  "Check what the service says of the credential that the record names: its rights, its clock, whether it was revoked.",
	}
	codeUnavailable = mcpsec.Code{
		Name: "creds.unavailable", Kind: mcpsec.Unavailable,
		Meaning: "The provider of the credential failed, took too long, or issued something empty or expired.",
		Remedy:  "The detail in the audit record has the provider's error; check the provider and try again.",
	}
)

// Codes lists the package's refusal codes, sorted by name.
func Codes() []mcpsec.Code {
	return []mcpsec.Code{codeClosed, codeNoHandle, codeNotBound, codeRejected, codeUnavailable}
}

// refuse makes a refusal that a handler can return as its error.
func refuse(c mcpsec.Code, reason string) *mcpsec.Denial {
	d := c.Deny(reason)
	d.Control = controlName
	return d
}
