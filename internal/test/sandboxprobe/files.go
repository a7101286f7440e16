//go:build linux

package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

var fileProbes = []probe{
	{1, "read /etc/shadow", "ENOENT|EACCES", "EACCES", func(*place) []string { return outcomes(read("/etc/shadow")) }},
	{2, "read a secret outside", "ENOENT", "EACCES", func(p *place) []string { return outcomes(read(p.Out + "/secret")) }},
	{3, "read a key in another home", "ENOENT", "EACCES", func(p *place) []string { return outcomes(read(p.Home + "/.key")) }},
	{4, "read a secret by dots", "ENOENT", "EACCES", func(p *place) []string {
		return outcomes(read(p.Work+"/../"+filepath.Base(p.Out)+"/secret"), read(p.Work+"/../../../../../../.."+p.Out+"/secret"))
	}},
	{5, "read a secret by a symbolic link", "ENOENT", "EACCES", func(p *place) []string { return outcomes(read(p.Work + "/link")) }},
	{6, "hard link to a secret", "ENOENT|EXDEV", "EACCES|EXDEV|EPERM", func(p *place) []string { return outcomes(unix.Link(p.Out+"/secret", p.Work+"/hard")) }},
	{7, "move a file out", "ENOENT|EXDEV", "EACCES|EXDEV", func(p *place) []string {
		return outcomes(os.WriteFile(p.Work+"/mine", nil, 0o600), unix.Rename(p.Work+"/mine", p.Out+"/moved"))[1:]
	}},
	{8, "create outside", "ENOENT", "EACCES", func(p *place) []string { return outcomes(create(p.Out + "/new")) }},
	{9, "create in the system", "EROFS|EACCES", "EACCES", func(*place) []string { return outcomes(create("/usr/new"), create("/etc/new"), create("/new")) }},
	{10, "read a secret by a root link of /proc", "ENOENT|EACCES", "EACCES", func(p *place) []string {
		return outcomes(read("/proc/1/root"+p.Out+"/secret"), read("/proc/self/root"+p.Out+"/secret"))
	}},
	{11, "read the first process's entries", "own|EACCES", "EACCES", firstProcess},
	{12, "write switches of the kernel", "EACCES|EROFS|ENOENT|EPERM", "EACCES|ENOENT", func(*place) []string {
		return outcomes(write("/proc/sys/kernel/core_pattern"), write("/proc/sysrq-trigger"), write("/proc/self/oom_score_adj"))
	}},
	{13, "open the kernel's memory and log", "ENOENT|EACCES", "EACCES|ENOENT", func(*place) []string {
		return outcomes(read("/proc/kcore"), read("/dev/mem"), read("/dev/kmsg"))
	}},
	{14, "open devices", "ENOENT|EACCES", "EACCES|ENOENT", func(*place) []string {
		return outcomes(read("/dev/fuse"), read("/dev/net/tun"), read("/dev/kvm"), read("/dev/vda"), read("/dev/sda"), read("/dev/ptmx"))
	}},
	{15, "look at /sys, join a cgroup", "ENOENT", "EACCES|ENOENT", func(*place) []string {
		return outcomes(open("/sys", unix.O_DIRECTORY), write("/sys/fs/cgroup/cgroup.procs"))
	}},
	{16, "make devices", "EPERM", "", func(p *place) []string {
		return outcomes(unix.Mknod(p.Work+"/c", unix.S_IFCHR|0o600, 0x103), unix.Mknod(p.Work+"/b", unix.S_IFBLK|0o600, 0x800))
	}},
	{17, "execute what was written", "EACCES", "EACCES|ENOENT", func(p *place) []string {
		return outcomes(runCopy(p.Work), runCopy("/tmp"), runCopy("/dev/shm"))
	}},
	// Neither Landlock nor the filter sees that a mapping is of a file that was written, a
	// mount does; what can map it can write the same code into its own memory anyway.
	{18, "map what was written as code (documented: possible without namespaces)", "EPERM", "ok", mapCode},
	{19, "files by handle", "EPERM", "", func(*place) []string {
		return outcomes(raw(unix.SYS_NAME_TO_HANDLE_AT, 0, 0, 0, 0, 0), raw(unix.SYS_OPEN_BY_HANDLE_AT, 0, 0, 0))
	}},
	{20, "leave by a folder's descriptor", "ENOENT|EACCES", "EACCES", func(p *place) []string {
		fd, err := unix.Open(p.Work, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return outcomes(err)
		}
		defer func() { _ = unix.Close(fd) }()
		return outcomes(openat(fd, "../"+filepath.Base(p.Out)+"/secret", 0), openat(fd, "../../../../../.."+p.Out+"/secret", 0))
	}},
	{21, "leave by a magic link", "ENOENT|EACCES|ELOOP", "EACCES", func(p *place) []string {
		fd, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return outcomes(err)
		}
		defer func() { _ = unix.Close(fd) }()
		return outcomes(read("/proc/self/fd/"+strconv.Itoa(fd)+p.Out+"/secret"), openat(fd, p.Out[1:]+"/secret", 0), openat(fd, p.Out[1:]+"/secret", unix.RESOLVE_IN_ROOT))
	}},
	{23, "a setuid file of its own", "EACCES", "", func(p *place) []string {
		path := p.Work + "/su"
		if err := copySelf(path); err != nil {
			return outcomes(err)
		}
		defer func() { _ = os.Remove(path) }()
		_ = os.Chmod(path, 0o755|os.ModeSetuid)
		return outcomes(exec.Command(path, "hello").Run()) //nolint:gosec // a copy of itself
	}},
	{24, "a setuid program of root's", "unchanged|none", "", func(p *place) []string {
		if p.Setuid == "" {
			return said("none")
		}
		out, err := exec.Command(p.Setuid, "-u").Output() //nolint:gosec // of the suite
		if err != nil {
			return outcomes(err)
		}
		if strings.TrimSpace(string(out)) == strconv.Itoa(os.Getuid()) {
			return said("unchanged")
		}
		return said("user %s", bytes.TrimSpace(out))
	}},
	{25, "give a file capabilities", "EPERM", "", func(p *place) []string {
		path := p.Work + "/capable"
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			return outcomes(err)
		}
		// VFS_CAP_REVISION_2 with CAP_SYS_ADMIN.
		return outcomes(unix.Setxattr(path, "security.capability", []byte{1, 0, 0, 2, 0, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 0))
	}},
	{26, "fill files", "EFBIG|ENOSPC", "EFBIG", fill},
}

