package sandbox

import "time"

// A Profile says what a confined process may touch: everything that is not named is
// refused. The zero value lets it compute, with its own temporary files, and talk on the
// pipes it was given. A Profile is a value; its slices are read only once it is in use.
type Profile struct {
	// Read, Write and Exec are absolute paths of files or of folders with all below: to be
	// read; to be read, written and created, never executed; to be read and executed.
	// Symbolic links are resolved when the profile is compiled.
	Read  []string `json:"read,omitempty"`
	Write []string `json:"write,omitempty"`
	Exec  []string `json:"exec,omitempty"`
	// System adds what programs of the distribution need, to be read and executed: the
	// dynamic loader and libraries, /usr, certificates, time zones and locales.
	System bool `json:"system,omitempty"`
	// Egress are the hosts that may be reached, "api.example.com:443" or "*.example.com";
	// without a port, 443. See package egress for the rules.
	Egress []string `json:"egress,omitempty"`
	// Listen are the TCP ports of its own loopback that the process may bind. Without a
	// network namespace a process with any may also listen on a port that the kernel
	// chooses, on all addresses; a process with none may not listen.
	Listen []uint16 `json:"listen,omitempty"`
	// Unix permits AF_UNIX sockets, which reach no socket of the host's where the process
	// has a file system and a network namespace of its own.
	Unix bool `json:"unix,omitempty"`
	// Syscalls are names of system calls allowed beyond the published list. Those that
	// break the sandbox itself are refused when the profile is compiled.
	Syscalls []string `json:"syscalls,omitempty"`
	// NoFileless refuses to execute memory (memfd_create with execveat) and files that
	// were written inside.
	NoFileless bool `json:"noFileless,omitempty"`
	// Dir is the working directory inside; empty means /tmp, the private one.
	Dir string `json:"dir,omitempty"`
	// Limits bound what the process uses; the zero value means [DefaultLimits].
	Limits Limits `json:"limits,omitzero"`
}

// Limits bound what a confined process and its children use. Zero in one field means the
// default of that field.
type Limits struct {
	Memory    int64         `json:"memory,omitempty"`    // bytes of data of each process, and of all where cgroups can be written
	Processes int           `json:"processes,omitempty"` // processes and threads together
	Files     int           `json:"files,omitempty"`     // open files of each process
	FileSize  int64         `json:"fileSize,omitempty"`  // bytes of one file
	CPU       time.Duration `json:"cpu,omitempty"`       // processor time of each process, in whole seconds; 0 means no bound
	Temp      int64         `json:"temp,omitempty"`      // bytes of the private /tmp
}

// DefaultLimits are the limits of the zero value.
var DefaultLimits = Limits{Memory: 1 << 30, Processes: 256, Files: 1024, FileSize: 1 << 30, Temp: 64 << 20}

// OrDefault returns the limits with the default in the place of every zero.
func (l Limits) OrDefault() Limits {
	set := func(n *int64, byDefault int64) {
		if *n == 0 {
			*n = byDefault
		}
	}
	set(&l.Memory, DefaultLimits.Memory)
	set(&l.FileSize, DefaultLimits.FileSize)
	set(&l.Temp, DefaultLimits.Temp)
	if l.Processes == 0 {
		l.Processes = DefaultLimits.Processes
	}
	if l.Files == 0 {
		l.Files = DefaultLimits.Files
	}
	return l
}
