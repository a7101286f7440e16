//go:build linux

// Command sandboxprobe tries from inside a sandbox what must not be possible there, and
// some of what must be. The numbers are those of the research, which index_test.go maps to tests. It prints one JSON
// object a probe. The suite builds it and starts it; it refuses to run where nothing
// confines it, for some of what it tries would succeed.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// A place is what the suite has laid out around the sandbox, as JSON in the first
// argument.
type place struct {
	Tier     string `json:"tier"`     // "T3" or "T2": which column is expected
	Baseline bool   `json:"baseline"` // an ordinary user elsewhere, to be compared with
	Work     string `json:"work"`     // may be written, holds "link" to the secret
	Out      string `json:"out"`      // outside, writable by everybody, holds "secret" and "socket"
	Home     string `json:"home"`     // another home, holds ".key"
	Abstract string `json:"abstract"` // an abstract socket of the host
	Setuid   string `json:"setuid"`   // a program of root's that prints its user; empty if there is none
	Host     int    `json:"host"`     // the process that started the sandbox
	Port     int    `json:"port"`     // of a listener on the host's loopback
	Listen   int    `json:"listen"`   // the port that may be bound, or 0
	Segment  int    `json:"segment"`  // System V memory of the host
	Files    uint64 `json:"files"`    // limits
	// Namespaces are the host's, by the names in /proc/self/ns, and Env the whole
	// environment that was given.
	Namespaces map[string]string `json:"namespaces"`
	Env        []string          `json:"env"`
	CPU        uint64            `json:"cpu"`
}

// A probe is one thing to try. Each outcome must be among those that the tier's column
// lists, separated by "|"; where T2 is empty it is as T3.
type probe struct {
	number int
	name   string
	t3, t2 string
	try    func(*place) []string
}

// A result is what one came to.
type result struct {
	N    int      `json:"n"`
	Name string   `json:"name"`
	Want string   `json:"want"`
	Got  []string `json:"got"`
	Pass bool     `json:"pass"`
}

func main() {
	if len(os.Args) > 1 && children[os.Args[1]] != nil {
		children[os.Args[1]]()
		return
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "sandboxprobe:", err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) != 2 {
		return errors.New("usage: sandboxprobe PLACE")
	}
	var p place
	if err := json.Unmarshal([]byte(os.Args[1]), &p); err != nil {
		return err
	}
	if err := harmless(p); err != nil {
		return err
	}
	signal.Ignore(unix.SIGXFSZ)
	out := bufio.NewWriter(os.Stdout)
	for _, probe := range probes() {
		if err := json.NewEncoder(out).Encode(probe.run(&p)); err != nil {
			return err
		}
		if err := out.Flush(); err != nil {
			return err
		}
	}
	return nil
}

func (p probe) run(at *place) result {
	want := p.t3
	if at.Tier == "T2" && p.t2 != "" {
		want = p.t2
	}
	r := result{N: p.number, Name: p.name, Want: want, Got: p.try(at)}
	r.Pass = len(r.Got) > 0
	for _, got := range r.Got {
		r.Pass = r.Pass && slices.Contains(strings.Split(want, "|"), got)
	}
	return r
}

// harmless refuses to go on as root, and without a sandbox unless the suite compares with
// an ordinary user.
func harmless(p place) error {
	if os.Getuid() == 0 || os.Geteuid() == 0 {
		return errors.New("refuses to run as root: it could do harm")
	}
	nnp, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
	if err != nil {
		return err
	}
	if nnp != 1 {
		return errors.New("refuses to run where privileges can be gained")
	}
	mode, err := unix.PrctlRetInt(unix.PR_GET_SECCOMP, 0, 0, 0, 0)
	if err != nil {
		return err
	}
	if mode != unix.SECCOMP_MODE_FILTER && !p.Baseline {
		return errors.New("refuses to run without a filter")
	}
	return nil
}

func probes() []probe {
	return slices.Concat(fileProbes, kernelProbes, socketProbes, processProbes, furtherProbes)
}

// outcomes names errors, each once.
func outcomes(errs ...error) []string {
	var list []string
	for _, err := range errs {
		text := "ok"
		if errno, ok := errors.AsType[unix.Errno](err); ok {
			text = unix.ErrnoName(errno)
		} else if err != nil {
			text = err.Error()
		}
		if !slices.Contains(list, text) {
			list = append(list, text)
		}
	}
	return list
}

// said is an outcome in words.
func said(format string, a ...any) []string { return []string{fmt.Sprintf(format, a...)} }

func open(path string, flags int) error {
	fd, err := unix.Open(path, flags|unix.O_CLOEXEC|unix.O_NONBLOCK, 0o600)
	if err == nil {
		_ = unix.Close(fd)
	}
	return err
}

func read(path string) error  { return open(path, unix.O_RDONLY) }
func write(path string) error { return open(path, unix.O_WRONLY) }
func create(path string) error {
	err := open(path, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL)
	if err == nil {
		_ = unix.Unlink(path)
	}
	return err
}

func raw(nr uintptr, args ...uintptr) error {
	var a [6]uintptr
	copy(a[:], args)
	if _, _, errno := unix.Syscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5]); errno != 0 {
		return errno
	}
	return nil
}
