package sandbox

import (
	"context"
	"net"
	"os"
)

// A Command is a process to start in a sandbox.
type Command struct {
	// Program is what runs: an open, already verified file (sealed memory or a read-only
	// copy). Nil means the file at Path, which must then lie below one of the profile's
	// Exec paths.
	Program *os.File
	// Path is the program's absolute path; Args are the arguments, the name first.
	Path string
	Args []string
	// Env is the whole environment.
	Env []string
	// Stdin, Stdout and Stderr are the child's ends. The caller closes them after Start.
	Stdin, Stdout, Stderr *os.File
	// Mounts are folders that appear inside at another place, read only: private copies of
	// what was verified.
	Mounts  []Mount
	Profile Profile
	// Allow are the controls without which the process may start all the same.
	Allow []Control
	// User is the host's user that the process runs as if the host is root; 0 means 65534.
	User int
	// Network is called once before the program runs if the profile has hosts to reach. It
	// serves the sockets until they are closed.
	Network func(Network) error
}

// A Mount puts a folder or file of the host at a place inside, read only.
type Mount struct {
	Source string // absolute, on the host
	Target string // absolute, inside
	Exec   bool
}

// Network are sockets in the namespace of a confined process, or the process's own calls
// where it has none.
type Network struct {
	// Proxy listens for explicit HTTP CONNECT and SOCKS5; Transparent for every TCP
	// connection to a made-up address, whose local address says which; DNS answers names.
	Proxy       net.Listener
	Transparent []net.Listener
	DNS         net.PacketConn
	// Notify is the seccomp listener on which connect calls arrive if there is no
	// namespace; nil otherwise.
	Notify *os.File
}

// A Process is a started sandbox.
type Process interface {
	// PID is the host's id of the first process inside.
	PID() int
	// Report says what confines it, seen from outside.
	Report() *Report
	// Wait returns when the process and what ends with it are gone. Any number of callers
	// may wait; all are told the same.
	Wait() (*os.ProcessState, error)
	// Signal sends a signal to the first process.
	Signal(sig os.Signal) error
	// Kill ends every process inside, and returns when none is left or ctx ends.
	Kill(ctx context.Context) error
}

// A Backend starts processes in sandboxes of its own kind.
type Backend interface {
	// Start returns when the program runs and the report is verified, or an error with
	// nothing left behind. ctx bounds the start, not the process.
	Start(ctx context.Context, c *Command) (Process, error)
}
