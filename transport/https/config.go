package https

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/mcpsec/mcpsec-go/mcpsec"
	"github.com/mcpsec/mcpsec-go/transport/https/pki"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// A Config says how a server is reached, by whom, and how much of it one caller may use.
// Everything that is not set is the safe choice: TLS 1.3 with a development certificate,
// the current revision only, loopback hosts, and no caller without credentials.
type Config struct {
	// Guard is installed on the server.
	Guard  *mcpsec.Guard
	Server *mcp.Server

	// Certificates is what the server shows; nil means a development certificate, which is
	// made on first start and only for loopback names.
	Certificates pki.Source
	// Clients, if set, are the authorities that client certificates must come from, and
	// Peers judges the verified ones; nil accepts every certificate of the authorities.
	Clients pki.Authorities
	Peers   pki.Peers
	// Tokens, if set, judges access tokens. With Clients both are required; with neither,
	// AllowAnonymous must say so.
	Tokens         Tokens
	AllowAnonymous bool

	// Hosts are the names the server is called by, each with its port where it is not 443,
	// "mcp.example.com" or "localhost:8443". Empty means the loopback names at the
	// listener's port.
	Hosts []string
	// Origins are the web origins whose pages may call, "https://app.example.com". Empty
	// means none: requests with an Origin are refused.
	Origins []string

	// Legacy enables revisions before 2026-07-28: sessions over Streamable HTTP, and the
	// missing version header. Batches enables those of 2025-03-26 besides. SSE enables the
	// deprecated transport HTTP+SSE.
	Legacy  bool
	Batches bool
	SSE     bool
	// Path is the endpoint of Streamable HTTP, and SSEPath that of HTTP+SSE; empty means
	// "/mcp" and "/sse".
	Path    string
	SSEPath string

	// Subject, if set, puts the caller's token into the context of the call, for providers
	// of credentials that exchange it: creds.Subject. No handler can see it.
	Subject func(ctx context.Context, token string) context.Context
	// Frozen, if set, reports whether a principal was frozen by the kill switch: its streams
	// end, and its requests are refused. It is asked for each message and, under a lock, for
	// what is open: it is quick, safe for concurrent use, and calls no method of the Server.
	Frozen func(mcpsec.Principal) bool

	Limits Limits
	// Log is told of faults: certificates that cannot be reloaded, keys that cannot be
	// fetched. Nil means slog.Default.
	Log *slog.Logger
	// Handler, if set, answers what is neither MCP, metadata nor health: after TLS and the
	// checks of Host and Origin, without authentication.
	Handler http.Handler
}

// Limits bound what callers use of a server. Zero in a field means the default of that
// field, negative no bound, except for Header and HTTP2Streams, where net/http has a
// default of its own. Callers who are known by no more than an IPv6 address are one
// principal to the limits if they share its first 64 bits.
type Limits struct {
	Header       int           // bytes of all headers of a request; 16 KiB, negative 1 MiB
	Body         int64         // bytes of a message; 4 MiB
	Result       int64         // bytes of an event or answer; 16 MiB
	URI          int           // bytes of a request's URI; 2 KiB
	Conns        int           // connections; 20,000
	ConnsPer     int           // connections of one address; 1,000
	Calls        int           // calls under way; 1,000
	CallsPer     int           // calls under way of one principal; 64
	Bodies       int           // bytes of messages that are sent and not answered, beyond the first 64 KiB of each; 256 MiB
	BodiesPer    int           // such bytes of one principal; 64 MiB
	Sessions     int           // sessions; 20,000
	SessionsPer  int           // sessions of one principal; 1,000
	Streams      int           // open streams; 20,000
	StreamsPer   int           // open streams of one principal; 1,000
	HTTP2Streams int           // concurrent streams of one HTTP/2 connection; 64, negative 250
	Batch        int           // messages of a batch; 16
	Read         time.Duration // to send a request; 30 s, its header and a TLS handshake at most 5 s
	Write        time.Duration // to take an event; 20 s
	Idle         time.Duration // of a session without a message, though a stream of it is open, and of a connection; 5 min
	Age          time.Duration // of a stream or session; 12 h
	Call         time.Duration // of a call; the guard's CallTimeout
	KeepAlive    time.Duration // between comments on an idle stream; 15 s
	Warn         time.Duration // before the end of a stream that ends by expiry; 30 s
	Drain        time.Duration // for calls to end at shutdown; 20 s
}
