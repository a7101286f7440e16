//go:build linux && (amd64 || arm64)

package sandbox

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"unsafe"

	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox/internal/loopnet"
	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox/internal/program"
	"golang.org/x/sys/unix"
)

// network brings the loopback up, makes every made-up address local, and hands sockets
// that listen there to the host.
func (p *plan) network(d fds) error {
	p.Section(string(NetNamespace))
	s := p.Do("socket", program.Socket, program.Number(unix.AF_INET), program.Number(unix.SOCK_DGRAM|unix.SOCK_CLOEXEC), program.Number(0))
	up, err := loopnet.Up()
	if err != nil {
		return err
	}
	p.Do("loopback up", program.Ioctl, program.Result(s), program.Number(unix.SIOCSIFFLAGS), program.At(memory("lo up", up)))
	p.Do("close socket", program.Close, program.Result(s))
	if !p.served() {
		return nil
	}
	ports, err := egressPorts(p.command.Profile.Egress)
	if err != nil {
		return err
	}
	p.ports = ports
	p.Section(string(Egress))
	p.route()
	p.listen(unix.SOCK_STREAM, loopnet.Proxy)
	p.listen(unix.SOCK_DGRAM, loopnet.DNS)
	for _, port := range ports {
		p.listen(unix.SOCK_STREAM, loopnet.Transparent(port))
	}
	p.send("sockets", d.child, p.sockets)
	return nil
}

// served reports whether sockets of the host listen inside.
func (p *plan) served() bool {
	return len(p.command.Profile.Egress) > 0 && p.all(NetNamespace, Egress)
}

// route makes every made-up address local.
func (p *plan) route() {
	request := loopnet.Route()
	s := p.Do("route socket", program.Socket, program.Number(unix.AF_NETLINK), program.Number(unix.SOCK_RAW|unix.SOCK_CLOEXEC), program.Number(unix.NETLINK_ROUTE))
	p.Do("route", program.Sendto, program.Result(s), program.At(program.Memory("local 198.18.0.0/15", request)), program.Number(len(request)), program.Number(0), program.Number(0), program.Number(0))
	p.routed = program.Memory("answer", make([]byte, 128))
	p.Do("route answer", program.Recvfrom, program.Result(s), program.At(p.routed), program.Number(128), program.Number(0), program.Number(0), program.Number(0))
	p.Do("close route socket", program.Close, program.Result(s))
}

// routeError is what the kernel answered to the route.
func routeError(answer []byte) error {
	err := loopnet.RouteAnswer(answer)
	if errno, refused := errors.AsType[unix.Errno](err); refused {
		return fmt.Errorf("the kernel refused the route: %w", errno)
	}
	return err
}

func (p *plan) listen(kind int, at netip.AddrPort) {
	name := at.String()
	s := p.Do("socket "+name, program.Socket, program.Number(unix.AF_INET), program.Number(kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK), program.Number(0))
	address := socketAddress(at)
	p.Do("bind "+name, program.Bind, program.Result(s), program.At(memory(name, &address)), program.Number(unsafe.Sizeof(address)))
	if kind == unix.SOCK_STREAM {
		p.Do("listen "+name, program.Listen, program.Result(s), program.Number(128))
	}
	p.sockets = append(p.sockets, s)
}

// send passes descriptors to the host.
func (p *plan) send(what string, to int, list []*program.Op) {
	rights := make([]byte, unix.CmsgSpace(4*len(list)))
	header := (*unix.Cmsghdr)(unsafe.Pointer(&rights[0])) //nolint:gosec // its size was asked for
	header.Level, header.Type = unix.SOL_SOCKET, unix.SCM_RIGHTS
	header.SetLen(unix.CmsgLen(4 * len(list)))
	control := program.Memory(what, rights)
	for i, op := range list {
		op.Into(control, unix.CmsgLen(0)+4*i)
	}
	vector := memory("byte", &unix.Iovec{Len: 1}).Point(int(unsafe.Offsetof(unix.Iovec{}.Base)), p.oneByte)
	message := unix.Msghdr{Iovlen: 1, Controllen: uint64(len(rights))}
	block := memory(what, &message).
		Point(int(unsafe.Offsetof(message.Iov)), vector).
		Point(int(unsafe.Offsetof(message.Control)), control)
	p.Do("send "+what, program.Sendmsg, program.Number(to), program.At(block), program.Number(unix.MSG_NOSIGNAL))
}

// egressPorts are the ports that are listened on for the hosts that may be reached.
func egressPorts(hosts []string) ([]uint16, error) {
	ports, err := portsOf(hosts)
	if err != nil {
		return nil, err
	}
	return loopnet.Ports(ports)
}

func socketAddress(at netip.AddrPort) unix.RawSockaddrInet4 {
	a := unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: at.Addr().As4()}
	binary.BigEndian.PutUint16(unsafe.Slice((*byte)(unsafe.Pointer(&a.Port)), 2), at.Port()) //nolint:gosec // two bytes in the network's order
	return a
}
