// Package oci starts sandboxed processes by an OCI runtime: runc, crun or gVisor's runsc, for
// hosts where a container, or a kernel of its own, is wanted around a server instead of, or
// around, what the host's kernel alone offers.
//
// # What it stops
//
// A [Runtime] is a [sandbox.Backend]: it writes a bundle for the profile (OCI Runtime
// Specification 1.0.2, and of 1.1 the options for what is mounted below a folder, for which
// the kernel must be Linux 5.12) with a root of its own that holds nothing but what the
// profile names, all namespaces, no capabilities, no_new_privs, the same list of system calls
// as the direct mechanism, rlimits and, as root, cgroup limits; starts it in the foreground;
// and looks from outside whether that is in force, what every mount shows and its options
// among it, before it hands the process over. Which calls the list holds is not to be seen from
// there, and is in force by the runtime's word. A program that was verified in memory is copied
// into the bundle and compared again.
//
// With gVisor the program runs in a kernel that is a process of the host. It is told to load
// the list of system calls, which it leaves out by default. From outside that process is seen,
// with its namespaces and a list of calls of its own, and that paths of the profile mean what
// they meant when they were checked; what it does for the program (the list,
// capabilities, rlimits, mounts) is in force by its word, and the report says so.
//
// # What it does not stop
//
// A bug in the runtime, which runs with the rights of the host program. Landlock is not
// part of the specification: files are confined by the mount namespace alone, and a
// command must name sandbox.LandlockFiles in Allow. If the host
// program is killed, nothing kills the container: the program inside sees the end of its
// standard input, and a program that ignores it goes on. Hosts by name need root, since
// only root can give a container a network namespace that holds our sockets; gVisor then
// uses the host's network stack in that namespace instead of its own.
//
// The tests run runc 1.1, crun 1.8 and gVisor of September 2026; gVisor of 2022, in the host's
// PID namespace, is refused, and so is a script around gVisor's program. crun refuses hosts on which
// both versions of cgroups have controllers, and does not restrict a single file that is
// written, which is then refused here: name its folder. Kata Containers has no command line
// of this kind since version 2.
package oci
