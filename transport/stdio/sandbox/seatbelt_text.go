package sandbox

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A seatbeltText is a profile in Apple's language as it is written: of the rules that match
// an operation, the last one decides. Every path is allowed something and none is denied, so
// that a second name for a file opens nothing.
type seatbeltText struct {
	strings.Builder

	err error
}

// A matcher is what a rule holds for: "subpath" of a path.
type matcher struct{ kind, value string }

// start writes what does not depend on the profile.
func (s *seatbeltText) start() {
	s.comment("Made by mcpsec from a profile. Use: sandbox-exec -f FILE PROGRAM ARGUMENTS")
	s.WriteString("(version 1)\n(deny default)\n")
	s.comment("What some versions allow whatever the default is.")
	s.WriteString("(deny file-map-executable iokit-get-properties mach-priv-host-port nvram* process-info* sysctl-read)\n")
	s.comment("Of itself. A child has the same profile; no child gets rights by its file (setuid).")
	s.WriteString("(allow process-fork)\n(allow process-info* (target self))\n(allow signal (target self))\n")
	s.comment("About the machine, by name.")
	names := []matcher{{"sysctl-name-prefix", "hw."}, {"sysctl-name-prefix", "machdep.cpu."}}
	for _, name := range seatbeltSysctls {
		names = append(names, matcher{"sysctl-name", name})
	}
	s.rule("sysctl-read", names...)
	s.comment("What a program needs to start.")
	s.rule("file-read*", literal("/"), literal("/dev/null"), literal("/dev/random"), literal("/dev/urandom"), literal("/dev/zero"), matcher{"subpath", "/dev/fd"})
	s.rule("file-write-data", literal("/dev/null"), literal("/dev/zero"), matcher{"subpath", "/dev/fd"})
	s.rule("file-read* file-map-executable", subpaths(seatbeltLibraries)...)
	s.rule("file-read*", subpaths(seatbeltLoader)...)
}

// files writes what the profile says of paths.
func (s *seatbeltText) files(v *view, system bool) {
	if system {
		s.comment("Programs of the system, and what they read.")
		s.rule("process-exec* file-read* file-map-executable", subpaths(seatbeltPrograms)...)
		s.rule("file-read*", subpaths(seatbeltShared)...)
	}
	s.comment("The profile's own: executed, read, written.")
	s.rule("process-exec* file-read* file-map-executable", subpaths(v.of(mayExec))...)
	s.rule("file-read*", subpaths(v.of(mayRead))...)
	s.rule("file-read* file-write*", subpaths(v.of(mayWrite))...)
	s.comment("What lies above them: that it is there, and no more.")
	above := ancestors(slices.Concat(v.of(mayExec, mayRead, mayWrite), seatbeltLibraries, seatbeltLoader, []string{"/dev/null"}))
	if system {
		above = append(above, ancestors(slices.Concat(seatbeltPrograms, seatbeltShared))...)
		above = append(above, seatbeltAliases...)
	}
	for _, l := range v.links {
		above = append(append(above, l.at), ancestors([]string{l.at})...)
	}
	slices.Sort(above)
	var list []matcher
	for _, name := range slices.Compact(above) {
		list = append(list, literal(name))
	}
	s.rule("file-read-metadata", list...)
}

// network writes what the profile says of sockets.
func (s *seatbeltText) network(v *view, p *Profile, proxy uint16) {
	if proxy != 0 {
		s.comment("The proxy, which knows the hosts by name.")
		s.rule("network-outbound", port("remote", proxy))
	}
	if len(p.Listen) > 0 {
		s.comment("Ports to listen on, of the loopback.")
		ports := slices.Clone(p.Listen)
		slices.Sort(ports)
		var list []matcher
		for _, number := range slices.Compact(ports) {
			list = append(list, port("local", number))
		}
		s.rule("network-bind network-inbound", list...)
	}
	if p.Unix {
		s.comment("Sockets in the folders that are written.")
		s.rule("network-bind network-inbound network-outbound", subpaths(v.of(mayWrite))...)
	}
}

// rule allows operations; without matchers it writes nothing, since that would be everything.
func (s *seatbeltText) rule(operations string, matchers ...matcher) {
	if len(matchers) == 0 {
		return
	}
	s.WriteString("(allow " + operations)
	for _, f := range matchers {
		quoted, err := seatbeltQuote(f.value)
		if err != nil {
			s.err = fmt.Errorf("profile: %q: %w", f.value, err)
		}
		s.WriteString("\n\t(" + f.kind + " " + quoted + ")")
	}
	s.WriteString(")\n")
}

// comment writes a line of ours; nothing of a profile's stands in one.
func (s *seatbeltText) comment(line string) { s.WriteString("; " + line + "\n") }

func literal(name string) matcher { return matcher{"literal", name} }

// port is one of the loopback. The language takes no address there but localhost and any.
func port(side string, number uint16) matcher {
	return matcher{side + " tcp", "localhost:" + strconv.Itoa(int(number))}
}

func subpaths(names []string) []matcher {
	list := make([]matcher, len(names))
	for i, name := range names {
		list[i] = matcher{"subpath", name}
	}
	return list
}
