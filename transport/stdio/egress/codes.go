package egress

import "github.com/mcpsec/mcpsec-go/mcpsec"

var (
	codeNotListed = mcpsec.Code{
		Name: "egress.not_listed", Kind: mcpsec.BadArguments,
		Meaning: "The server wanted to reach a host, address or port that its list of hosts does not name.",
		Remedy:  "If the server needs it, add host and port to the profile's egress; otherwise ask why it tried.",
	}
	codeAddress = mcpsec.Code{
		Name: "egress.forbidden_address", Kind: mcpsec.BadArguments,
		Meaning: "A listed name leads only to addresses that are private, the host's own, a metadata service's or reserved.",
		Remedy:  "See the detail for the addresses; if the name is meant to be an internal one, add the word private or host to its rule.",
	}
	codeName = mcpsec.Code{
		Name: "egress.name_mismatch", Kind: mcpsec.BadArguments,
		Meaning: "The name inside the connection (TLS server name or HTTP Host) is missing or is not the one that was asked for.",
		Remedy:  "Use a client that sends the server name; for a protocol of another kind, add the word tcp to the rule.",
	}
	codeProtocol = mcpsec.Code{
		Name: "egress.protocol", Kind: mcpsec.BadArguments,
		Meaning: "The connection is neither TLS nor, on a port other than 443, plain HTTP, or it asks a proxy or a name server for something that is not offered.",
		Remedy:  "Use TLS or HTTP; for another protocol, add the word tcp to the rule.",
	}
	codeMalformed = mcpsec.Code{
		Name: "egress.malformed", Kind: mcpsec.BadArguments,
		Meaning: "A request to the proxy cannot be read in one way only: bad syntax, user information in the target, or an address in a form of its own.",
		Remedy:  "Correct the client; write hosts as names, ports as decimal numbers.",
	}
	codeConnections = mcpsec.Code{
		Name: "egress.too_many_connections", Kind: mcpsec.Throttled,
		Meaning: "As many connections as allowed are open, or have been opened since the server started.",
		Remedy:  "Look for connections that are never closed; if the use is honest, raise Limits.Parallel or Limits.Total.",
	}
	codeBytes = mcpsec.Code{
		Name: "egress.too_many_bytes", Kind: mcpsec.Throttled,
		Meaning: "The server has sent or received as many bytes as allowed since it started.",
		Remedy:  "Find out what it moved; if the use is honest, raise Limits.Sent or Limits.Received and restart it.",
	}
	codeQueries = mcpsec.Code{
		Name: "egress.too_many_queries", Kind: mcpsec.Throttled,
		Meaning: "The server asks for names faster than allowed.",
		Remedy:  "Look for a loop, or for data hidden in names; if the use is honest, raise Limits.Queries.",
	}
	codeTimeout = mcpsec.Code{
		Name: "egress.timeout", Kind: mcpsec.Unavailable,
		Meaning: "Nothing came in time: at the start of a connection, or in an open one in which nothing moves.",
		Remedy:  "If the peer is slow by nature, raise Limits.Handshake or Limits.Idle.",
	}
	codeUnreachable = mcpsec.Code{
		Name: "egress.unreachable", Kind: mcpsec.Unavailable,
		Meaning: "A permitted host could not be resolved or reached.",
		Remedy:  "See the detail; check the host's network and name servers.",
	}
)

// Codes lists the refusal codes of this package, sorted by name.
func Codes() []mcpsec.Code {
	return []mcpsec.Code{
		codeAddress, codeMalformed, codeName, codeNotListed, codeProtocol, codeTimeout,
		codeBytes, codeConnections, codeQueries, codeUnreachable,
	}
}
