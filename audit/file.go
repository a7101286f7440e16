package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

const (
	flushEvery = 200 * time.Millisecond
	bufferSize = 64 << 10 // bytes
)

// File records to a file of JSON lines, see [Event.AppendJSON], which it creates
// with mode 0600 or appends to. The directory must exist. It refuses a path that
// is not a regular file, a symbolic link included, and takes from an existing file
// the rights of others and the group's right to write. A last line that an earlier
// crash cut off is ended first, so that no record merges with it.
//
// Records are buffered, and written at the latest 200 ms after they were taken.
// When a write fails, what could not be written is kept, and every record is
// refused until a write succeeds; each record tries anew. Close writes, syncs
// (fsync) and closes. One process writes to a file at a time: there is no lock.
func File(path string) Option {
	return func(l *Logger) error {
		f, err := openFile(path)
		if err != nil {
			return fmt.Errorf("audit.File: %w", err)
		}
		l.sinks = append(l.sinks, newFile(path, f))
		return nil
	}
}

// A disk is what a file sink writes to: an *os.File, or a fault in a test.
type disk interface {
	io.WriteCloser
	Sync() error
}

type file struct {
	path string

	mu     sync.Mutex
	disk   disk
	buf    []byte // taken and not yet written
	fault  error  // of the last write
	closed bool
	timer  *time.Timer // flushes; nil before the first record
	armed  bool
	ticks  sync.WaitGroup // one for an armed timer
}

func newFile(path string, d disk) *file {
	return &file{path: path, disk: d, buf: make([]byte, 0, bufferSize)}
}

// lines holds the buffers in which records are encoded, outside the lock.
var lines = sync.Pool{New: func() any {
	b := make([]byte, 0, 2048)
	return &b
}}

// Record implements [Sink].
func (f *file) Record(_ context.Context, e *Event) error {
	line := lines.Get().(*[]byte) //nolint:forcetypeassert // New makes nothing else
	*line = append(e.AppendJSON((*line)[:0]), '\n')
	err := f.take(*line)
	if cap(*line) <= bufferSize { // a giant must not stay in memory
		lines.Put(line)
	}
	return err
}

func (f *file) take(line []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return ErrClosed
	}
	if f.fault != nil || len(f.buf)+len(line) > bufferSize {
		if err := f.flush(); err != nil {
			return err
		}
	}
	f.buf = append(f.buf, line...)
	f.arm()
	return nil
}

// flush writes what is buffered. What a failed write left over stays, so that the
// next write continues in the middle of the line where this one broke off.
func (f *file) flush() error {
	f.fault = nil
	if len(f.buf) == 0 {
		return nil
	}
	n, err := f.disk.Write(f.buf)
	f.buf = f.buf[:copy(f.buf, f.buf[n:])]
	if err == nil && len(f.buf) > 0 {
		err = io.ErrShortWrite
	}
	if err != nil {
		f.fault = fmt.Errorf("audit: writing %s: %w", f.path, err)
	}
	return f.fault
}

// arm sees to it that what is buffered will be written in time.
func (f *file) arm() {
	if f.armed {
		return
	}
	f.armed = true
	f.ticks.Add(1)
	if f.timer == nil {
		f.timer = time.AfterFunc(flushEvery, f.tick)
		return
	}
	f.timer.Reset(flushEvery)
}

// tick runs on the timer's goroutine. The fault it may find is kept for the next
// record to report.
func (f *file) tick() {
	defer f.ticks.Done()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.armed = false
	if !f.closed && f.flush() != nil {
		f.arm()
	}
}

// Close implements [Sink]. Closing again does nothing.
func (f *file) Close() error {
	err := f.shut()
	f.ticks.Wait()
	return err
}

func (f *file) shut() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil
	}
	f.closed = true
	if f.armed && f.timer.Stop() {
		f.armed = false
		f.ticks.Done()
	}
	err := f.flush()
	if err != nil {
		err = fmt.Errorf("%w (%d bytes of records are lost)", err, len(f.buf))
	}
	if fault := f.disk.Sync(); fault != nil {
		err = errors.Join(err, fmt.Errorf("audit: syncing %s: %w", f.path, fault))
	}
	if fault := f.disk.Close(); fault != nil {
		err = errors.Join(err, fmt.Errorf("audit: closing %s: %w", f.path, fault))
	}
	return err
}
