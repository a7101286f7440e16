//go:build linux

package oci

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mcpsec/mcpsec-go/transport/stdio/egress"
	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox"
	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox/internal/loopnet"
)

// A netns is a network namespace that holds nothing but our sockets.
type netns struct {
	sandbox.Network

	hold chan struct{} // closed when the runtime has joined it
}

var errNeedsRoot = errors.New("hosts by name need a network namespace with sockets of ours, which a runtime can be given by root alone: run as root, or use the direct mechanism")

// network prepares a namespace if the profile has hosts to reach. The kernel keeps it
// while the sockets are open.
func (b *bundle) network(ctx context.Context, c *sandbox.Command) (*netns, error) {
	if len(c.Profile.Egress) == 0 || c.Network == nil {
		return nil, nil //nolint:nilnil // no network is wanted: the runtime makes an empty one
	}
	if !b.root {
		return nil, errNeedsRoot
	}
	policy, err := egress.Parse(c.Profile.Egress...)
	if err != nil {
		return nil, err
	}
	ports, err := loopnet.Ports(policy.Ports())
	if err != nil {
		return nil, err
	}
	n := &netns{hold: make(chan struct{})}
	type made struct {
		path string
		err  error
	}
	ready := make(chan made)
	go onOwnThread(func() {
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			err = n.open(ctx, ports)
		}
		ready <- made{fmt.Sprintf("/proc/%d/task/%d/ns/net", unix.Getpid(), unix.Gettid()), err}
		if err == nil {
			<-n.hold
		}
	})
	m := <-ready
	if m.err != nil {
		n.close()
		return nil, fmt.Errorf("a network namespace: %w", m.err)
	}
	for i := range b.spec.Linux.Namespaces {
		if ns := &b.spec.Linux.Namespaces[i]; ns.Type == specs.NetworkNamespace {
			ns.Path = m.path
		}
	}
	return n, nil
}

// onOwnThread runs do on a thread that ends with it. The first thread of a program never
// ends, and /proc/self shows what it sees: it must not be the one.
func onOwnThread(do func()) {
	runtime.LockOSThread() // and never unlocked, but for the first thread
	if unix.Gettid() != unix.Getpid() {
		do()
		return
	}
	defer runtime.UnlockOSThread()
	done := make(chan struct{})
	go func() {
		defer close(done)
		onOwnThread(do)
	}()
	<-done
}

// open brings up loopback, routes made-up addresses to it and opens the sockets. It runs
// on the thread that is in the namespace.
func (n *netns) open(ctx context.Context, ports []uint16) error {
	if err := loopbackUp(); err != nil {
		return fmt.Errorf("loopback: %w", err)
	}
	if err := routeMadeUp(); err != nil {
		return fmt.Errorf("route: %w", err)
	}
	var listen net.ListenConfig
	var err error
	if n.Proxy, err = listen.Listen(ctx, "tcp4", loopnet.Proxy.String()); err != nil {
		return err
	}
	if n.DNS, err = listen.ListenPacket(ctx, "udp4", loopnet.DNS.String()); err != nil {
		return err
	}
	for _, port := range ports {
		l, err := listen.Listen(ctx, "tcp4", loopnet.Transparent(port).String())
		if err != nil {
			return err
		}
		n.Transparent = append(n.Transparent, l)
	}
	return nil
}

// serve hands the sockets over.
func (n *netns) serve(c *sandbox.Command) error {
	if n == nil {
		return nil
	}
	return c.Network(n.Network)
}

// release lets the thread go that kept the namespace until the runtime had joined it.
func (n *netns) release() {
	if n != nil {
		close(n.hold)
	}
}

func (n *netns) close() {
	if n == nil {
		return
	}
	if n.Proxy != nil {
		_ = n.Proxy.Close()
	}
	if n.DNS != nil {
		_ = n.DNS.Close()
	}
	for _, l := range n.Transparent {
		_ = l.Close()
	}
}

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	up, err := loopnet.Up()
	if err != nil {
		return err
	}
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, up)
}

// routeMadeUp makes 198.18.0.0/15 local, so that every address in it is ours.
func routeMadeUp() error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.Sendto(fd, loopnet.Route(), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	var reply [1024]byte
	size, _, err := unix.Recvfrom(fd, reply[:], 0)
	if err != nil {
		return err
	}
	return loopnet.RouteAnswer(reply[:size])
}
