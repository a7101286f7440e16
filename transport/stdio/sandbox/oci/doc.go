// Package oci starts sandboxed processes by an OCI runtime: runc, crun, gVisor's runsc or
// Kata Containers' kata-runtime, for hosts where a container or a small virtual machine is
// wanted around a server instead of, or around, what the kernel alone offers.
//
// # What it stops
//
// A [Runtime] is a [sandbox.Backend]: it writes a bundle for the profile (OCI Runtime
// Specification 1.0.2) with a root of its own that holds nothing but what the profile
// names, all namespaces, no capabilities, no_new_privs, the same list of system calls as
// the direct mechanism, rlimits and, as root, cgroup limits; starts it in the foreground;
// and looks from outside whether that is in force before it hands the process over. A
// program that was verified in memory is copied into the bundle and compared again.
//
// # What it does not stop
//
// A bug in the runtime, which runs with the rights of the host program. Landlock is not
// part of the specification: files are confined by the mount namespace alone, and a
// command must name sandbox.LandlockFiles in Allow. If the host
// program is killed, nothing kills the container: the program inside sees the end of its
// standard input, and a program that ignores it goes on. Hosts by name need root, since
// only root can give a container a network namespace that holds our sockets, and a runtime
// that uses the host's network stack, which gVisor does not.
package oci
