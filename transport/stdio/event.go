package stdio

import (
	"log/slog"
	"time"

	"github.com/mcpsec/mcpsec-go/transport/stdio/egress"
	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox"
)

// A Kind says what an [Event] is about. The names are stable.
type Kind string

// The kinds.
const (
	Started  Kind = "started"  // the server runs; Report says how it is confined
	Refused  Kind = "refused"  // it was not started, Detail says why
	Degraded Kind = "degraded" // it runs without Control, which the caller allowed
	Given    Kind = "given"    // it is given a credential, the variable Detail
	Broken   Kind = "broken"   // it sent something that is no message, and the session ended
	Network  Kind = "network"  // a connection or a name was decided on; Egress says how
	Ended    Kind = "ended"    // it is gone, and everything it started
)

// An Event is something that happened to a launched server. It holds no value of the
// environment and nothing that the server said.
type Event struct {
	Kind    Kind
	Time    time.Time
	Server  string          // base name of the command
	PID     int             // of the host; 0 before it runs
	Control sandbox.Control // of a degradation
	Detail  string
	Report  *sandbox.Report // of a start; read only
	Egress  *egress.Event   // of the network; read only
}

// LogTo makes events messages of a logger: refusals and what is broken as errors,
// degradations and refused connections as warnings. A logger over audit.NewHandler takes them into
// the audit record.
func LogTo(log *slog.Logger) func(Event) {
	return func(e Event) {
		say := log.Info
		switch {
		case e.Kind == Refused || e.Kind == Broken:
			say = log.Error
		case e.Kind == Degraded || e.Egress != nil && !e.Egress.Allowed:
			say = log.Warn
		}
		attrs := []any{slog.String("server", e.Server)}
		if e.PID != 0 {
			attrs = append(attrs, slog.Int("pid", e.PID))
		}
		if e.Control != "" {
			attrs = append(attrs, slog.String("control", string(e.Control)))
		}
		if e.Egress != nil {
			attrs = append(attrs, slog.Any("egress", *e.Egress))
		}
		if e.Detail != "" {
			attrs = append(attrs, slog.String("detail", e.Detail))
		}
		if e.Report != nil {
			attrs = append(attrs, slog.String("tier", string(e.Report.Tier)), slog.String("mechanism", e.Report.Mechanism), slog.String("artifact", e.Report.Artifact))
		}
		say("mcp server "+string(e.Kind), attrs...)
	}
}
