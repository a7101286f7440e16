package telemetry

import (
	"fmt"
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
