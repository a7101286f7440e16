package https

import (
	"slices"
	"strings"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// What the listener refuses before a message reaches the server.
var (
	codeBadHost = mcpsec.Code{
		Name: "https.bad_host", Kind: mcpsec.Forbidden,
		Meaning: "The request names a host that the server is not called by: DNS rebinding, or a name that is missing in the configuration.",
		Remedy:  "Add the name, with its port if that is not 443, to Config.Hosts.",
	}
	codeBadOrigin = mcpsec.Code{
		Name: "https.bad_origin", Kind: mcpsec.Forbidden,
		Meaning: "A web page of an origin that is not allowed made the request.",
		Remedy:  "If the page may call the server, add its origin to Config.Origins.",
	}
	codeBadRequest = mcpsec.Code{
		Name: "https.bad_request", Kind: mcpsec.BadRequest,
		Meaning: "The HTTP request is not one that the protocol knows: an ambiguous target, a repeated header, another media type, or an encoded body.",
		Remedy:  "Correct the client as the reason says.",
	}
	codeQueryToken = mcpsec.Code{
		Name: "https.query_token", Kind: mcpsec.BadRequest,
		Meaning: "The URL holds a credential, which logs and histories keep.",
		Remedy:  "Send the token in the Authorization header, and revoke the one that was sent.",
	}
	codeTooLarge = mcpsec.Code{
		Name: "https.too_large", Kind: mcpsec.BadRequest,
		Meaning: "The message or the URL is larger than the server accepts.",
		Remedy:  "Send less, or raise Limits.Body.",
	}
	codeMalformed = mcpsec.Code{
		Name: "https.malformed", Kind: mcpsec.BadRequest,
		Meaning: "The body is not one JSON-RPC message under strict rules.",
		Remedy:  "Send one well-formed message whose member names are unique.",
	}
	codeVersion = mcpsec.Code{
		Name: "https.unsupported_version", Kind: mcpsec.BadRequest,
		Meaning: "The request is of a protocol revision that the server does not speak, or names none.",
		Remedy:  "Use a client of the current revision, or set Config.Legacy.",
	}
	codeUnauthenticated = mcpsec.Code{
		Name: "https.unauthenticated", Kind: mcpsec.Unauthenticated,
		Meaning: "The request shows no credentials, or none that are good.",
		Remedy:  "Get a new token from the authorization server that the challenge names, or use a certificate of an accepted authority.",
	}
	codeForbidden = mcpsec.Code{
		Name: "https.forbidden", Kind: mcpsec.Forbidden,
		Meaning: "The credentials are good and do not suffice for this.",
		Remedy:  "Ask for a token with the scopes that the challenge names.",
	}
	codeFrozen = mcpsec.Code{
		Name: "https.frozen", Kind: mcpsec.Forbidden,
		Meaning: "The principal was frozen with the kill switch.",
		Remedy:  "Find out why it was frozen before it is let in again.",
	}
	codeSession = mcpsec.Code{
		Name: "https.unknown_session", Kind: mcpsec.BadRequest,
		Meaning: "The session does not exist, has ended, or belongs to somebody else.",
		Remedy:  "Initialize a new session.",
	}
	codeTooMany = mcpsec.Code{
		Name: "https.too_many", Kind: mcpsec.Throttled,
		Meaning: "The principal has as many calls, sessions or streams open as it may have.",
		Remedy:  "Wait for some to end, or raise the field of Limits that the detail names.",
	}
	codeBusy = mcpsec.Code{
		Name: "https.busy", Kind: mcpsec.Unavailable,
		Meaning: "All principals together have as many calls, sessions or streams open as the server holds.",
		Remedy:  "Add replicas, or raise the field of Limits that the detail names.",
	}
	codeUnavailable = mcpsec.Code{
		Name: "https.unavailable", Kind: mcpsec.Unavailable,
		Meaning: "The server is shutting down, or cannot judge credentials now.",
		Remedy:  "Try again; if it lasts, the detail in the audit record says what is missing.",
	}
	codeResult = mcpsec.Code{
		Name: "https.result_too_large", Kind: mcpsec.Unavailable,
		Meaning: "An answer or event was larger than the server sends.",
		Remedy:  "Let the tool return less, in pages, or raise Limits.Result.",
	}
)

// Codes lists the package's refusal codes, sorted by name.
func Codes() []mcpsec.Code {
	codes := []mcpsec.Code{
		codeBadHost, codeBadOrigin, codeBadRequest, codeQueryToken, codeTooLarge, codeMalformed, codeVersion,
		codeUnauthenticated, codeForbidden, codeFrozen, codeSession, codeTooMany, codeBusy, codeUnavailable, codeResult,
	}
	slices.SortFunc(codes, func(a, b mcpsec.Code) int { return strings.Compare(a.Name, b.Name) })
	return codes
}
