//go:build linux

package main

import (
	"encoding/binary"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

func socket(family, kind, protocol int) error {
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, protocol)
	if err == nil {
		_ = unix.Close(fd)
	}
	return err
}

// dial connects, and gives up soon.
func dial(family, kind int, to unix.Sockaddr) error {
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	soon := unix.NsecToTimeval(int64(2 * time.Second))
	_ = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &soon)
	return unix.Connect(fd, to)
}

func v4(port int, a, b, c, d byte) unix.Sockaddr {
	return &unix.SockaddrInet4{Port: port, Addr: [4]byte{a, b, c, d}}
}

func tcp(port int, a, b, c, d byte) error {
	return dial(unix.AF_INET, unix.SOCK_STREAM, v4(port, a, b, c, d))
}

func tcp6(port int, first, last byte) error {
	return dial(unix.AF_INET6, unix.SOCK_STREAM, &unix.SockaddrInet6{Port: port, Addr: [16]byte{0: first, 15: last}})
}

func datagram(port int, a, b, c, d byte) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	return unix.Sendto(fd, []byte("x"), 0, v4(port, a, b, c, d))
}

func bind(port int) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.Bind(fd, v4(port, 127, 0, 0, 1)); err != nil {
		return err
	}
	return unix.Listen(fd, 1)
}

var socketProbes = []probe{
	{52, "families that no server needs", "EAFNOSUPPORT|EPERM", "", func(*place) []string {
		var errs []error
		for _, family := range []int{
			unix.AF_VSOCK, unix.AF_ALG, unix.AF_PACKET, unix.AF_KEY, unix.AF_XDP, unix.AF_BLUETOOTH, unix.AF_CAN, unix.AF_TIPC, unix.AF_RDS, unix.AF_SMC,
		} {
			for _, kind := range []int{unix.SOCK_STREAM, unix.SOCK_DGRAM, unix.SOCK_RAW, unix.SOCK_SEQPACKET} {
				errs = append(errs, socket(family, kind, 0))
			}
		}
		return outcomes(errs...)
	}},
	{53, "talk to the kernel's subsystems", "EAFNOSUPPORT", "", func(*place) []string {
		return outcomes(socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_NETFILTER), socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_XFRM),
			socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_KOBJECT_UEVENT), socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_AUDIT))
	}},
	{53, "list interfaces", "ok", "", func(*place) []string { return outcomes(socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE)) }},
	{54, "change interfaces and routes", "EPERM", "", func(*place) []string {
		return outcomes(route(unix.RTM_NEWLINK, 16), route(unix.RTM_NEWROUTE, 12), route(unix.RTM_NEWADDR, 8))
	}},
	{55, "raw packets", "EPERM|EPROTONOSUPPORT", "EPERM", func(*place) []string {
		return outcomes(socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP), socket(unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_ICMP))
	}},
	{56, "protocols that rules for TCP do not see", "EPROTONOSUPPORT", "EPERM", func(*place) []string {
		return outcomes(socket(unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_MPTCP), socket(unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_SCTP),
			socket(unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_UDPLITE))
	}},
	{57, "connect by the first packet", "EPERM", "", fastOpen},
	{58, "the host's abstract socket", "ECONNREFUSED|EPERM", "EPERM", func(p *place) []string {
		return outcomes(dial(unix.AF_UNIX, unix.SOCK_STREAM, &unix.SockaddrUnix{Name: p.Abstract}))
	}},
	{59, "the host's sockets with a path", "ENOENT|EPERM", "EPERM", func(p *place) []string {
		var errs []error
		for _, path := range []string{p.Out + "/socket", "/var/run/docker.sock", "/run/dbus/system_bus_socket"} {
			errs = append(errs, dial(unix.AF_UNIX, unix.SOCK_STREAM, &unix.SockaddrUnix{Name: path}))
		}
		return outcomes(errs...)
	}},
	{60, "standard input can carry no descriptor", "pipe", "", func(*place) []string {
		info, err := os.Stdin.Stat()
		if err != nil {
			return outcomes(err)
		}
		if info.Mode().Type() == os.ModeNamedPipe {
			return said("pipe")
		}
		return said("%v", info.Mode().Type())
	}},
	{61, "listen on ports that are not listed", "EACCES", "EPERM", func(*place) []string { return outcomes(bind(0), bind(8081)) }},
	{61, "listen on the port that is", "ok", "EPERM", func(p *place) []string { return outcomes(bind(p.Listen)) }},
	{62, "a public address", "ENETUNREACH|EACCES", "EPERM", func(*place) []string { return outcomes(tcp(443, 1, 1, 1, 1), tcp(80, 8, 8, 8, 8)) }},
	{63, "metadata services", "ENETUNREACH|EACCES", "EPERM", func(*place) []string {
		return outcomes(tcp(80, 169, 254, 169, 254), tcp6(80, 0xfd, 0x54), tcp(80, 100, 100, 100, 200))
	}},
	{64, "the host's loopback", "ECONNREFUSED|ENETUNREACH|EACCES", "EPERM", func(p *place) []string {
		return outcomes(tcp(p.Port, 127, 0, 0, 1), tcp6(p.Port, 0, 1), tcp(p.Port, 10, 0, 0, 1))
	}},
	{65, "datagrams", "ENETUNREACH|EPERM", "EPERM", func(*place) []string {
		return outcomes(datagram(53, 8, 8, 8, 8), datagram(443, 1, 1, 1, 1), dial(unix.AF_INET, unix.SOCK_DGRAM, v4(53, 8, 8, 8, 8)))
	}},
}

// route sends a request that changes something and returns the kernel's answer.
func route(kind uint16, body int) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	m := make([]byte, unix.SizeofNlMsghdr+body)
	binary.NativeEndian.PutUint32(m, uint32(len(m))) //nolint:gosec // small
	binary.NativeEndian.PutUint16(m[4:], kind)
	binary.NativeEndian.PutUint16(m[6:], unix.NLM_F_REQUEST|unix.NLM_F_ACK|unix.NLM_F_CREATE)
	if err := unix.Sendto(fd, m, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	answer := make([]byte, 4096)
	n, _, err := unix.Recvfrom(fd, answer, 0)
	if err != nil || n < unix.SizeofNlMsghdr+4 {
		return err
	}
	if code := int32(binary.NativeEndian.Uint32(answer[unix.SizeofNlMsghdr:])); code != 0 { //nolint:gosec // an error number
		return unix.Errno(-code) //nolint:gosec // an error number
	}
	return nil
}

// fastOpen tries the three calls that send; the filter has to refuse them whatever the
// socket.
func fastOpen(p *place) []string {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return outcomes(err)
	}
	fd := pair[0]
	defer func() { _ = unix.Close(pair[0]); _ = unix.Close(pair[1]) }()
	if s, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err == nil {
		defer func() { _ = unix.Close(s) }()
		fd = s
	}
	_, err = unix.SendmsgN(fd, []byte("x"), nil, v4(p.Port, 127, 0, 0, 1), unix.MSG_FASTOPEN)
	var many [64]byte
	return outcomes(unix.Sendto(fd, []byte("x"), unix.MSG_FASTOPEN, v4(p.Port, 127, 0, 0, 1)), err,
		raw(unix.SYS_SENDMMSG, uintptr(fd), pointer(&many), 1, unix.MSG_FASTOPEN))
}
