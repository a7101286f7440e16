// Package sandbox starts a program in a sandbox that proves itself, or confines the
// calling process, on Linux, without another program, without privilege and without cgo.
//
// [Start] compiles a [Profile] into a list of system calls and has a child make them
// between its clone and its exec. Before the program runs, the host looks at the child
// from outside and writes a [Report]: what was wanted, what is in force, and whether that
// was seen. [Confine] is for servers that confine themselves. [Explain] prints the list
// and [Probe] says what a machine offers. For macOS, [Seatbelt] writes a profile as text for
// a tool that is there; nothing is started.
//
// # What it stops
//
// A server that was taken over, or was bad from the start, from reading files that the
// profile does not name, keeping or gaining privileges, reaching the host's processes,
// memory, sockets and network, reaching hosts that are not listed, using calls of the
// kernel that servers do not need, taking more than its share of memory, processes and
// descriptors, and leaving processes behind.
//
// Every control is required unless [Command.Allow] names it: where one cannot be had the
// start fails with an [*UnavailableError] that says which and what to do. Cgroup limits,
// and what the processor offers against speculation, are used where they exist.
//
// # What it does not stop
//
// A flaw in a system call that the filter lets through: the kernel is shared. Harm done
// with what the profile grants, data sent to a host that is allowed among it. Reading of
// what is world-readable by those who are in the same profile. Without namespaces (tier
// [T2]) the names of files, the host's processes and System V memory can be seen, and a
// process that leaves its session outlives it. Groups of the user that an ordinary user's
// host has are kept in the kernel's view of files, as no ordinary user may drop them.
//
// The first process is PID 1 of its namespace: signals whose default would end it do
// nothing unless it handles them. [Process.Kill] always works.
//
// While a child is between clone and exec it shares the host's memory. If the host is
// root, the child changes its user, and the kernel makes that memory undumpable, so that
// nobody attaches to it; the host's own setting is restored when the child has left.
package sandbox
