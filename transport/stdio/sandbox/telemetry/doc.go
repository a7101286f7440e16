// Package telemetry watches a sandboxed process from the kernel, and writes what a
// profile says as policies of programs that watch whole hosts.
//
// # What it stops
//
// Nothing by itself: the sandbox does that. It makes attempts visible. [Around] is a
// [sandbox.Backend] that attaches three small eBPF programs to every process it starts;
// they report each program that is executed inside, each connection that is attempted,
// and each system call that was refused with EPERM or EACCES, with the path where there
// is one: what the filter refused, and what Landlock or the mount namespace did.
//
// # What it does not do
//
// See what a private root hides: a file that is not there is ENOENT, which programs get
// all day. See anything without a PID namespace of the process, or as an ordinary user:
// eBPF needs root, or CAP_BPF and CAP_PERFMON. A flood fills the ring of 256 KiB; what does
// not fit is counted and reported as lost. The path of a refused call is read after the
// refusal, from memory the process can change: believe it as far as the process.
//
// Tetragon and Falco see the same from outside of this program; [Tetragon] and [Falco]
// write policies for them from the same profile.
package telemetry
