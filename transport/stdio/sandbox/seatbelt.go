package sandbox

import (
	"errors"
	"fmt"
	"path"
	"runtime"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/mcpsec/mcpsec-go/transport/stdio/egress"
)

// Seatbelt returns the profile of a command as text for macOS: a file that
// "sandbox-exec -f FILE PROGRAM ARGUMENTS" puts in force. It is text and nothing more, made
// on every system; [Start] refuses to start on macOS all the same, since nothing there can be
// seen from outside. The tests of this package compare the text and its form and never run
// it: try it on the version of macOS you mean before you rely on it (13 is the oldest meant).
//
// Everything is denied but what the profile names: its paths, with the loader and the
// libraries of the system, without which no program of macOS starts; Listen on the loopback;
// Unix sockets below Write, if Unix is set. If there is Egress, only the TCP port proxy of
// the loopback may be connected to, where the caller runs an [egress.Server]: a profile of
// macOS cannot tell hosts by name, and names are not looked up inside, so that a program must
// be told of the proxy (HTTPS_PROXY). Without Egress, proxy must be 0. No service is looked
// up by name (mach-lookup): a program starts without. One that leaves the check of
// certificates to the system, as Go's does, finds that service closed too, since it fetches
// addresses that stand in a certificate: it has to bring its own roots
// (golang.org/x/crypto/x509roots/fallback with GODEBUG=x509usefallbackroots=1).
//
// Not covered: Limits, Syscalls, NoFileless, User, Dir and Env, which whoever starts the program
// sets, Mounts at another place (an error), a private /tmp or loopback (name a folder in Write,
// and set TMPDIR), the list of system calls, and processes that are left behind. The name of
// the host, its hardware and what lies at the top of its file system can be seen. So, as others
// have measured, can the arguments and the environment of the user's other programs (the sysctl
// kern.procargs2), whatever a profile says: keep no secret there, or run the server as another
// user. A process may signal itself and nobody else.
//
// On macOS paths must exist and their links are followed. Elsewhere they are taken as they
// are, but for /etc, /tmp and /var, which are links on macOS. A path that is no UTF-8, has
// control characters, is longer than macOS takes or goes by /System/Volumes/Data is an error,
// as is a Program that is given as an open file: macOS runs what lies at Path, below Exec.
func Seatbelt(c *Command, proxy uint16) (string, error) {
	if runtime.GOOS == "darwin" {
		return seatbelt(c, proxy, resolve)
	}
	return seatbelt(c, proxy, lexical)
}

// What every program of macOS needs to start: the loader and what it maps.
var (
	seatbeltLibraries = []string{"/System/Cryptexes", "/System/Library", "/System/Volumes/Preboot/Cryptexes", "/usr/lib"}
	seatbeltLoader    = []string{"/private/var/db/dyld"}
	// What Profile.System adds.
	seatbeltPrograms = []string{"/bin", "/sbin", "/usr/bin", "/usr/libexec", "/usr/sbin"}
	seatbeltShared   = []string{
		"/private/etc/localtime", "/private/etc/protocols", "/private/etc/services", "/private/etc/ssl",
		"/private/var/db/timezone", "/private/var/select", "/usr/share",
	}
	// What a runtime asks about the machine, and nothing about other processes.
	seatbeltSysctls = []string{
		"kern.argmax", "kern.boottime", "kern.hostname", "kern.maxfilesperproc", "kern.osproductversion", "kern.osrelease",
		"kern.ostype", "kern.osversion", "kern.secure_kernel", "kern.usrstack64", "kern.version", "sysctl.proc_cputype",
	}
)

// seatbeltAliases are links at the top of macOS's file system.
var seatbeltAliases = []string{"/etc", "/tmp", "/var"}

// lexical is [resolve] for paths of macOS, on another system.
func lexical(name string) (string, []link, error) {
	for _, at := range seatbeltAliases {
		if within(name, at) {
			return "/private" + name, []link{{at: at, to: "private" + at}}, nil
		}
	}
	return name, nil, nil
}

func seatbelt(c *Command, proxy uint16, follow func(string) (string, []link, error)) (string, error) {
	p := c.Profile
	if err := p.Limits.check(); err != nil {
		return "", err
	}
	if len(p.Egress) > 0 == (proxy == 0) {
		return "", errors.New("sandbox: seatbelt: hosts to reach and the port of a proxy go together: macOS knows no hosts by name")
	}
	if _, err := egress.Parse(p.Egress...); err != nil {
		return "", fmt.Errorf("profile: %w", err)
	}
	v, err := seatbeltView(c, follow)
	if err != nil {
		return "", err
	}
	s := &seatbeltText{}
	s.start()
	s.files(v, p.System)
	s.network(v, &p, proxy)
	if s.err != nil {
		return "", s.err
	}
	return s.String(), nil
}

