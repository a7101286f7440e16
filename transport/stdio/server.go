package stdio

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox"
)

// killTime bounds how long the kernel has to end killed processes.
const killTime = 5 * time.Second

// A server is a launched process and the connection to it.
type server struct {
	launch  *Launch
	process sandbox.Process
	run     *prepared
	stdin   *os.File
	stdout  *os.File
	stderr  *os.File

	reading sync.Mutex // held by Read, and then by what drains
	lines   *lines
	writing chan struct{} // holds one while a Write is at it

	closing  atomic.Bool
	closed   sync.Once
	closeErr error

	ended chan struct{} // closed when the first process is reaped and the others are killed
	state *os.ProcessState
	fault error          // of the end
	work  sync.WaitGroup // the goroutines below
}

var _ mcp.Connection = (*server)(nil)

func newServer(l *Launch, process sandbox.Process, p *pipes, run *prepared) *server {
	most := l.MaxLine
	if most == 0 {
		most = DefaultMaxLine
	}
	s := &server{
		launch: l, process: process, run: run, stdin: p.stdin, stdout: p.stdout, stderr: p.stderr,
		lines: newLines(p.stdout, most), ended: make(chan struct{}),
		writing: make(chan struct{}, 1),
	}
	s.work.Go(s.wait)
	s.work.Go(func() { l.stderr.fill(s.stderr, l.OnStderr) })
	return s
}

// wait reaps the server and ends what it has left behind, so that its pipes end.
func (s *server) wait() {
	defer close(s.ended)
	var err error
	if s.state, err = s.process.Wait(); err != nil {
		s.fault = fmt.Errorf("wait: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), killTime)
	defer cancel()
	if err := s.process.Kill(ctx); err != nil {
		s.fault = errors.Join(s.fault, fmt.Errorf("confirm that no process is left: %w", err))
	}
	s.launch.tell(Event{Kind: Ended, PID: s.process.PID(), Detail: s.ending()})
}

func (s *server) ending() string {
	if s.state == nil {
		return "how is not known"
	}
	return s.state.String()
}

// SessionID implements [mcp.Connection].
func (*server) SessionID() string { return "" }

// Read implements [mcp.Connection]. What is no message ends the session: the next line
// could be its second half.
func (s *server) Read(ctx context.Context) (jsonrpc.Message, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if ctx.Done() != nil {
		stop := context.AfterFunc(ctx, s.interrupt)
		defer stop()
	}
	s.reading.Lock()
	defer s.reading.Unlock()
	if s.closing.Load() {
		return nil, io.EOF
	}
	line, err := s.lines.next()
	switch {
	case err == nil:
		msg, err := readMessage(line)
		if err != nil {
			err = fmt.Errorf("stdio: line %d of the server's standard output: %w: a server prints to standard error only", s.lines.number, err)
			s.launch.tell(Event{Kind: Broken, PID: s.process.PID(), Detail: err.Error()})
			return nil, err
		}
		return msg, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case s.closing.Load(), errors.Is(err, io.EOF):
		return nil, io.EOF
	}
	err = fmt.Errorf("stdio: the server's standard output: %w", err)
	s.launch.tell(Event{Kind: Broken, PID: s.process.PID(), Detail: err.Error()})
	return nil, err
}

// interrupt ends a Read that waits.
func (s *server) interrupt() { _ = s.stdout.SetReadDeadline(time.Unix(1, 0)) } // fails once it is closed

// Write implements [mcp.Connection]. A server that does not read holds it until ctx ends,
// and then gets nothing more: half a message may be in the pipe.
func (s *server) Write(ctx context.Context, msg jsonrpc.Message) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case s.writing <- struct{}{}:
		defer func() { <-s.writing }()
	case <-ctx.Done():
		return ctx.Err()
	}
	gone := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(gone)
		_ = s.stdin.SetWriteDeadline(time.Unix(1, 0)) // fails once it is closed
	})
	err := writeMessage(s.stdin, msg)
	if stop() {
		return err
	}
	<-gone
	if err != nil {
		return fmt.Errorf("stdio: the server does not read: %w", context.Cause(ctx))
	}
	_ = s.stdin.SetWriteDeadline(time.Time{}) // the message is out
	return nil
}

