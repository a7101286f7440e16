//go:build linux

package oci

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"strconv"
	"unsafe"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mcpsec/mcpsec-go/transport/stdio/egress"
	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox"
)

// A netns is a network namespace that holds nothing but our sockets.
type netns struct {
	sandbox.Network

	hold chan struct{} // closed when the runtime has joined it
}

// dnsAddress is where the resolver of the bundle looks.
const dnsAddress = "127.0.0.53:53"

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
	n := &netns{hold: make(chan struct{})}
	type made struct {
		path string
		err  error
	}
	ready := make(chan made)
	go onOwnThread(func() {
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			err = n.open(ctx, policy.Ports())
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
	if n.Proxy, err = listen.Listen(ctx, "tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(egress.ProxyPort))); err != nil {
		return err
	}
	if n.DNS, err = listen.ListenPacket(ctx, "udp4", dnsAddress); err != nil {
		return err
	}
	for _, port := range ports {
		l, err := listen.Listen(ctx, "tcp4", net.JoinHostPort("0.0.0.0", strconv.Itoa(int(port))))
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
	ifr, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	ifr.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifr)
}

// routeMadeUp makes 198.18.0.0/15 local, so that every address in it is ours.
func routeMadeUp() error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	const loopbackIndex = 1
	msg := struct {
		unix.NlMsghdr
		unix.RtMsg

		dst      unix.RtAttr
		prefix   [4]byte
		oif      unix.RtAttr
		loopback uint32
	}{
		NlMsghdr: unix.NlMsghdr{Type: unix.RTM_NEWROUTE, Flags: unix.NLM_F_REQUEST | unix.NLM_F_ACK | unix.NLM_F_CREATE},
		RtMsg:    unix.RtMsg{Family: unix.AF_INET, Dst_len: 15, Table: unix.RT_TABLE_LOCAL, Protocol: unix.RTPROT_STATIC, Scope: unix.RT_SCOPE_HOST, Type: unix.RTN_LOCAL},
		dst:      unix.RtAttr{Len: 8, Type: unix.RTA_DST}, prefix: [4]byte{198, 18},
		oif: unix.RtAttr{Len: 8, Type: unix.RTA_OIF}, loopback: loopbackIndex,
	}
	msg.Len = uint32(unsafe.Sizeof(msg))
	raw := unsafe.Slice((*byte)(unsafe.Pointer(&msg)), unsafe.Sizeof(msg)) //nolint:gosec // a message of plain fields
	if err := unix.Sendto(fd, raw, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	var reply [1024]byte
	size, _, err := unix.Recvfrom(fd, reply[:], 0)
	if err != nil {
		return err
	}
	if size < unix.NLMSG_HDRLEN+4 {
		return errors.New("netlink: a short answer")
	}
	if errno := -*(*int32)(unsafe.Pointer(&reply[unix.NLMSG_HDRLEN])); errno != 0 { //nolint:gosec // nlmsgerr begins with the error
		return unix.Errno(errno) //nolint:gosec // a positive error number
	}
	return nil
}
