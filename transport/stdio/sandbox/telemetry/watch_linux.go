package telemetry

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/ringbuf"
	"golang.org/x/sys/unix"

	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox"
)

const ringSize = 256 << 10

// A watcher is what is attached for one process.
type watcher struct {
	ring, lost *ebpf.Map
	reader     *ringbuf.Reader
	closers    []func() error
}

// watch attaches the programs to the PID namespace of a process.
func watch(pid int) (_ *watcher, err error) {
	ns, err := namespaceOf(pid)
	if err != nil {
		return nil, err
	}
	if _, known := registersOf[runtime.GOARCH]; !known {
		return nil, fmt.Errorf("telemetry: %w on %s", errors.ErrUnsupported, runtime.GOARCH)
	}
	w := &watcher{}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("telemetry: %w: run as root, or with CAP_BPF and CAP_PERFMON", err), w.close())
		}
	}()
	if w.ring, err = ebpf.NewMap(&ebpf.MapSpec{Name: "mcpsec_ring", Type: ebpf.RingBuf, MaxEntries: ringSize}); err != nil {
		return nil, err
	}
	w.closers = append(w.closers, w.ring.Close)
	if w.lost, err = ebpf.NewMap(&ebpf.MapSpec{Name: "mcpsec_lost", Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1}); err != nil {
		return nil, err
	}
	w.closers = append(w.closers, w.lost.Close)
	if w.reader, err = ringbuf.NewReader(w.ring); err != nil {
		return nil, err
	}
	w.closers = append(w.closers, w.reader.Close)
	code, err := execs(ns, w.ring, w.lost)
	if err != nil {
		return nil, err
	}
	if err := w.attach("sched_process_exec", code); err != nil {
		return nil, err
	}
	err = w.attach("sys_exit", exits(ns, w.ring, w.lost))
	return w, err
}

func (w *watcher) attach(point string, code asm.Instructions) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s: %w", point, err)
		}
	}()
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: "mcpsec_watch", Type: ebpf.RawTracepoint, Instructions: code, License: "GPL"})
	if err != nil {
		return err
	}
	w.closers = append(w.closers, program.Close)
	l, err := link.AttachRawTracepoint(link.RawTracepointOptions{Name: point, Program: program})
	if err != nil {
		return err
	}
	w.closers = append(w.closers, l.Close)
	return nil
}

func (w *watcher) close() (err error) {
	for _, closer := range slices.Backward(w.closers) {
		err = errors.Join(err, closer())
	}
	return err
}

// namespaceOf returns the PID namespace of a process, which must not be our own: the
// programs would report the whole host.
func namespaceOf(pid int) (namespace, error) {
	var inside, outside unix.Stat_t
	if err := unix.Stat(fmt.Sprintf("/proc/%d/ns/pid", pid), &inside); err != nil {
		return namespace{}, fmt.Errorf("telemetry: the process cannot be seen: %w", err)
	}
	if err := unix.Stat("/proc/self/ns/pid", &outside); err != nil {
		return namespace{}, fmt.Errorf("telemetry: %w", err)
	}
	if inside.Dev == outside.Dev && inside.Ino == outside.Ino {
		return namespace{}, errors.New("telemetry: the process has no PID namespace of its own, by which it could be told from others")
	}
	return namespace{inside.Dev, inside.Ino}, nil
}

// run reads events until the process has ended and the ring is empty.
func (w *watcher) run(done <-chan struct{}, on func(Event)) {
	go func() {
		<-done
		_ = w.reader.Flush() // then it reads what is there, and ends
	}()
	var lost uint64
	for {
		record, err := w.reader.Read()
		var e Event
		ok := false
		if err == nil {
			e, ok = decode(record.RawSample)
		}
		var now uint64
		if w.lost.Lookup(uint32(0), &now) == nil && now > lost {
			on(Event{Kind: Lost, Time: time.Now(), Count: now - lost})
			lost = now
		}
		if errors.Is(err, ringbuf.ErrClosed) || errors.Is(err, ringbuf.ErrFlushed) {
			return
		}
		if ok {
			e.Time = time.Now()
			on(e)
		}
	}
}

// Around returns a Backend that starts processes with another one and watches each until
// it has ended. on is called from one goroutine for each process, and must return soon. A
// process that cannot be watched is not started.
func Around(b sandbox.Backend, on func(Event)) sandbox.Backend { return &around{b, on} }

type around struct {
	inner sandbox.Backend
	on    func(Event)
}

// Start implements [sandbox.Backend].
func (a *around) Start(ctx context.Context, c *sandbox.Command) (sandbox.Process, error) {
	p, err := a.inner.Start(ctx, c)
	if err != nil {
		return nil, err
	}
	w, err := watch(p.PID())
	if err != nil {
		kill, cancel := context.WithTimeout(context.WithoutCancel(ctx), killTimeout)
		defer cancel()
		return nil, errors.Join(err, p.Kill(kill))
	}
	done, drained := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		_, _ = p.Wait() // how it ended is for whoever asks
	}()
	go func() {
		defer close(drained)
		w.run(done, a.on)
		_ = w.close() // nothing is left to lose
	}()
	return &watched{p, drained}, nil
}

const killTimeout = 10 * time.Second

// watched is a process whose end waits for its last events.
type watched struct {
	sandbox.Process

	drained chan struct{}
}

// Wait implements [sandbox.Process].
func (w *watched) Wait() (*os.ProcessState, error) {
	state, err := w.Process.Wait()
	<-w.drained
	return state, err
}
