//go:build linux

package learn

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A stop is a system call of a traced thread, complete.
type stop struct {
	tid    int
	nr     int
	args   [6]uint64
	result int64
	paths  [2]string // what the arguments pointed to when the call began
}

func (s *stop) failed() bool { return s.result < 0 && s.result > -4096 }

// tracer follows a process and all its descendants through their system calls.
type tracer struct {
	root    int
	entered map[int]*stop // by thread; nil between calls

	mu    sync.Mutex
	live  map[int]bool // threads
	ended bool         // whatever stops is killed
	begin func(*stop)  // reads what the call's end may have changed
	end   func(*stop)
}

const options = unix.PTRACE_O_TRACESYSGOOD | unix.PTRACE_O_TRACECLONE | unix.PTRACE_O_TRACEFORK | unix.PTRACE_O_TRACEVFORK | unix.PTRACE_O_TRACEEXEC | unix.PTRACE_O_EXITKILL

// syscallTrap marks the stops of system calls (PTRACE_O_TRACESYSGOOD).
const syscallTrap = unix.SIGTRAP | 0x80

// trace runs a program until it and all its descendants have ended, or ctx ends. It
// belongs on a goroutine of its own: ptrace ties a process to a thread.
func (t *tracer) trace(ctx context.Context, path string, args []string, attr *os.ProcAttr) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	own := *attr
	sys := syscall.SysProcAttr{}
	if attr.Sys != nil {
		sys = *attr.Sys
	}
	sys.Ptrace, sys.Setpgid, own.Sys = true, true, &sys
	process, err := os.StartProcess(path, args, &own)
	if err != nil {
		return err
	}
	defer func() { _ = process.Release() }() // it is waited for here
	t.root = process.Pid
	t.entered = make(map[int]*stop)
	t.live = map[int]bool{t.root: true}
	defer context.AfterFunc(ctx, t.kill)()
	err = t.follow()
	if ctx.Err() != nil {
		return nil // whoever ends the learning has learned
	}
	return err
}

// kill ends all that is traced, now and from now on.
func (t *tracer) kill() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended = true
	for tid := range t.live {
		_ = unix.Kill(tid, unix.SIGKILL)
	}
}

// met notes that a thread lives, or does no longer.
func (t *tracer) met(tid int, lives bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !lives {
		delete(t.live, tid)
		return
	}
	t.live[tid] = true
	if t.ended {
		_ = unix.Kill(tid, unix.SIGKILL)
	}
}

// follow handles every stop until nobody is left.
func (t *tracer) follow() error {
	var status unix.WaitStatus
	if _, err := unix.Wait4(t.root, &status, 0, nil); err != nil {
		return fmt.Errorf("wait: %w", err)
	}
	if !status.Stopped() {
		return fmt.Errorf("the command ended at once: %v", status)
	}
	if err := unix.PtraceSetOptions(t.root, options); err != nil {
		return fmt.Errorf("ptrace: %w: is something else tracing, or is tracing forbidden here (kernel.yama.ptrace_scope)?", err)
	}
	signal := 0
	for tid := t.root; ; {
		if err := unix.PtraceSyscall(tid, signal); err != nil && !errors.Is(err, unix.ESRCH) { // killed meanwhile
			return fmt.Errorf("ptrace: %w", err)
		}
		var err error
		for {
			tid, err = unix.Wait4(-1, &status, unix.WALL|unix.WNOTHREAD, nil)
			if errors.Is(err, unix.EINTR) {
				continue
			}
			if errors.Is(err, unix.ECHILD) {
				return nil
			}
			if err != nil {
				return fmt.Errorf("wait: %w", err)
			}
			if status.Stopped() {
				break
			}
			delete(t.entered, tid) // it has ended
			t.met(tid, false)
		}
		t.met(tid, true)
		signal = t.handle(tid, status)
	}
}

// handle looks at one stop and returns the signal to deliver.
func (t *tracer) handle(tid int, status unix.WaitStatus) int {
	switch sig := status.StopSignal(); sig {
	case syscallTrap:
		t.call(tid)
		return 0
	case unix.SIGTRAP:
		if status.TrapCause() > 0 { // clone, fork, exec
			return 0
		}
		return int(sig)
	case unix.SIGSTOP:
		if _, known := t.entered[tid]; !known {
			t.entered[tid] = nil // the first stop of a new thread
			return 0
		}
		return int(sig)
	default:
		return int(sig)
	}
}

// The kernel's struct ptrace_syscall_info.
type syscallInfo struct {
	op     uint8
	_      [3]byte
	arch   uint32
	ip, sp uint64
	data   [8]uint64 // entry: number and arguments; exit: result and whether it is an error
}

const (
	opEntry = 1
	opExit  = 2
)

func (t *tracer) call(tid int) {
	var info syscallInfo
	if _, _, e := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_GET_SYSCALL_INFO, uintptr(tid), unsafe.Sizeof(info), uintptr(unsafe.Pointer(&info)), 0, 0); e != 0 { //nolint:gosec // the kernel fills a struct
		return
	}
	switch info.op {
	case opEntry:
		s := &stop{tid: tid, nr: int(info.data[0])} //nolint:gosec // a number of a call
		copy(s.args[:], info.data[1:7])
		t.begin(s)
		t.entered[tid] = s
	case opExit:
		if s := t.entered[tid]; s != nil {
			s.result = int64(info.data[0]) //nolint:gosec // errors are negative
			t.end(s)
		}
		t.entered[tid] = nil
	}
}

// text reads a string of a process, at most a path long.
func text(tid int, at uint64) string {
	var buf [4096]byte
	for done := 0; done < len(buf); {
		const page = 4096
		n := min(len(buf)-done, page-int((at+uint64(done))%page))
		part := memory(tid, at+uint64(done), buf[done:done+n])
		if len(part) == 0 {
			return ""
		}
		for i, c := range part {
			if c == 0 {
				return string(buf[:done+i])
			}
		}
		done += len(part)
	}
	return ""
}

// memory reads bytes of a process; fewer where it has no more.
func memory(tid int, at uint64, buf []byte) []byte {
	if len(buf) == 0 || at == 0 {
		return nil
	}
	local := []unix.Iovec{{Base: &buf[0]}}
	local[0].SetLen(len(buf))
	n, err := unix.ProcessVMReadv(tid, local, []unix.RemoteIovec{{Base: uintptr(at), Len: len(buf)}}, 0)
	if err != nil {
		return nil
	}
	return buf[:n]
}

// link follows a link of /proc of a thread.
func link(tid int, name string) string {
	to, err := os.Readlink(fmt.Sprintf("/proc/%d/%s", tid, name))
	if err != nil {
		return ""
	}
	return to
}
