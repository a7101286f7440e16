//go:build linux && (amd64 || arm64)

package program

import (
	"runtime"
	"slices"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// A Run is a program in a child. Its memory is shared until the child has executed
// something else or is gone: only then may Close be called.
type Run struct {
	PID   int
	arena *arena
}

// Start clones a child that runs the program; flags are namespaces for it. Call it
// within [OnThread], with a [Hold] in place until the child is reaped, if the program ties
// the child to its parent's life. The error is an errno if the kernel refused the clone.
func (p *Program) Start(flags uintptr) (*Run, error) {
	a, err := p.load()
	if err != nil {
		return nil, err
	}
	pid, errno := cloneBlocked(flags|memory|uintptr(unix.SIGCHLD), a)
	if errno != 0 {
		a.close()
		return nil, syscall.Errno(errno)
	}
	return &Run{PID: int(pid), arena: a}, nil
}

// memory makes the child share the host's memory, so that its clone copies nothing. The
// arm64 emulator of the tests can only copy.
var memory uintptr = unix.CLONE_VM

// cloneBlocked clones with all signals blocked: the child must never run a handler. It
// waits, as os/exec does, for whoever has a file open that no child may have.
func cloneBlocked(flags uintptr, a *arena) (pid, errno uintptr) {
	syscall.ForkLock.Lock()
	defer syscall.ForkLock.Unlock()
	var all, before unix.Sigset_t
	for i := range all.Val {
		all.Val[i] = ^uint64(0)
	}
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &all, &before); err != nil {
		return 0, uintptr(unix.EINVAL)
	}
	pid, errno = clone(flags, a.address(stackSize-64), a.address(callsAt), a.address(statusAt))
	_ = unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil) // the same call succeeded above
	return pid, errno
}

// Extend adds the calls that the program has got since it was started. The child must not
// have passed the last of the others, which therefore has to be one that waits for this
// process. So a child can be on its way while this process thinks about the rest.
func (r *Run) Extend() error {
	return r.arena.extend()
}

// Failure is the step that ended the child, or nil while there is none.
func (r *Run) Failure() error {
	return r.arena.failure()
}

// Read copies what the child's calls wrote to a block.
func (r *Run) Read(b *Block) []byte {
	return slices.Clone(b.place)
}

// Close frees the memory, with the environment in it.
func (r *Run) Close() {
	r.arena.close()
}

// launcher is the thread that clones. The kernel signals a child when the thread that
// made it ends, not the process, so it is one thread, kept as long as a child lives.
var launcher thread

type thread struct {
	mu    sync.Mutex
	users int
	work  chan func()
}

// Hold keeps the thread that clones alive until release is called, once.
func Hold() (release func()) {
	launcher.mu.Lock()
	defer launcher.mu.Unlock()
	if launcher.users++; launcher.users == 1 {
		launcher.work = make(chan func())
		go serve(launcher.work)
	}
	return sync.OnceFunc(func() {
		launcher.mu.Lock()
		defer launcher.mu.Unlock()
		if launcher.users--; launcher.users == 0 {
			close(launcher.work)
		}
	})
}

func serve(work <-chan func()) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for f := range work {
		f()
	}
}

// OnThread runs f on the thread that clones and returns when it has. There must be a
// [Hold].
func OnThread(f func()) {
	launcher.mu.Lock()
	work := launcher.work
	launcher.mu.Unlock()
	done := make(chan struct{})
	work <- func() {
		defer close(done)
		f()
	}
	<-done
}
