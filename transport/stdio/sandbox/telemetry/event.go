package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"time"
)

// A Kind says what an [Event] is about. The names are stable.
type Kind string

// The kinds.
const (
	Exec    Kind = "exec"    // a program was executed; Path
	Connect Kind = "connect" // a connection was attempted; Addr, or Path for a local socket
	Refused Kind = "refused" // Call was refused with Errno; Path where it names a file
	Lost    Kind = "lost"    // Count events did not fit
)

// An Event is something that happened inside a sandbox, as the kernel saw it.
type Event struct {
	Kind  Kind
	Time  time.Time // when it was read
	PID   int       // of the host
	Call  string    // name of the system call
	Errno string    // "EPERM" or "EACCES"; of a connection the result, empty if it succeeded
	Path  string
	Addr  netip.AddrPort
	Count uint64
}

// String returns the event in words.
func (e Event) String() string {
	switch e.Kind {
	case Connect:
		to := e.Path
		if e.Addr.IsValid() {
			to = e.Addr.String()
		}
		return fmt.Sprintf("process %d connects to %q: %s", e.PID, to, resultOf(e.Errno))
	case Exec:
		return fmt.Sprintf("process %d executes %q", e.PID, e.Path)
	case Refused:
		return fmt.Sprintf("process %d was refused %s %q: %s", e.PID, e.Call, e.Path, e.Errno)
	case Lost:
		return fmt.Sprintf("%d events were lost", e.Count)
	}
	return string(e.Kind)
}

func resultOf(errno string) string {
	if errno == "" {
		return "ok"
	}
	return errno
}

// LogTo makes events messages of a logger: what was refused or lost as warnings. A logger
// over audit.NewHandler takes them into the audit record.
func LogTo(log *slog.Logger) func(Event) {
	return func(e Event) {
		level := slog.LevelInfo
		if e.Kind == Refused || e.Kind == Lost {
			level = slog.LevelWarn
		}
		attrs := []slog.Attr{slog.Int("pid", e.PID)}
		for _, a := range []struct{ name, value string }{{"call", e.Call}, {"errno", e.Errno}, {"path", e.Path}} {
			if a.value != "" {
				attrs = append(attrs, slog.String(a.name, a.value))
			}
		}
		if e.Addr.IsValid() {
			attrs = append(attrs, slog.String("address", e.Addr.String()))
		}
		if e.Count > 0 {
			attrs = append(attrs, slog.Uint64("count", e.Count))
		}
		log.LogAttrs(context.Background(), level, "sandboxed process "+string(e.Kind), attrs...)
	}
}
