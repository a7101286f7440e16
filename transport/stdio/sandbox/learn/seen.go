//go:build linux

package learn

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/mcpsec/mcpsec-go/transport/stdio/egress"
	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox"
	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox/internal/seccomp"
)

// Seen is what a command has touched.
type Seen struct {
	reads, writes, execs, looks map[string]bool
	hosts                       map[string]bool
	listen                      map[uint16]bool
	calls                       map[string]bool
	unix                        bool
}

func newSeen() *Seen {
	return &Seen{
		reads: map[string]bool{}, writes: map[string]bool{}, execs: map[string]bool{}, looks: map[string]bool{},
		hosts: map[string]bool{}, listen: map[uint16]bool{}, calls: map[string]bool{},
	}
}

// Bounds of what is remembered. Ports and system calls are few by themselves.
const (
	maxPaths = 100_000 // of one kind
	maxHosts = 4096
)

func note(set map[string]bool, path string) {
	if filepath.IsAbs(path) && len(set) < maxPaths && !strings.HasSuffix(path, " (deleted)") {
		set[filepath.Clean(path)] = true
	}
}

func (s *Seen) read(path string)  { note(s.reads, path) }
func (s *Seen) write(path string) { note(s.writes, path) }
func (s *Seen) exec(path string)  { note(s.execs, path) }
func (s *Seen) look(path string)  { note(s.looks, path) }

func (s *Seen) connect(addr netip.AddrPort, name string) {
	if name == "" {
		if addr.Addr().IsLoopback() {
			return // its own network has its own loopback
		}
		name = addr.Addr().String()
	}
	if len(s.hosts) < maxHosts {
		s.hosts[host(name, addr.Port())] = true
	}
}

func host(name string, port uint16) string {
	if strings.Contains(name, ":") {
		name = "[" + name + "]"
	}
	return name + ":" + strconv.Itoa(int(port))
}

// own are the places that every sandbox gives its process, other than the host's.
var own = []string{"/proc", "/tmp", "/dev", "/sys", "/run/systemd/resolve", "/etc/passwd", "/etc/group", "/etc/hosts", "/etc/resolv.conf", "/etc/nsswitch.conf", "/etc/host.conf", "/etc/gai.conf"}

func below(path string, dirs []string) bool {
	return slices.ContainsFunc(dirs, func(dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") })
}

// Profile returns the smallest profile that covers what was seen, and what it could not
// put into one, in words.
func (s *Seen) Profile() (p sandbox.Profile, remarks []string) {
	system := resolved(sandbox.SystemPaths())
	outside := func(set map[string]bool) (paths []string) {
		for path := range set {
			switch {
			case below(path, own):
			case below(path, system) || below(target(path), system):
				p.System = true
			default:
				paths = append(paths, path)
			}
		}
		return paths
	}
	p.Exec = packages(outside(s.execs))
	p.Write = folders(outside(s.writes))
	read := slices.DeleteFunc(outside(s.reads), func(path string) bool { return below(path, p.Write) || below(path, p.Exec) })
	for _, path := range outside(s.looks) {
		// A folder that was only looked at is there as the parent of something.
		if info, err := os.Stat(path); err == nil && !info.IsDir() && !below(path, p.Write) && !below(path, p.Exec) {
			read = append(read, path)
		}
	}
	p.Read = packages(read)
	for _, h := range slices.Sorted(maps.Keys(s.hosts)) {
		if strings.HasSuffix(h, ":0") {
			continue // the C library asks the kernel in which order to try addresses
		}
		if _, err := egress.Parse(h); err != nil {
			remarks = append(remarks, fmt.Sprintf("egress %q was reached and no profile can allow it: %v", h, err))
			continue
		}
		p.Egress = append(p.Egress, h)
		if _, err := netip.ParseAddrPort(h); err == nil {
			remarks = append(remarks, fmt.Sprintf("egress %s: no name was seen for the address; write the name if there is one", h))
		}
	}
	p.Listen = slices.Sorted(maps.Keys(s.listen))
	p.Unix = s.unix
	for _, name := range slices.Sorted(maps.Keys(s.calls)) {
		switch {
		case seccomp.Listed(name):
		case seccomp.Breaks(name):
			remarks = append(remarks, fmt.Sprintf("the system call %s was used and no profile can allow it: it breaks the sandbox", name))
		default:
			p.Syscalls = append(p.Syscalls, name)
		}
	}
	return p, remarks
}

// resolved returns the paths and what they link to.
func resolved(paths []string) (all []string) {
	for _, path := range paths {
		all = append(all, path)
		if to := target(path); to != path {
			all = append(all, to)
		}
	}
	return all
}

func target(path string) string {
	to, err := filepath.EvalSymlinks(path)
	if err != nil {
		return path
	}
	return to
}

// roots are folders of packages: a program that reads some of one reads others next time.
var roots = []string{"node_modules", "site-packages", "dist-packages", "vendor"}

// packages replaces files by the folder of packages they lie in, and by their folder where
// it holds several of them.
func packages(paths []string) []string {
	const several = 4
	count := make(map[string]int)
	for i, path := range paths {
		parts := strings.Split(path, "/")
		for j, part := range parts {
			if slices.Contains(roots, part) {
				paths[i] = strings.Join(parts[:j+1], "/")
				break
			}
		}
	}
	slices.Sort(paths)
	paths = slices.Compact(paths)
	for _, path := range paths {
		count[filepath.Dir(path)]++
	}
	for i, path := range paths {
		if dir := filepath.Dir(path); count[dir] >= several && dir != "/" && dir != home() {
			paths[i] = dir
		}
	}
	return outermost(paths)
}

func home() string {
	dir, err := os.UserHomeDir()
	if err != nil {
		return "/"
	}
	return dir
}

// folders replaces what was written by the folder it lies in.
func folders(paths []string) []string {
	for i, path := range paths {
		if info, err := os.Stat(path); err != nil || !info.IsDir() {
			paths[i] = filepath.Dir(path)
		}
	}
	return outermost(paths)
}

// outermost sorts paths and drops those below others.
func outermost(paths []string) (kept []string) {
	slices.SortFunc(paths, func(a, b string) int {
		return cmp.Or(cmp.Compare(strings.Count(a, "/"), strings.Count(b, "/")), cmp.Compare(a, b))
	})
	for _, path := range paths {
		if !below(path, kept) {
			kept = append(kept, path)
		}
	}
	slices.Sort(kept)
	return kept
}

func fdName(fd uint64) string { return "fd/" + strconv.FormatUint(uint64(uint32(fd)), 10) } //nolint:gosec // the kernel reads 32 bits