// Close ends the server and every process it started, and returns when none is left. The
// error names the step: the server ended with a status, had to be killed, or could not be.
func (s *server) Close() error {
	s.closed.Do(func() { s.closeErr = s.close() })
	return s.closeErr
}

func (s *server) close() error {
	gone := s.gone()
	s.closing.Store(true)
	eof := s.stdin.Close()
	s.drain()
	var faults []error
	if eof != nil {
		faults = append(faults, fmt.Errorf("end of its input: %w", eof))
	}
	asked, err := s.end()
	faults = append(faults, err, s.release())
	if s.state != nil && !s.state.Success() && !asked {
		faults = append(faults, fmt.Errorf("the server ended by itself: %s", s.state))
	}
	if err := errors.Join(faults...); err != nil {
		when := "close"
		if gone {
			when = "the server was gone before"
		}
		return fmt.Errorf("stdio: %s: %w", when, err)
	}
	return nil
}

func (s *server) gone() bool {
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}

// end asks, then insists. It reports whether the server was sent a signal.
func (s *server) end() (asked bool, err error) {
	grace := s.launch.Grace
	if grace == 0 {
		grace = DefaultGrace
	}
	if s.endsWithin(grace / 2) {
		return false, nil
	}
	if err := s.process.Signal(syscall.SIGTERM); err == nil && s.endsWithin(grace/2) {
		return true, nil
	}
	err = s.kill()
	return true, errors.Join(fmt.Errorf("it did not end within %v of the end of its input and was killed", grace), err)
}

func (s *server) endsWithin(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-s.ended:
		return true
	case <-t.C:
		return false
	}
}

// kill ends the whole tree.
func (s *server) kill() error {
	ctx, cancel := context.WithTimeout(context.Background(), killTime)
	defer cancel()
	if err := s.process.Kill(ctx); err != nil {
		return fmt.Errorf("kill: %w", err)
	}
	if !s.endsWithin(killTime) {
		return errors.New("kill: it was not reaped")
	}
	return nil
}

// abort ends a server that never got a message.
func (s *server) abort() error {
	s.closing.Store(true)
	s.closed.Do(func() {})
	err := errors.Join(s.stdin.Close(), s.kill())
	return errors.Join(err, s.release())
}

// drain makes Read leave and reads on in its place, so that a server that still writes
// can end.
func (s *server) drain() {
	s.interrupt()
	s.reading.Lock()
	defer s.reading.Unlock()
	if err := s.stdout.SetReadDeadline(time.Time{}); err != nil {
		return // closed
	}
	s.work.Go(func() { _, _ = io.Copy(io.Discard, s.stdout) }) // until nobody holds the other end, or release
}

// release gives back what the server held once nothing of it runs.
func (s *server) release() error {
	if !s.gone() {
		_ = s.stdout.Close() // what could not be killed may hold the other ends
		_ = s.stderr.Close()
		return errors.Join(s.fault, s.run.close())
	}
	end := time.Now().Add(time.Second)
	_, _ = s.stdout.SetReadDeadline(end), s.stderr.SetReadDeadline(end) // a descriptor that was passed on must not hold up Close
	s.work.Wait()
	return errors.Join(s.fault, s.stdout.Close(), s.stderr.Close(), s.run.close())
}

// pipes are the host's ends.
type pipes struct {
	stdin, stdout, stderr *os.File
}

func newPipes(cmd *sandbox.Command) (*pipes, error) {
	p := &pipes{}
	var err1, err2, err3 error
	cmd.Stdin, p.stdin, err1 = os.Pipe()
	p.stdout, cmd.Stdout, err2 = os.Pipe()
	p.stderr, cmd.Stderr, err3 = os.Pipe()
	if err := errors.Join(err1, err2, err3); err != nil {
		p.closeTheirs(cmd)
		return nil, errors.Join(fmt.Errorf("stdio: pipes: %w", err), p.closeOurs())
	}
	return p, nil
}

// closeTheirs closes the ends that the server has. They were never written to here.
func (*pipes) closeTheirs(cmd *sandbox.Command) {
	for _, f := range []*os.File{cmd.Stdin, cmd.Stdout, cmd.Stderr} {
		_ = f.Close()
	}
}

func (p *pipes) closeOurs() error {
	var faults []error
	for _, f := range []*os.File{p.stdin, p.stdout, p.stderr} {
		if f != nil {
			faults = append(faults, f.Close())
		}
	}
	return errors.Join(faults...)
}
