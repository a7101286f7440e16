// Package loopnet says what is in the network namespace of a confined process: a loopback
// that is up, made-up addresses that are all local, and sockets of the host's that listen
// there. How a process gets it differs by backend: this package holds what is the same,
// the addresses and what the kernel is asked for.
//
// It confines nothing: that the namespace has no other interface is what does.
package loopnet