// seatbeltView is [newView] for paths that need not be there, with the rules that hold where
// only paths are compared and nothing is mounted.
func seatbeltView(c *Command, follow func(string) (string, []link, error)) (*view, error) {
	if c.Program != nil {
		return nil, errors.New("sandbox: seatbelt: macOS runs no open file: put the program at Path, below Exec")
	}
	v := &view{}
	add := func(name string, a access) error {
		if !path.IsAbs(name) {
			return errors.New("not an absolute path")
		}
		if _, err := seatbeltQuote(name); err != nil {
			return err
		}
		found, links, err := follow(path.Clean(name))
		if err != nil {
			return err
		}
		v.entries = append(v.entries, entry{source: found, target: found, access: a})
		v.links = append(v.links, links...)
		return errors.Join(reserved(same(found)), onVolume(found))
	}
	for _, part := range []struct {
		paths  []string
		access access
	}{{c.Profile.Read, mayRead}, {c.Profile.Exec, mayExec}, {c.Profile.Write, mayWrite}} {
		for _, name := range part.paths {
			if err := add(name, part.access); err != nil {
				return nil, fmt.Errorf("profile: %s %q: %w", part.access, name, err)
			}
		}
	}
	for _, m := range c.Mounts {
		a := mayRead
		if m.Exec {
			a = mayExec
		}
		if m.Source != m.Target {
			return nil, fmt.Errorf("mount %q at %q: macOS shows nothing at another place", m.Source, m.Target)
		}
		if err := add(m.Source, a); err != nil {
			return nil, fmt.Errorf("mount %q: %w", m.Source, err)
		}
	}
	if len(v.entries) > maxEntries {
		return nil, fmt.Errorf("profile: %d paths: at most %d", len(v.entries), maxEntries)
	}
	if err := errors.Join(v.unforged(), v.apart()); err != nil {
		return nil, err
	}
	if err := v.runs(c.Path, c.Profile.System, follow); err != nil {
		return nil, err
	}
	return v, nil
}

// same returns a spelling that two names have in common which most disks of macOS take for one:
// whatever their case, and whether letters are composed.
func same(name string) string { return strings.ToLower(norm.NFD.String(strings.ToUpper(name))) }

// onVolume refuses the second name that every folder of the data has, and what is above it.
func onVolume(name string) error {
	const volume = "/system/volumes/data"
	if n := same(name); within(n, volume) || within(volume, n) {
		return errors.New("/System/Volumes/Data is all data under a second name: use the first")
	}
	return nil
}

// apart refuses paths of different rights where the one that is written would decide about
// the other: a folder above it can be renamed, and with it what a path means.
func (v *view) apart() error {
	var fixed []entry
	for _, name := range slices.Concat(seatbeltLibraries, seatbeltLoader, seatbeltPrograms, seatbeltShared) {
		fixed = append(fixed, entry{target: name, access: mayExec})
	}
	for _, w := range v.entries {
		if w.access != mayWrite {
			continue
		}
		for _, e := range slices.Concat(v.entries, fixed) {
			mine, other := same(w.target), same(e.target)
			switch below := within(other, mine); {
			case e.access == mayExec && (below || within(mine, other)):
				return fmt.Errorf("profile: %q may be written and %q executed: what is written must not be executed: name narrower paths", w.target, e.target)
			case e.access == mayRead && below && other != mine:
				return fmt.Errorf("profile: %q is to be read only within %q, which is written: nothing on macOS enforces that", e.target, w.target)
			}
		}
	}
	return nil
}

// runs reports an error if the view does not let the program be executed.
func (v *view) runs(name string, system bool, follow func(string) (string, []link, error)) error {
	if !path.IsAbs(name) {
		return fmt.Errorf("sandbox: the program %q is no absolute path", name)
	}
	found, links, err := follow(path.Clean(name))
	if err != nil {
		return fmt.Errorf("sandbox: the program %q: %w", name, err)
	}
	v.links = append(v.links, links...)
	if system && slices.ContainsFunc(seatbeltPrograms, func(dir string) bool { return within(found, dir) }) {
		return nil
	}
	if slices.ContainsFunc(v.entries, func(e entry) bool { return e.access == mayExec && within(found, e.target) }) {
		return nil
	}
	return fmt.Errorf("sandbox: the program %q is not below one of the profile's Exec paths", name)
}

// of returns the paths with one of the rights, sorted, each once.
func (v *view) of(rights ...access) []string {
	var names []string
	for _, e := range v.entries {
		if slices.Contains(rights, e.access) {
			names = append(names, e.target)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// seatbeltQuote writes a path as a string of the profile. What has no plain spelling is refused.
func seatbeltQuote(name string) (string, error) {
	const longest = 1023 // PATH_MAX of macOS, without the end
	if len(name) > longest || !utf8.ValidString(name) {
		return "", fmt.Errorf("longer than %d bytes, or not UTF-8", longest)
	}
	if strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 }) {
		return "", errors.New("a path with control characters")
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `"`, nil
}

// ancestors are the folders above paths, without the root.
func ancestors(names []string) []string {
	var all []string
	for _, name := range names {
		for dir := path.Dir(name); dir != "/"; dir = path.Dir(dir) {
			all = append(all, dir)
		}
	}
	return all
}
