//go:build linux

// Command confined confines itself and then tries to break out, on its first thread and
// on threads that were there before. It prints what each try came to as JSON. Tests build
// and run it; by hand it does nothing worse than fail.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox"
)

// An order is what a test wants, as JSON in the first argument.
type order struct {
	Profile sandbox.Profile   `json:"profile"`
	Allow   []sandbox.Control `json:"allow"`
	Again   *sandbox.Profile  `json:"again"` // a second confinement
	In      string            `json:"in"`    // a folder that the profile covers
	Out     string            `json:"out"`   // one that it does not, with a file "secret"
	Ports   [2]int            `json:"ports"` // listening on 127.0.0.1: in the profile, and not
	Stray   int               `json:"stray"` // an inherited descriptor, or 0
	Threads int               `json:"threads"`
}

type result struct {
	Error  string              `json:"error,omitempty"`
	Second string              `json:"second,omitempty"`
	Report *sandbox.Report     `json:"report,omitempty"`
	Tries  []map[string]string `json:"tries,omitempty"` // of each thread
}

func main() {
	var o order
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: confined JSON")
		os.Exit(2)
	}
	if err := json.Unmarshal([]byte(os.Args[1]), &o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	r := run(o)
	if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
		os.Exit(1)
	}
}

func run(o order) (r result) {
	// Threads that exist before, each held by a goroutine of its own.
	start := make(chan struct{})
	tries := make(chan map[string]string)
	ready := make(chan struct{})
	for range o.Threads {
		go func() {
			runtime.LockOSThread()
			ready <- struct{}{}
			<-start
			tries <- try(o)
		}()
		<-ready
	}
	report, err := sandbox.Confine(o.Profile, o.Allow...)
	if err != nil {
		return result{Error: err.Error()}
	}
	r.Report = report
	if o.Again != nil {
		if _, err := sandbox.Confine(*o.Again, o.Allow...); err != nil {
			r.Second = err.Error()
		}
	}
	close(start)
	r.Tries = append(r.Tries, try(o))
	for range o.Threads {
		r.Tries = append(r.Tries, <-tries)
	}
	return r
}

// try does what the profile does and does not allow, on the calling thread.
func try(o order) map[string]string {
	m := make(map[string]string)
	for name, f := range attempts(o) {
		m[name] = outcome(f())
	}
	return m
}

func outcome(err error) string {
	if err == nil {
		return "ok"
	}
	if errno, ok := err.(unix.Errno); ok { //nolint:errorlint // raw calls
		return unix.ErrnoName(errno)
	}
	return err.Error()
}

func attempts(o order) map[string]func() error {
	in, out := filepath.Join(o.In, fmt.Sprint("mine", unix.Gettid())), filepath.Join(o.Out, "secret")
	parent := os.Getppid()
	return map[string]func() error{
		"read in":           func() error { return open(filepath.Join(o.In, "given"), unix.O_RDONLY) },
		"write in":          func() error { return open(in, unix.O_WRONLY|unix.O_CREAT) },
		"list in":           func() error { return open(o.In, unix.O_RDONLY|unix.O_DIRECTORY) },
		"read out":          func() error { return open(out, unix.O_RDONLY) },
		"read out by dots":  func() error { return open(o.In+"/../"+filepath.Base(o.Out)+"/secret", unix.O_RDONLY) },
		"read out by link":  func() error { return open(filepath.Join(o.In, "link"), unix.O_RDONLY) },
		"read out by root":  func() error { return open("/proc/self/root"+out, unix.O_RDONLY) },
		"write out":         func() error { return open(out, unix.O_WRONLY) },
		"create out":        func() error { return open(filepath.Join(o.Out, "new"), unix.O_WRONLY|unix.O_CREAT) },
		"truncate out":      func() error { return unix.Truncate(out, 0) },
		"remove out":        func() error { return unix.Unlink(out) },
		"rename out":        func() error { return unix.Rename(out, filepath.Join(o.In, "taken")) },
		"link out":          func() error { return unix.Link(out, filepath.Join(o.In, "taken")) },
		"chmod out":         func() error { return unix.Chmod(out, 0o666) },
		"chmod out by path": func() error { return byPathDescriptor(out) },
		"touch out":         func() error { return unix.Utimes(out, make([]unix.Timeval, 2)) },
		"touch out at":      func() error { return unix.UtimesNanoAt(unix.AT_FDCWD, out, make([]unix.Timespec, 2), 0) },
		"own out":           func() error { return unix.Chown(out, os.Getuid(), os.Getgid()) },
		"attribute out":     func() error { return unix.Setxattr(out, "user.x", []byte("x"), 0) },
		"chmod given":       func() error { return chmodGiven(filepath.Join(o.In, "given")) },
		"flag given":        func() error { return flagGiven(filepath.Join(o.In, "given")) },
		"execute":           func() error { return execute("/bin/true") },
		"execute memory":    executeMemory,
		"tcp":               func() error { return socket(unix.AF_INET, unix.SOCK_STREAM, 0) },
		"udp":               func() error { return socket(unix.AF_INET, unix.SOCK_DGRAM, 0) },
		"mptcp":             func() error { return socket(unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_MPTCP) },
		"local":             func() error { return socket(unix.AF_UNIX, unix.SOCK_STREAM, 0) },
		"send by a pair":    func() error { return pairTo(filepath.Join(o.Out, "datagrams")) },
		"vsock":             func() error { return socket(unix.AF_VSOCK, unix.SOCK_STREAM, 0) },
		"connect in":        func() error { return connect(o.Ports[0], false) },
		"connect out":       func() error { return connect(o.Ports[1], false) },
		"fast open out":     func() error { return connect(o.Ports[1], true) },
		"listen":            listen,
		"listen unbound":    listenUnbound,
		"signal host":       func() error { return unix.Kill(parent, 0) },
		"limit host": func() error {
			return unix.Prlimit(parent, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 1 << 10, Max: 1 << 19}, nil)
		},
		"nice host":           func() error { return unix.Setpriority(unix.PRIO_PROCESS, parent, 1) },
		"pin host":            func() error { return unix.SchedSetaffinity(parent, &unix.CPUSet{1}) },
		"trace":               func() error { return raw(unix.SYS_PTRACE, unix.PTRACE_TRACEME) },
		"unshare":             func() error { return unix.Unshare(unix.CLONE_NEWUSER) },
		"clone3":              func() error { return raw(unix.SYS_CLONE3, 0, 0) },
		"io_uring":            func() error { return raw(unix.SYS_IO_URING_SETUP, 1, 0) },
		"shared memory":       func() error { return raw(unix.SYS_SHMGET, 1234, 4096, 0o1600) },
		"bpf":                 func() error { return raw(unix.SYS_BPF, 0, 0, 0) },
		"environ of host":     func() error { return open(fmt.Sprintf("/proc/%d/environ", parent), unix.O_RDONLY) },
		"raise files":         func() error { return unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 1 << 50, Max: 1 << 50}) },
		"privileges":          privileges,
		"write stray":         func() error { return stray(o.Stray) },
		"setuid":              func() error { return unix.Setresuid(0, 0, 0) },
		"mount":               func() error { return unix.Mount("none", o.In, "tmpfs", 0, "") },
		"other thread starts": func() error { return startThread(out) },
	}
}
