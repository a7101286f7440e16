package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mcpsec/mcpsec-go/internal/test/asuser"
)

// A process is a supervised one.
type process struct {
	*exec.Cmd

	listener *os.File
	out, err bytes.Buffer
}

// start runs this binary as a supervised process and returns when it is one.
func start(t *testing.T, stdin io.Reader, action string, args ...string) *process {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "ours"), os.NewFile(uintptr(pair[1]), "theirs")
	defer ours.Close()
	p := &process{Cmd: exec.CommandContext(t.Context(), "/proc/self/exe", args...)}
	p.Env = append(os.Environ(), actionVariable+"="+action)
	p.Stdin, p.Stdout, p.Stderr = stdin, &p.out, &p.err
	p.ExtraFiles = []*os.File{theirs}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	oob := make([]byte, 64)
	_, n, _, _, err := unix.Recvmsg(pair[0], make([]byte, 1), oob, unix.MSG_CMSG_CLOEXEC)
	if err != nil || n == 0 {
		p.Wait()
		t.Fatalf("no listener: %v %s", err, &p.err)
	}
	messages, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil {
		t.Fatal(err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		t.Fatal(err)
	}
	p.listener = os.NewFile(uintptr(fds[0]), "listener")
	return p
}

// A host answers connect calls to 198.18.0.1:443 with "hello" and refuses others.
type host struct {
	t     *testing.T
	mu    sync.Mutex
	asked []netip.AddrPort
	ends  []net.Conn
}

func (h *host) connect(ctx context.Context, address netip.AddrPort) (*net.TCPConn, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asked = append(h.asked, address)
	if address != netip.MustParseAddrPort("198.18.0.1:443") {
		return nil, errors.New("refused")
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer l.Close()
	inside, err := net.Dial("tcp4", l.Addr().String())
	if err != nil {
		return nil, err
	}
	outside, err := l.Accept()
	if err != nil {
		return nil, err
	}
	io.WriteString(outside, "hello")
	h.ends = append(h.ends, outside)
	return inside.(*net.TCPConn), nil
}

func (h *host) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.ends {
		c.Close()
	}
}

// run supervises an action to its end and returns what the process saw.
func run(t *testing.T, action string) (*host, []step) {
	t.Helper()
	p := start(t, nil, action)
	h := &host{t: t}
	defer h.close()
	if err := Serve(t.Context(), p.listener, h.connect); err != nil {
		t.Errorf("Serve: %v", err)
	}
	if err := p.Wait(); err != nil {
		t.Fatalf("%v %s", err, &p.err)
	}
	var steps []step
	if err := json.Unmarshal(p.out.Bytes(), &steps); err != nil {
		t.Fatalf("%v in %q", err, &p.out)
	}
	return h, steps
}

func TestSocketIsSwapped(t *testing.T) {
	if asuser.Again(t) {
		return
	}
	_, steps := run(t, "talk")
	want := []step{
		{"socket", 0, ""},
		{"connect", 0, ""},
		{"read", 0, "hello"},
		{"connect again", 0, ""}, // as one that a signal interrupted: the two cannot be told apart
		{"flags", 0, "nonblock=false cloexec=true"},
		{"time-out", 0, "7"},
	}
	if !slices.Equal(steps, want) {
		t.Errorf("%+v", steps)
	}
}

func TestFlagsOfTheSocketAreKept(t *testing.T) {
	if asuser.Again(t) {
		return
	}
	h, steps := run(t, "nonblocking")
	if want := []step{{"connect", 0, ""}, {"flags", 0, "nonblock=true cloexec=false"}}; !slices.Equal(steps, want) {
		t.Errorf("%+v", steps)
	}
	if len(h.asked) != 1 || h.asked[0].Addr().Is4In6() {
		t.Errorf("asked %v", h.asked)
	}
}

func TestOtherCallsAreRefused(t *testing.T) {
	if asuser.Again(t) {
		return
	}
	h, steps := run(t, "refused")
	want := []step{
		{"metadata", int(unix.EACCES), ""},
		{"six on a socket of four", int(unix.EAFNOSUPPORT), ""},
		{"address in no memory", int(unix.EFAULT), ""},
		{"negative length", int(unix.EFAULT), ""},
		{"long length", int(unix.EFAULT), ""},
		{"unspecified family", int(unix.EAFNOSUPPORT), ""},
		{"pipe", int(unix.ENOTSOCK), ""},
		{"closed", int(unix.EBADF), ""},
		{"datagrams", int(unix.EAFNOSUPPORT), ""},
		{"local", int(unix.EAFNOSUPPORT), ""},
		{"getpeername", int(unix.ENOTCONN), ""},
	}
	if !slices.Equal(steps, want) {
		t.Errorf("%+v", steps)
	}
	if len(h.asked) != 1 {
		t.Errorf("the host was asked for %v", h.asked)
	}
}

// What is decided about is what is connected: the socket leads to the host's end or nowhere.
func TestAddressThatChangesAfterTheCheck(t *testing.T) {
	if asuser.Again(t) {
		return
	}
	_, steps := run(t, "race")
	if len(steps) == 0 {
		t.Error("nothing was ever connected")
	}
	for _, s := range steps {
		if s.Value != "[127 0 0 1]" {
			t.Errorf("connected to %s", s.Value)
		}
	}
}

func TestCallsThatSignalsInterrupt(t *testing.T) {
	if asuser.Again(t) {
		return
	}
	for _, action := range []string{"signals", "signals+killable"} {
		_, steps := run(t, action)
		for i, s := range steps {
			if s.Errno != 0 {
				t.Errorf("%s: connect %d: %v", action, i, syscall.Errno(s.Errno))
			}
		}
		if len(steps) != 200 {
			t.Errorf("%s: %d steps", action, len(steps))
		}
	}
}

func TestServeEndsWithItsContext(t *testing.T) {
	if asuser.Again(t) {
		return
	}
	in, hold, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, in, "unsupervised")
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	if err := Serve(ctx, p.listener, (&host{t: t}).connect); !errors.Is(err, context.Canceled) {
		t.Errorf("Serve: %v", err)
	}
	hold.Close()
	if err := p.Wait(); err != nil {
		t.Fatal(err)
	}
	if want := `"errno":38`; !strings.Contains(p.out.String(), want) { // ENOSYS
		t.Errorf("without a supervisor: %s", &p.out)
	}
}

func TestServeRefusesWhatIsNoListener(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	w.WriteString("x")
	if err := Serve(t.Context(), r, nil); err == nil {
		t.Error("a pipe was served")
	}
}

func FuzzParseAddress(f *testing.F) {
	f.Add([]byte{2, 0, 1, 187, 198, 18, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add(append([]byte{10, 0, 1, 187, 0, 0, 0, 0}, make([]byte, 20)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, family, err := parseAddress(b)
		if (err == nil) != a.IsValid() || err == nil && family != unix.AF_INET && family != unix.AF_INET6 {
			t.Errorf("%x: %v %d %v", b, a, family, err)
		}
		if err == nil && a.Addr().Is4In6() {
			t.Errorf("%x: %v", b, a)
		}
	})
}
