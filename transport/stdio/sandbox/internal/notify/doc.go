// Package notify makes the connections of a process that has no network namespace in its
// place: its filter hands every connect call to the host (seccomp user notification), which
// reads the address, decides, and swaps the socket for one that is connected already.
//
// # What it stops
//
// Connections past the policy. The address is read once, into the host's memory, and what
// is decided about is what is connected: the kernel is never told to go on with a call whose
// arguments the process can still change. The process's own socket is never connected.
//
// # What it does not stop
//
// What needs no connect call: the filter must refuse datagram sockets, TCP Fast Open and
// address families other than IPv4 and IPv6. Local sockets cannot be connected at all.
//
// # What programs notice
//
// The socket is replaced, so a program that put it into an epoll set before it called connect
// waits for ever for the old one; common runtimes (Go, libuv, Python, the C library) do that
// afterwards. A connect call that would be in progress succeeds at once. The peer's address
// is one of the loopback. Of the options of the old socket only time-outs are kept. A second
// connect to the same address succeeds, where the kernel says that the socket is connected:
// it may be one that a signal interrupted.
package notify

import (
	"context"
	"net"
	"net/netip"
)

// Connect decides on a call. It returns the socket that takes the place of the process's,
// and no longer belongs to it. Any error refuses the call with EACCES.
type Connect func(ctx context.Context, address netip.AddrPort) (*net.TCPConn, error)
