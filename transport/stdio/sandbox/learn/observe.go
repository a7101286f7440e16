//go:build linux

package learn

import (
	"encoding/binary"
	"net/netip"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"

	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox/internal/procfs"
	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox/internal/seccomp"
)

// observer notes what the traced processes touch.
type observer struct {
	seen     *Seen
	names    map[netip.Addr]string // from the answers of name servers
	resolver map[descriptor]bool   // sockets that are connected to a name server
}

type descriptor struct {
	process int
	fd      uint64
}

// processOf returns the process a thread belongs to, as far as /proc tells.
func processOf(tid int) int {
	status, _ := procfs.StatusOf("/proc/" + strconv.Itoa(tid)) // an empty one names no process
	process, err := status.Number("Tgid", 10)
	if err != nil || process == 0 {
		return tid
	}
	return int(process) //nolint:gosec // at most 4,194,304
}

// where says which arguments are a folder and a path in it; -1 is the working directory.
type where struct{ dir, path int }

// byPath are the calls that name files, and whether they change what they name. Those
// that only open are judged by what they opened.
var byPath = map[string]struct {
	at      []where
	changes bool
}{
	"stat": {[]where{{-1, 0}}, false}, "lstat": {[]where{{-1, 0}}, false}, "newfstatat": {[]where{{0, 1}}, false}, "statx": {[]where{{0, 1}}, false},
	"access": {[]where{{-1, 0}}, false}, "faccessat": {[]where{{0, 1}}, false}, "faccessat2": {[]where{{0, 1}}, false}, "chdir": {[]where{{-1, 0}}, false},
	"readlink": {[]where{{-1, 0}}, false}, "readlinkat": {[]where{{0, 1}}, false}, "statfs": {[]where{{-1, 0}}, false},
	"mkdir": {[]where{{-1, 0}}, true}, "mkdirat": {[]where{{0, 1}}, true}, "rmdir": {[]where{{-1, 0}}, true}, "unlink": {[]where{{-1, 0}}, true}, "unlinkat": {[]where{{0, 1}}, true},
	"rename": {[]where{{-1, 0}, {-1, 1}}, true}, "renameat": {[]where{{0, 1}, {2, 3}}, true}, "renameat2": {[]where{{0, 1}, {2, 3}}, true},
	"link": {[]where{{-1, 0}, {-1, 1}}, true}, "linkat": {[]where{{0, 1}, {2, 3}}, true}, "symlink": {[]where{{-1, 1}}, true}, "symlinkat": {[]where{{1, 2}}, true},
	"truncate": {[]where{{-1, 0}}, true}, "chmod": {[]where{{-1, 0}}, true}, "fchmodat": {[]where{{0, 1}}, true}, "fchmodat2": {[]where{{0, 1}}, true}, "utimensat": {[]where{{0, 1}}, true},
	"execve": {[]where{{-1, 0}}, false}, "execveat": {[]where{{0, 1}}, false},
}

// begin reads paths before the call can change them.
func (o *observer) begin(s *stop) {
	call, ok := byPath[seccomp.Name(runtime.GOARCH, s.nr)]
	if !ok {
		return
	}
	for i, at := range call.at {
		s.paths[i] = o.resolve(s, at)
	}
}

// resolve makes the path of an argument absolute.
func (o *observer) resolve(s *stop, at where) string {
	path := text(s.tid, s.args[at.path])
	if filepath.IsAbs(path) {
		return path
	}
	dir := link(s.tid, "cwd")
	if at.dir >= 0 && int32(s.args[at.dir]) != unix.AT_FDCWD { //nolint:gosec // the kernel reads 32 bits
		dir = link(s.tid, fdName(s.args[at.dir]))
	}
	if dir == "" || !filepath.IsAbs(dir) {
		return ""
	}
	return filepath.Join(dir, path)
}

// end notes what a call has touched.
func (o *observer) end(s *stop) {
	name := seccomp.Name(runtime.GOARCH, s.nr)
	switch {
	case name == "connect":
		o.connect(s) // also while it is in progress
		return
	case s.failed():
		return
	}
	o.seen.calls[name] = true
	switch name {
	case "open", "openat", "openat2", "creat":
		o.open(s, name)
	case "execve", "execveat":
		o.seen.exec(link(s.tid, "exe"))
		o.seen.exec(s.paths[0])
	case "mmap":
		if s.args[2]&unix.PROT_EXEC != 0 && s.args[3]&unix.MAP_ANONYMOUS == 0 {
			o.seen.exec(link(s.tid, fdName(s.args[4])))
		}
	case "bind":
		if addr, _ := address(s.tid, s.args[1], s.args[2]); addr.Port() != 0 {
			o.seen.listen[addr.Port()] = true
		}
	case "socket":
		if s.args[0] == unix.AF_UNIX {
			o.seen.unix = true
		}
	case "close":
		if len(o.resolver) > 0 {
			delete(o.resolver, descriptor{processOf(s.tid), s.args[0]})
		}
	case "read", "recvfrom":
		o.answer(s, s.args[1], s.result)
	case "recvmsg":
		o.answerIn(s)
	default:
		o.touch(s, name)
	}
}

