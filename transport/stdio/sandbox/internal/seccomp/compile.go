//go:build linux

package seccomp

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/sys/unix"
)

//go:generate go run generate.go

// Options say how the published list is cut for a process. The zero value, but for Arch,
// is the narrowest with namespaces.
type Options struct {
	// Arch is "amd64" or "arm64".
	Arch string
	// Inet permits TCP sockets, and Datagram UDP sockets as well; Unix permits sockets of
	// the local family. A pair of local sockets that stay connected is always permitted.
	Inet, Datagram, Unix bool
	// Notify sends every connect call to a supervisor, which makes the connection itself.
	Notify bool
	// NoListen refuses listen: without a bind call before it the kernel chooses a port on all
	// addresses, and Landlock judges bind only.
	NoListen bool
	// NoFileless refuses memory that could be executed as a file, and NoExec every execve.
	NoFileless, NoExec bool
	// Shared says that processes, System V IPC and files are those of the host, so that
	// calls which change another's are refused; ReadOnly then refuses to change mode,
	// owner, times and attributes even of files that may be opened.
	Shared, ReadOnly bool
	// Log lets calls that are not on the list run and has the kernel log them, for
	// learning. Those that break a sandbox, and the rules for arguments, still refuse.
	Log bool
	// Allow are names of calls beyond the list.
	Allow []string
}

// A Filter is a compiled program.
type Filter struct {
	Code []unix.SockFilter
}

type architecture struct {
	audit uint32
	names []string
}

var architectures = map[string]architecture{
	"amd64": {unix.AUDIT_ARCH_X86_64, amd64Names[:]},
	"arm64": {unix.AUDIT_ARCH_AARCH64, arm64Names[:]},
}

// maxCode is the kernel's bound on instructions.
const maxCode = 4096

// Compile makes the filter for the options. It fails for an architecture it has no table
// of, for options that undo each other, and for names in Allow that are unknown, that
// have a rule for their arguments, or that break the sandbox.
func Compile(o Options) (*Filter, error) {
	arch, ok := architectures[o.Arch]
	if !ok {
		return nil, fmt.Errorf("seccomp: no table of system calls for %q: amd64 and arm64 have one", o.Arch)
	}
	if o.Notify && o.Datagram {
		return nil, errors.New("seccomp: datagrams need no connect, so that a supervisor of connect cannot see them")
	}
	answers, err := o.answers(arch.names)
	if err != nil {
		return nil, err
	}
	code := share(whole(arch, answers))
	if len(code) > maxCode {
		return nil, fmt.Errorf("seccomp: %d instructions, the kernel takes %d", len(code), maxCode)
	}
	return &Filter{Code: code}, nil
}

// whole is the program as it reads: the architecture, the number, the rule of the call.
func whole(arch architecture, answers map[string]block) block {
	return after(is(arch.audit, after(tree(spans(arch.names, answers)), load(numberAt)), answer(kill)), load(archAt))
}

// answers are what calls get that do not get the default.
func (o Options) answers(names []string) (map[string]block, error) {
	answers := make(map[string]block)
	set := func(names []string, b block) {
		for _, name := range names {
			answers[name] = b
		}
	}
	if o.Log {
		set(names, answer(record))
		set(breaking, answer(refuse))
	}
	set(allowed, answer(allow))
	set(absent, answer(unknown))
	rules := o.rules()
	for _, name := range o.Allow {
		switch {
		case Number("amd64", name) < 0 && Number("arm64", name) < 0:
			return nil, fmt.Errorf("seccomp: no system call is named %q", name)
		case slices.Contains(breaking, name):
			return nil, fmt.Errorf("seccomp: %s would break the sandbox and cannot be allowed", name)
		case rules[name] != nil:
			return nil, fmt.Errorf("seccomp: %s is allowed or refused by its arguments and cannot be allowed as a whole", name)
		case o.Shared && (slices.Contains(shared, name) || slices.Contains(byPath, name)):
			return nil, fmt.Errorf("seccomp: %s reaches what belongs to the host where there are no namespaces", name)
		}
		answers[name] = answer(allow)
	}
	set(shared, answer(allow))
	if o.Shared {
		set(shared, answer(refuse))
		set(byPath, answer(refuse))
		if o.ReadOnly {
			set(byDescriptor, answer(refuse))
		}
	}
	maps.Copy(answers, rules)
	return answers, nil
}

// A span is a run of numbers, from first up to the next span's, with one answer.
type span struct {
	first uint32
	then  block
}

func spans(names []string, answers map[string]block) []span {
	var list []span
	add := func(number int, b block) {
		if len(list) == 0 || !slices.Equal(list[len(list)-1].then, b) {
			list = append(list, span{uint32(number), b}) //nolint:gosec // a system call
		}
	}
	for number, name := range names {
		b, ok := answers[name]
		switch {
		case name == "":
			b = answer(unknown)
		case !ok:
			b = answer(refuse)
		}
		add(number, b)
	}
	// Newer calls, and those of x32, which have a bit above.
	add(len(names), answer(unknown))
	return list
}

// tree searches the spans by halves.
func tree(list []span) block {
	if len(list) == 1 {
		return list[0].then
	}
	half := len(list) / 2
	return least(list[half].first, tree(list[half:]), tree(list[:half]))
}

// Digest is the SHA-256 of the program as the kernel of a little-endian machine reads it,
// "sha256:HEX".
func (f *Filter) Digest() string {
	var b []byte
	for _, i := range f.Code {
		b = binary.LittleEndian.AppendUint16(b, i.Code)
		b = append(b, i.Jt, i.Jf)
		b = binary.LittleEndian.AppendUint32(b, i.K)
	}
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Name is the name of a number, or "syscall_NR" if the table has none.
func Name(arch string, nr int) string {
	names := architectures[arch].names
	if nr < 0 || nr >= len(names) || names[nr] == "" {
		return fmt.Sprintf("syscall_%d", nr)
	}
	return names[nr]
}

// Number is the number of a name, or -1.
func Number(arch, name string) int {
	if name == "" {
		return -1
	}
	return slices.Index(architectures[arch].names, name)
}
