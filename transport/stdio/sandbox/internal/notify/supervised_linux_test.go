package notify

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A step is what the supervised process saw of one of its calls.
type step struct {
	Call  string `json:"call"`
	Errno int    `json:"errno"`
	Value string `json:"value"`
}

// supervised is the process whose connect calls are supervised: it installs a filter on
// itself, sends the listener through descriptor 3, and either runs another program or
// makes the calls that the action names.
func supervised(action string) {
	runtime.LockOSThread()
	_, wait, _ := strings.Cut(action, "+")
	listener, err := install(wait == "killable")
	if err != nil {
		fmt.Fprintln(os.Stderr, "install:", err)
		os.Exit(3)
	}
	if err := unix.Sendmsg(3, []byte{1}, unix.UnixRights(listener), nil, 0); err != nil {
		fmt.Fprintln(os.Stderr, "send:", err)
		os.Exit(3)
	}
	_ = unix.Close(listener)
	_ = unix.Close(3)
	action, _, _ = strings.Cut(action, "+")
	if action == "exec" {
		path, err := exec.LookPath(os.Args[1])
		if err == nil {
			err = unix.Exec(path, os.Args[1:], os.Environ())
		}
		fmt.Fprintln(os.Stderr, "exec:", err)
		os.Exit(3)
	}
	var steps []step
	note := func(call string, err error, value string) {
		errno, _ := errors.AsType[syscall.Errno](err)
		steps = append(steps, step{call, int(errno), value})
	}
	actions[action](note)
	_ = json.NewEncoder(os.Stdout).Encode(steps)
	os.Exit(0)
}

// install puts connect calls of this thread under supervision.
func install(killable bool) (int, error) {
	number := uint32(unix.SYS_CONNECT)
	code := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: number},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_USER_NOTIF},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return 0, err
	}
	flags := uintptr(unix.SECCOMP_FILTER_FLAG_NEW_LISTENER)
	if killable {
		flags |= unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
	}
	fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		return 0, errno
	}
	return int(fd), nil
}

var (
	allowed4 = &unix.SockaddrInet4{Addr: [4]byte{198, 18, 0, 1}, Port: 443}
	denied4  = &unix.SockaddrInet4{Addr: [4]byte{169, 254, 169, 254}, Port: 80}
)

type noter func(call string, err error, value string)

var actions = map[string]func(note noter){
	"talk": func(note noter) {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		note("socket", err, "")
		_ = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 7})
		note("connect", unix.Connect(fd, allowed4), "")
		b := make([]byte, 64)
		n, err := unix.Read(fd, b)
		note("read", err, string(b[:max(n, 0)]))
		note("connect again", unix.Connect(fd, allowed4), "")
		note("flags", nil, flagsOf(fd))
		limit, err := unix.GetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO)
		note("time-out", err, fmt.Sprint(limit.Sec))
	},
	"nonblocking": func(note noter) {
		fd, _ := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
		mapped := &unix.SockaddrInet6{Port: 443}
		copy(mapped.Addr[10:], []byte{0xff, 0xff, 198, 18, 0, 1})
		note("connect", unix.Connect(fd, mapped), "")
		note("flags", nil, flagsOf(fd))
	},
	"refused": func(note noter) {
		fd, _ := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		note("metadata", unix.Connect(fd, denied4), "")
		note("six on a socket of four", unix.Connect(fd, &unix.SockaddrInet6{Port: 443}), "")
		_, _, errno := unix.Syscall(unix.SYS_CONNECT, uintptr(fd), 8, 16)
		note("address in no memory", errno, "")
		_, _, errno = unix.Syscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&[128]byte{2})), 1<<31)
		note("negative length", errno, "")
		_, _, errno = unix.Syscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&[128]byte{2})), 4096)
		note("long length", errno, "")
		_, _, errno = unix.Syscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&[16]byte{0})), 16)
		note("unspecified family", errno, "")
		note("pipe", unix.Connect(0, allowed4), "")
		note("closed", unix.Connect(987, allowed4), "")
		udp, _ := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
		note("datagrams", unix.Connect(udp, allowed4), "")
		local, _ := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
		note("local", unix.Connect(local, &unix.SockaddrUnix{Name: "/run/docker.sock"}), "")
		_, err := unix.Getpeername(fd)
		note("getpeername", err, "")
	},
	"race": func(note noter) { // the address changes while the host decides
		address := [16]byte{2, 0, 1, 187, 198, 18, 0, 1}
		fd, _ := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		go func() {
			for {
				copy(address[4:], []byte{169, 254, 169, 254})
				copy(address[4:], []byte{198, 18, 0, 1})
			}
		}()
		for range 200 {
			_, _, _ = unix.Syscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&address)), 16)
			if peer, err := unix.Getpeername(fd); err == nil {
				note("peer", nil, fmt.Sprint(peer.(*unix.SockaddrInet4).Addr))
				_ = unix.Close(fd)
				fd, _ = unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
			}
		}
	},
	"signals": func(note noter) { // the call is interrupted again and again, and restarted
		caught := make(chan os.Signal, 1)
		signal.Notify(caught, unix.SIGUSR1)
		thread := unix.Gettid()
		stop := make(chan struct{})
		var calls atomic.Int64
		go func() {
			const often = 300 * time.Microsecond
			pause, last := often, int64(0)
			for {
				select {
				case <-stop:
					return
				case <-time.After(pause):
					_ = unix.Tgkill(os.Getpid(), thread, unix.SIGUSR1)
				}
				// A supervisor that is slower than the signals would never come to its answer.
				if now := calls.Load(); now == last {
					pause = min(2*pause, time.Minute)
				} else {
					pause, last = often, now
				}
			}
		}()
		for range 200 {
			calls.Add(1)
			fd, _ := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
			err := unix.Connect(fd, allowed4)
			for errors.Is(err, unix.EINTR) {
				err = unix.Connect(fd, allowed4)
			}
			note("connect", err, "")
			_ = unix.Close(fd)
		}
		close(stop)
	},
	"unsupervised": func(note noter) {
		_, _ = os.Stdin.Read(make([]byte, 1))
		fd, _ := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		note("connect", unix.Connect(fd, allowed4), "")
	},
}

func flagsOf(fd int) string {
	status, _ := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	descriptor, _ := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	return fmt.Sprintf("nonblock=%v cloexec=%v", status&unix.O_NONBLOCK != 0, descriptor&unix.FD_CLOEXEC != 0)
}