func (o *observer) touch(s *stop, name string) {
	call, ok := byPath[name]
	if !ok {
		return
	}
	for _, path := range s.paths[:len(call.at)] {
		if call.changes {
			o.seen.write(path)
		} else {
			o.seen.look(path)
		}
	}
}

func (o *observer) open(s *stop, name string) {
	path := link(s.tid, fdName(uint64(s.result))) //nolint:gosec // a descriptor
	var flags uint64
	switch name {
	case "open":
		flags = s.args[1]
	case "openat":
		flags = s.args[2]
	case "creat":
		flags = unix.O_WRONLY | unix.O_CREAT
	case "openat2":
		var how [8]byte
		if len(memory(s.tid, s.args[2], how[:])) == len(how) {
			flags = binary.NativeEndian.Uint64(how[:])
		}
	}
	if flags&(unix.O_ACCMODE|unix.O_CREAT|unix.O_TRUNC) != unix.O_RDONLY {
		o.seen.write(path)
	} else {
		o.seen.read(path)
	}
}

const portDNS = 53

func (o *observer) connect(s *stop) {
	addr, local := address(s.tid, s.args[1], s.args[2])
	switch {
	case local:
		o.seen.unix = true
	case addr.Port() == portDNS:
		o.resolver[descriptor{processOf(s.tid), s.args[0]}] = true
	case addr.IsValid() && !addr.Addr().IsUnspecified():
		o.seen.connect(addr, o.names[addr.Addr()])
	}
}

// address reads a socket address of a process; local says that it names a file.
func address(tid int, at, size uint64) (_ netip.AddrPort, local bool) {
	var raw [28]byte
	got := memory(tid, at, raw[:min(size, uint64(len(raw)))])
	if len(got) < 2 {
		return netip.AddrPort{}, false
	}
	switch family := binary.NativeEndian.Uint16(got); {
	case family == unix.AF_UNIX:
		return netip.AddrPort{}, true
	case family == unix.AF_INET && len(got) >= 8:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(got[4:8])), binary.BigEndian.Uint16(got[2:])), false
	case family == unix.AF_INET6 && len(got) >= 24:
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(got[8:24])).Unmap(), binary.BigEndian.Uint16(got[2:])), false
	}
	return netip.AddrPort{}, false
}

// maxAnswer is more than a name server sends in one packet.
const maxAnswer = 16 << 10

// answer reads what a name server said: which addresses a name has.
func (o *observer) answer(s *stop, at uint64, size int64) {
	if len(o.resolver) == 0 || size <= 0 || size > maxAnswer || !o.resolver[descriptor{processOf(s.tid), s.args[0]}] {
		return
	}
	o.learnNames(memory(s.tid, at, make([]byte, size)))
}

// answerIn is answer for recvmsg, whose buffer lies two steps away.
func (o *observer) answerIn(s *stop) {
	const vectorAt, pointer = 16, 8
	var at, base [pointer]byte
	if len(memory(s.tid, s.args[1]+vectorAt, at[:])) < pointer || len(memory(s.tid, binary.NativeEndian.Uint64(at[:]), base[:])) < pointer {
		return
	}
	o.answer(s, binary.NativeEndian.Uint64(base[:]), s.result)
}

func (o *observer) learnNames(raw []byte) {
	var m dnsmessage.Message
	if m.Unpack(raw) != nil || len(m.Questions) != 1 || len(o.names) >= maxHosts {
		return
	}
	name := strings.TrimSuffix(strings.ToLower(m.Questions[0].Name.String()), ".")
	for _, a := range m.Answers {
		switch body := a.Body.(type) {
		case *dnsmessage.AResource:
			o.names[netip.AddrFrom4(body.A)] = name
		case *dnsmessage.AAAAResource:
			o.names[netip.AddrFrom16(body.AAAA)] = name
		}
	}
}