func openat(fd int, path string, resolve uint64) error {
	f, err := unix.Openat2(fd, path, &unix.OpenHow{Flags: unix.O_RDONLY | unix.O_CLOEXEC, Resolve: resolve})
	if err == nil {
		_ = unix.Close(f)
	}
	return err
}

// firstProcess reads what /proc has of process 1, which may be this one.
func firstProcess(*place) []string {
	environ, err := os.ReadFile("/proc/1/environ")
	if err != nil {
		return outcomes(err, read("/proc/1/mem"), open("/proc/1/fd", unix.O_DIRECTORY))
	}
	own, err := os.ReadFile("/proc/self/environ")
	if err == nil && os.Getpid() == 1 && bytes.Equal(environ, own) {
		return said("own")
	}
	return said("read")
}

func copySelf(path string) error {
	from, err := os.Open("/proc/self/exe")
	if err != nil {
		if from, err = os.Open(os.Args[0]); err != nil {
			return err
		}
	}
	defer func() { _ = from.Close() }()
	to, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o700) //nolint:gosec // to be executed
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	return errors.Join(err, to.Close())
}

func runCopy(folder string) error {
	path := filepath.Join(folder, "copy")
	defer func() { _ = os.Remove(path) }()
	if err := copySelf(path); err != nil {
		return err
	}
	return exec.Command(path, "hello").Run() //nolint:gosec,noctx // a copy of itself
}

func mapCode(p *place) []string {
	path := p.Work + "/code"
	if err := os.WriteFile(path, make([]byte, 4096), 0o600); err != nil {
		return outcomes(err)
	}
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return outcomes(err)
	}
	defer func() { _ = unix.Close(fd) }()
	m, err := unix.Mmap(fd, 0, 4096, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE)
	if err == nil {
		_ = unix.Munmap(m)
	}
	return outcomes(err)
}

// fill writes one file until it may not grow, and where /tmp is private as many as fit.
func fill(p *place) []string {
	got := outcomes(grow(p.Work + "/big"))
	_ = os.Remove(p.Work + "/big")
	if p.Tier != "T3" {
		return got
	}
	var files []string
	defer func() {
		for _, path := range files {
			_ = os.Remove(path)
		}
	}()
	for len(files) < 1000 {
		path := "/tmp/fill" + strconv.Itoa(len(files))
		files = append(files, path)
		if err := grow(path); !errors.Is(err, unix.EFBIG) {
			return append(got, outcomes(err)...)
		}
	}
	return said("1000 files")
}

// grow writes a file of up to 64 MiB.
func grow(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	block := make([]byte, 1<<20)
	for range 64 {
		if _, err := f.Write(block); err != nil {
			return err
		}
	}
	return nil
}

func pointer[T any](p *T) uintptr { return uintptr(unsafe.Pointer(p)) } //nolint:gosec // an argument of a system call
