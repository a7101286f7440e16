//go:build linux && (amd64 || arm64)

package sandbox

import (
	"encoding/binary"
	"fmt"
	"net"
	"slices"
	"strconv"
	"unsafe"

	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox/internal/program"
	"golang.org/x/sys/unix"
)

// Where the sockets of the host listen inside. All of 198.18.0.0/15, which is for
// measurements between networks (RFC 2544) and routed nowhere, is local there.
const (
	proxyPort = 3128
	dnsPort   = 53
	maxPorts  = 64
)

// network brings the loopback up, makes every made-up address local, and hands sockets
// that listen there to the host.
func (p *plan) network(d fds) error {
	p.Section(string(NetNamespace))
	s := p.Do("socket", program.Socket, program.Number(unix.AF_INET), program.Number(unix.SOCK_DGRAM|unix.SOCK_CLOEXEC), program.Number(0))
	var up [40]byte // struct ifreq
	copy(up[:], "lo")
	binary.NativeEndian.PutUint16(up[unix.IFNAMSIZ:], unix.IFF_UP|unix.IFF_RUNNING)
	p.Do("loopback up", program.Ioctl, program.Result(s), program.Number(unix.SIOCSIFFLAGS), program.At(program.Memory("lo up", up[:])))
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
	p.listen(unix.SOCK_STREAM, [4]byte{127, 0, 0, 1}, proxyPort)
	p.listen(unix.SOCK_DGRAM, [4]byte{127, 0, 0, 53}, dnsPort)
	for _, port := range ports {
		p.listen(unix.SOCK_STREAM, [4]byte{}, port)
	}
	p.send("sockets", d.child, p.sockets)
	return nil
}

// served reports whether sockets of the host listen inside.
func (p *plan) served() bool {
	return len(p.command.Profile.Egress) > 0 && p.all(NetNamespace, Egress)
}

// route asks the kernel for "ip route add local 198.18.0.0/15 dev lo".
func (p *plan) route() {
	const size = unix.SizeofNlMsghdr + unix.SizeofRtMsg + 2*8
	type request struct {
		header  unix.NlMsghdr
		message unix.RtMsg
		dst     unix.RtAttr
		network [4]byte
		oif     unix.RtAttr
		index   uint32
	}
	r := request{
		header: unix.NlMsghdr{Len: size, Type: unix.RTM_NEWROUTE, Flags: unix.NLM_F_REQUEST | unix.NLM_F_ACK | unix.NLM_F_CREATE, Seq: 1},
		message: unix.RtMsg{
			Family: unix.AF_INET, Dst_len: 15, Table: unix.RT_TABLE_LOCAL, Protocol: unix.RTPROT_STATIC,
			Scope: unix.RT_SCOPE_HOST, Type: unix.RTN_LOCAL,
		},
		dst: unix.RtAttr{Len: 8, Type: unix.RTA_DST}, network: [4]byte{198, 18, 0, 0},
		oif: unix.RtAttr{Len: 8, Type: unix.RTA_OIF}, index: 1,
	}
	s := p.Do("route socket", program.Socket, program.Number(unix.AF_NETLINK), program.Number(unix.SOCK_RAW|unix.SOCK_CLOEXEC), program.Number(unix.NETLINK_ROUTE))
	p.Do("route", program.Sendto, program.Result(s), program.At(memory("local 198.18.0.0/15", &r)), program.Number(unsafe.Sizeof(r)), program.Number(0), program.Number(0), program.Number(0))
	p.routed = program.Memory("answer", make([]byte, 128))
	p.Do("route answer", program.Recvfrom, program.Result(s), program.At(p.routed), program.Number(128), program.Number(0), program.Number(0), program.Number(0))
	p.Do("close route socket", program.Close, program.Result(s))
}

// routeError is what the kernel answered to the route.
func routeError(answer []byte) error {
	if kind := binary.NativeEndian.Uint16(answer[4:]); kind != unix.NLMSG_ERROR {
		return fmt.Errorf("the kernel answered the route with message %d", kind)
	}
	if code := int32(binary.NativeEndian.Uint32(answer[unix.SizeofNlMsghdr:])); code != 0 { //nolint:gosec // a negative errno
		return fmt.Errorf("the kernel refused the route: %w", unix.Errno(-code)) //nolint:gosec // a negative errno
	}
	return nil
}

func (p *plan) listen(kind int, ip [4]byte, port uint16) {
	name := net.JoinHostPort(net.IP(ip[:]).String(), strconv.Itoa(int(port)))
	s := p.Do("socket "+name, program.Socket, program.Number(unix.AF_INET), program.Number(kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK), program.Number(0))
	address := socketAddress(ip, port)
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

// egressPorts are the ports of the hosts that may be reached, with those that every
// program tries.
func egressPorts(hosts []string) ([]uint16, error) {
	ports, err := portsOf(hosts)
	if err != nil {
		return nil, err
	}
	if slices.Contains(ports, proxyPort) {
		return nil, fmt.Errorf("profile: egress: port %d inside is the proxy's", proxyPort)
	}
	ports = append(ports, 80, 443)
	slices.Sort(ports)
	if ports = slices.Compact(ports); len(ports) > maxPorts {
		return nil, fmt.Errorf("profile: egress to %d ports: at most %d", len(ports), maxPorts)
	}
	return ports, nil
}

func socketAddress(ip [4]byte, port uint16) unix.RawSockaddrInet4 {
	a := unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: ip}
	binary.BigEndian.PutUint16(unsafe.Slice((*byte)(unsafe.Pointer(&a.Port)), 2), port) //nolint:gosec // two bytes in the network's order
	return a
}
