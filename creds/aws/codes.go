package aws

import (
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

var (
	codeArgument = mcpsec.Code{
		Name: "creds.aws_argument", Kind: mcpsec.BadArguments,
		Meaning: "An argument that narrows the tool's AWS credential is missing, or is not of the form that the session policy asks for.",
		Remedy:  "Give the argument as the reason says; wildcards, variables and dots that lead upwards are never accepted.",
	}
	codePrincipal = mcpsec.Code{
		Name: "creds.aws_principal", Kind: mcpsec.Unavailable,
		Meaning: "The tool's AWS credential is made for one caller, and this one has no such attribute, or one that AWS cannot hold.",
		Remedy:  "Let callers authenticate; for local processes, and where a subject has characters that AWS refuses, use the Identity attribute instead.",
	}
)

// Codes lists the package's refusal codes, sorted by name.
func Codes() []mcpsec.Code { return []mcpsec.Code{codeArgument, codePrincipal} }

// refuse makes a refusal for the operator; what a model may see is the code.
func refuse(c mcpsec.Code, reason string) *mcpsec.Denial {
	d := c.Deny(reason)
	d.Control, d.Detail = "creds", reason
	return d
}
