package mcpsec

import "slices"

// The guard's own codes.
var (
	codeNotInstalled = Code{
		"guard.not_installed", Unavailable,
		"The guard was put on this server, but Install has not succeeded.",
		"Read the error that Install returned; do not serve before it returns nil.",
	}
	codeOutflanked = Code{
		"guard.outflanked", Unavailable,
		"A middleware was added to the server after Install, so it runs outside the guard and could answer in its place.",
		"Add every middleware before Install; Install comes last.",
	}
	codeUnknownTool = Code{
		"guard.unknown_tool", NotFound,
		"The tool is not among those the server offered when it was sealed.",
		"If it should be there, add it with mcpsec.AddTool before Install; if not, find out who added it.",
	}
	codeForeignHandler = Code{
		"guard.foreign_handler", Unavailable,
		"A handler that is not the sealed one answered for this tool; its reply was dropped and the tool is out of service.",
		"Look for code that registers the tool again after Install, then restart the server.",
	}
	codeControlFailed = Code{
		"guard.control_failed", Unavailable,
		"A control failed with an error or a panic of its own, so the call was refused.",
		"See the detail in the audit record; the control's own documentation names its failures.",
	}
	codeHandlerPanic = Code{
		"guard.handler_panic", Crashed,
		"The handler panicked; the panic was contained and the server runs on.",
		"Fix the handler; the detail in the audit record has the panic and where it happened.",
	}
	codeBadArguments = Code{
		"guard.bad_arguments", BadArguments,
		"The arguments do not match the tool's input schema.",
		"Correct the arguments as the reason says.",
	}
	codeMalformed = Code{
		"guard.malformed", BadRequest,
		"The message is not strict JSON: a duplicate member name, invalid UTF-8, too deep, or too large.",
		"Send one well-formed JSON value whose member names are unique.",
	}
	codeForgedState = Code{
		"guard.forged_state", BadRequest,
		"The retry of a multi-round-trip call carries a request state that this server did not issue for this principal, tool and arguments, or that has expired or was used before.",
		"Start the call again without inputResponses and requestState.",
	}
	codeMissingCapability = Code{
		"guard.missing_capability", BadRequest,
		"The handler asked the client for input that the client did not declare it can give.",
		"Use a client with that capability, or let the tool do without.",
	}
	codeTooManyPending = Code{
		"guard.too_many_pending", Throttled,
		"Too many calls wait for input from their clients.",
		"Wait; pending calls expire on their own.",
	}
	codeOverloaded = Code{
		"guard.overloaded", Throttled,
		"Ten thousand messages wait between the frame and the guard's middleware.",
		"Find out what holds up the server; limit calls in flight with package ratelimit.",
	}
	codeBadCursor = Code{
		"guard.bad_cursor", BadRequest,
		"The list cursor was not issued by this server to this principal, or it has expired.",
		"Start the list from its first page.",
	}
	codeUnknownResource = Code{
		"guard.unknown_resource", NotFound,
		"The subscription is for a resource that the server does not offer.",
		"Subscribe to a listed resource or one that a listed template can produce.",
	}
	codeRejected = Code{
		"guard.rejected", BadRequest,
		"The SDK rejected the message before any handler: unknown method, malformed parameters, or a call before initialization.",
		"Correct the client; the detail in the audit record has the JSON-RPC code.",
	}
	codeProbe = Code{
		"guard.probe", NotFound,
		"A start-up probe of the guard itself.",
		"Nothing: no client ever sees it.",
	}
)

// Codes lists the guard's own refusal codes, sorted by name.
func Codes() []Code {
	codes := []Code{
		codeNotInstalled, codeOutflanked, codeUnknownTool, codeForeignHandler, codeControlFailed,
		codeHandlerPanic, codeBadArguments, codeMalformed, codeForgedState, codeMissingCapability,
		codeTooManyPending, codeOverloaded, codeBadCursor, codeUnknownResource, codeRejected, codeProbe,
	}
	slices.SortFunc(codes, func(a, b Code) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return codes
}
