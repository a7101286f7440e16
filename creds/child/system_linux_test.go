package child

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
)

func TestParseAddress(t *testing.T) {
	t.Parallel()
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		t.Skip("reason: these examples are of a little-endian machine")
	}
	for text, want := range map[string]string{
		"0100007F:1F90":                         "127.0.0.1:8080",
		"0000000000000000FFFF00000100007F:1F90": "127.0.0.1:8080",
		"00000000000000000000000001000000:0001": "[::1]:1",
		"0100007F":                              "", "0100007F:1F90F": "", "01007F:1": "", "x:1": "", "": "",
	} {
		got, ok := parseAddress(text)
		if ok != (want != "") || ok && got != netip.MustParseAddrPort(want) {
			t.Errorf("%s: %v %v", text, got, ok)
		}
	}
}

// The tables of the kernel say whose a connection is, in both families.
func TestBelongs(t *testing.T) {
	t.Parallel()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp4", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	for _, address := range []string{l.Addr().String(), "[::ffff:127.0.0.1]" + l.Addr().String()[strings.LastIndex(l.Addr().String(), ":"):]} {
		c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
		must(t, err)
		t.Cleanup(func() { _ = c.Close() })
		peer, local := c.LocalAddr().(*net.TCPAddr).AddrPort(), l.Addr().(*net.TCPAddr).AddrPort()
		peer = netip.AddrPortFrom(peer.Addr().Unmap(), peer.Port())
		if !belongs(os.Getpid(), peer, local) {
			t.Errorf("%s: not ours", address)
		}
		if !belongs(os.Getppid(), peer, local) {
			t.Errorf("%s: not our parent's family's", address)
		}
		if belongs(os.Getpid(), netip.AddrPortFrom(peer.Addr(), 1), local) || belongs(os.Getpid(), peer, peer) {
			t.Errorf("%s: another connection is ours", address)
		}
		if belongs(1<<30, peer, local) {
			t.Errorf("%s: nobody's", address)
		}
	}
}

func TestMemoryFileCannotBeChanged(t *testing.T) {
	t.Parallel()
	f, err := memoryFile([]byte(canary))
	must(t, err)
	defer f.Close()
	if _, err := f.WriteAt([]byte("x"), 0); err == nil {
		t.Error("written to")
	}
	if err := f.Truncate(0); err == nil {
		t.Error("truncated")
	}
}
