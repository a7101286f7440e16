package loopnet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestPortsThatAreTriedAreListenedOn(t *testing.T) {
	t.Parallel()
	many := make([]uint16, MaxPorts)
	for i := range many {
		many[i] = uint16(1000 + i)
	}
	for name, test := range map[string]struct {
		reached, want []uint16
		err           string
	}{
		"none":            {nil, []uint16{80, 443}, ""},
		"another":         {[]uint16{8443, 22}, []uint16{22, 80, 443, 8443}, ""},
		"one of them":     {[]uint16{443, 443}, []uint16{80, 443}, ""},
		"the proxy's":     {[]uint16{443, 3128}, nil, "port 3128 inside is the proxy's"},
		"as many as may":  {many[:MaxPorts-2], append([]uint16{80, 443}, many[:MaxPorts-2]...), ""},
		"one port more":   {many[:MaxPorts-1], nil, "65 ports: at most 64"},
		"and still more ": {many, nil, "at most 64"},
	} {
		before := slices.Clone(test.reached)
		got, err := Ports(test.reached)
		if !slices.Equal(got, test.want) || (err == nil) != (test.err == "") || !strings.Contains(fmt.Sprint(err), test.err) || !slices.Equal(before, test.reached) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func TestAddressesAgree(t *testing.T) {
	t.Parallel()
	if text := "nameserver " + DNS.Addr().String() + "\n"; !strings.HasPrefix(ResolvConf, text) {
		t.Errorf("programs ask %q, and the name server is %s", ResolvConf, DNS)
	}
	for _, at := range []netip.AddrPort{Proxy, DNS} {
		if !at.Addr().IsLoopback() {
			t.Errorf("%s can be reached from elsewhere", at)
		}
	}
	if got := Transparent(443).String(); got != "0.0.0.0:443" {
		t.Error(got)
	}
}

// The request is the one that "ip route add local 198.18.0.0/15 dev lo" makes.
func TestRouteIsWholeAndNoMore(t *testing.T) {
	t.Parallel()
	r := Route()
	if size := binary.NativeEndian.Uint32(r); int(size) != len(r) || len(r) != 44 {
		t.Errorf("%d bytes, %d said", len(r), size)
	}
	if kind := binary.NativeEndian.Uint16(r[4:]); kind != unix.RTM_NEWROUTE {
		t.Errorf("message %d", kind)
	}
	if m := r[16:28]; m[0] != unix.AF_INET || m[1] != 15 || m[4] != unix.RT_TABLE_LOCAL || m[7] != unix.RTN_LOCAL {
		t.Errorf("% x", m)
	}
	if got := netip.AddrFrom4([4]byte(r[32:36])); got != netip.MustParseAddr("198.18.0.0") {
		t.Error(got)
	}
	if oif := binary.NativeEndian.Uint32(r[40:]); oif != 1 {
		t.Errorf("interface %d", oif)
	}
}

func TestAnswersThatAreNone(t *testing.T) {
	t.Parallel()
	answer := func(kind uint16, code int32) []byte {
		b := make([]byte, 36)
		binary.NativeEndian.PutUint32(b, 36)
		binary.NativeEndian.PutUint16(b[4:], kind)
		binary.NativeEndian.PutUint32(b[16:], uint32(code))
		return b
	}
	for name, test := range map[string]struct {
		answer []byte
		errno  unix.Errno
		want   string
	}{
		"agreed":          {answer(unix.NLMSG_ERROR, 0), 0, ""},
		"refused":         {answer(unix.NLMSG_ERROR, -int32(unix.EPERM)), unix.EPERM, "operation not permitted"},
		"another message": {answer(unix.NLMSG_DONE, 0), 0, "the kernel answered the route with message 3"},
		"short":           {answer(unix.NLMSG_ERROR, 0)[:19], 0, "a short answer"},
		"empty":           {nil, 0, "a short answer"},
	} {
		err := RouteAnswer(test.answer)
		errno, _ := errors.AsType[unix.Errno](err)
		if errno != test.errno || (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLoopbackIsUp(t *testing.T) {
	t.Parallel()
	r, err := Up()
	if err != nil || r.Name() != "lo" || r.Uint16() != unix.IFF_UP|unix.IFF_RUNNING {
		t.Errorf("%+v, %v", r, err)
	}
}
