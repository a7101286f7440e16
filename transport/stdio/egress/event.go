package egress

import (
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// Via is the way on which a program asked for a host. The names are stable.
type Via string

// The ways.
const (
	ViaConnect     Via = "connect"     // HTTP CONNECT to the proxy
	ViaHTTP        Via = "http"        // plain HTTP by the proxy
	ViaSOCKS       Via = "socks"       // SOCKS5 to the proxy
	ViaProxy       Via = "proxy"       // the proxy, before it is known which of them
	ViaTransparent Via = "transparent" // a connection to a made-up address
	ViaNotify      Via = "notify"      // a connect call of a program without a network namespace
	ViaDNS         Via = "dns"         // a question for a name
	ViaDial        Via = "dial"        // [Dialer]
)

// An Event is one decision: a refusal when it is made, a permitted connection when it has
// ended.
type Event struct {
	Time    time.Time // of the decision
	Via     Via
	Name    string // canonical host asked for; empty if what was asked could not be read
	Port    uint16
	Allowed bool
	// Reason is the code of [Codes] for which the connection was refused or cut; empty if
	// it was permitted and its ends closed it.
	Reason string
	// Detail is for the operator. It holds no path, header, user information or content.
	Detail   string
	Address  netip.AddrPort // dialled; invalid if none was
	BytesOut int64          // sent by the program
	BytesIn  int64          // received by it
	Duration time.Duration  // from Time to the end of the connection
	// Suppressed counts the refusals before this one that were not reported singly,
	// because more came than are reported in a second.
	Suppressed int64
}

// LogValue renders the event for a structured log.
func (e Event) LogValue() slog.Value {
	attrs := []slog.Attr{
		slog.String("via", string(e.Via)), slog.String("name", e.Name), slog.Int("port", int(e.Port)),
		slog.Bool("allowed", e.Allowed),
	}
	if e.Reason != "" {
		attrs = append(attrs, slog.String("reason", e.Reason), slog.String("detail", e.Detail))
	}
	if e.Address.IsValid() {
		attrs = append(attrs, slog.String("address", e.Address.String()),
			slog.Int64("bytesOut", e.BytesOut), slog.Int64("bytesIn", e.BytesIn), slog.Duration("duration", e.Duration))
	}
	if e.Suppressed > 0 {
		attrs = append(attrs, slog.Int64("suppressed", e.Suppressed))
	}
	return slog.GroupValue(attrs...)
}

// Refusals in a second that are reported singly, and at once.
const (
	refusalRate  = 100
	refusalBurst = 1000
)

// A reporter hands on events. It bounds refusals, which cost a program nothing to provoke
// and whoever keeps them a disk; connections are bounded by themselves.
type reporter struct {
	to func(Event)

	mu         sync.Mutex
	bucket     *rate.Limiter
	suppressed int64
	last       Event // of those suppressed
}

func newReporter(to func(Event)) *reporter {
	return &reporter{to: to, bucket: rate.NewLimiter(refusalRate, refusalBurst)}
}

func (r *reporter) refused(e Event, d *mcpsec.Denial) {
	e.Reason, e.Detail = d.Code, d.Detail
	r.mu.Lock()
	if !r.bucket.AllowN(e.Time, 1) {
		r.suppressed++
		r.last = e
		r.mu.Unlock()
		return
	}
	e.Suppressed, r.suppressed = r.suppressed, 0
	r.mu.Unlock()
	r.report(e)
}

func (r *reporter) report(e Event) {
	if r.to != nil {
		r.to(e)
	}
}

// flush reports the last of those refusals that no event has counted yet.
func (r *reporter) flush() {
	r.mu.Lock()
	e := r.last
	e.Suppressed, r.suppressed = r.suppressed-1, 0
	r.mu.Unlock()
	if e.Suppressed >= 0 {
		r.report(e)
	}
}
