package loopnet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Up is what the kernel is asked for with SIOCSIFFLAGS, so that the loopback is up.
func Up() (*unix.Ifreq, error) {
	r, err := unix.NewIfreq("lo")
	if err != nil {
		return nil, err
	}
	r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return r, nil
}

// Route asks the kernel, by a socket of NETLINK_ROUTE, for
// "ip route add local 198.18.0.0/15 dev lo".
func Route() []byte {
	const loopback = 1 // the index of the first interface of every namespace
	r := struct {
		header  unix.NlMsghdr
		message unix.RtMsg
		dst     unix.RtAttr
		network [4]byte
		oif     unix.RtAttr
		index   uint32
	}{
		header: unix.NlMsghdr{Type: unix.RTM_NEWROUTE, Flags: unix.NLM_F_REQUEST | unix.NLM_F_ACK | unix.NLM_F_CREATE, Seq: 1},
		message: unix.RtMsg{
			Family: unix.AF_INET, Dst_len: 15, Table: unix.RT_TABLE_LOCAL, Protocol: unix.RTPROT_STATIC,
			Scope: unix.RT_SCOPE_HOST, Type: unix.RTN_LOCAL,
		},
		dst: unix.RtAttr{Len: 8, Type: unix.RTA_DST}, network: [4]byte{198, 18, 0, 0},
		oif: unix.RtAttr{Len: 8, Type: unix.RTA_OIF}, index: loopback,
	}
	r.header.Len = uint32(unsafe.Sizeof(r))
	return unsafe.Slice((*byte)(unsafe.Pointer(&r)), unsafe.Sizeof(r)) //nolint:gosec // plain fields without gaps, as bytes
}

// RouteAnswer is what the kernel says to [Route]: nil, the [unix.Errno] with which it
// refuses, or that it says something else.
func RouteAnswer(answer []byte) error {
	if len(answer) < unix.SizeofNlMsghdr+4 {
		return errors.New("netlink: a short answer")
	}
	if kind := binary.NativeEndian.Uint16(answer[4:]); kind != unix.NLMSG_ERROR {
		return fmt.Errorf("the kernel answered the route with message %d", kind)
	}
	if code := int32(binary.NativeEndian.Uint32(answer[unix.SizeofNlMsghdr:])); code != 0 { //nolint:gosec // a negative errno
		return unix.Errno(-code) //nolint:gosec // a negative errno
	}
	return nil
}
