package https

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// The protocol of systemd's socket activation, sd_listen_fds(3), and what [Succeed] has in
// the place of LISTEN_PID, which a parent cannot know before its child runs.
const (
	envFDs    = "LISTEN_FDS"
	envPID    = "LISTEN_PID"
	envNames  = "LISTEN_FDNAMES"
	envParent = "MCPSEC_LISTEN_PPID"
	envReady  = "MCPSEC_LISTEN_READY"

	firstFD      = 3
	maxInherited = 64
)

// An Inheritance is what a process was started with: listening sockets that were open
// before it, and stay open when it ends. Connections that come in between wait in the
// socket, and none is refused.
type Inheritance struct {
	listeners []net.Listener
	names     []string
	ready     *os.File // to the predecessor; nil without one
}

// Inherit takes over the sockets that systemd (socket activation: LISTEN_FDS, LISTEN_PID,
// LISTEN_FDNAMES) or a predecessor ([Succeed]) passes to this process. Without any it
// returns an inheritance without listeners. It removes the variables from the environment,
// so that no child takes the sockets for its own, and is to be called once, before other
// goroutines look at the environment.
func Inherit() (*Inheritance, error) {
	env := make(map[string]string)
	for _, key := range []string{envFDs, envPID, envNames, envParent, envReady} {
		env[key] = os.Getenv(key) //nolint:forbidigo // that is how systemd passes sockets
		if err := os.Unsetenv(key); err != nil {
			return nil, err
		}
	}
	mine := env[envPID] != "" && env[envPID] == strconv.Itoa(os.Getpid())
	if env[envParent] != "" {
		mine = env[envParent] == strconv.Itoa(os.Getppid())
	}
	if env[envFDs] == "" || !mine { // for another process, which did not clear them
		return &Inheritance{}, nil
	}
	n, err := strconv.Atoi(env[envFDs])
	if err != nil || n < 0 || n > maxInherited {
		return nil, fmt.Errorf("https: Inherit: %s is %.20q: a number up to %d is expected", envFDs, env[envFDs], maxInherited)
	}
	i := &Inheritance{}
	if env[envParent] != "" && env[envReady] != "" {
		fd, err := strconv.ParseUint(env[envReady], 10, 16)
		if err != nil || fd != uint64(firstFD+n) {
			return nil, fmt.Errorf("https: Inherit: %s is %.20q: %d is expected", envReady, env[envReady], firstFD+n)
		}
		closeOnExec(uintptr(fd))
		i.ready = os.NewFile(uintptr(fd), "ready")
	}
	names := strings.Split(env[envNames], ":")
	for k := range n {
		name := "unknown" // as sd_listen_fds_with_names says
		if k < len(names) && names[k] != "" {
			name = names[k]
		}
		if err := i.add(uintptr(firstFD+k), name); err != nil {
			return nil, errors.Join(fmt.Errorf("https: Inherit: socket %d (%q): %w", k, name, err), i.Close())
		}
	}
	return i, nil
}

func (i *Inheritance) add(fd uintptr, name string) error {
	closeOnExec(fd)
	f := os.NewFile(fd, name)
	if f == nil {
		return errors.New("the descriptor is not open")
	}
	l, err := net.FileListener(f) // it has a descriptor of its own
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("not a listening stream socket: %w", err)
	}
	i.listeners, i.names = append(i.listeners, l), append(i.names, name)
	return nil
}

// Listener returns the first listener of a name (FileDescriptorName= in a socket unit), or
// of any name if it is empty; nil if there is none. The caller closes it.
func (i *Inheritance) Listener(name string) net.Listener {
	for k, l := range i.listeners {
		if name == "" || i.names[k] == name {
			return l
		}
	}
	return nil
}

// Ready tells the predecessor, if there is one, that this process serves now and that it
// may end. Call it once.
func (i *Inheritance) Ready() error {
	if i.ready == nil {
		return nil
	}
	_, err := i.ready.Write([]byte{1})
	err = errors.Join(err, i.ready.Close())
	i.ready = nil
	return err
}

// Close closes all listeners, and tells a predecessor that it has no successor.
func (i *Inheritance) Close() error {
	var err error
	for _, l := range i.listeners {
		err = errors.Join(err, l.Close())
	}
	if i.ready != nil {
		err = errors.Join(err, i.ready.Close())
		i.ready = nil
	}
	return err
}

// Succeed starts a program that takes over listening sockets with [Inherit], and returns
// once that has called Ready: the caller may then shut down, and not one connection is
// refused in between. It fails, and ends the program, if that ends before or ctx does. The
// caller waits for the program (cmd.Wait) only after success. The listeners are those of
// the caller, of TCP or Unix, and stay its own: what package net returned, not what wraps
// it, TLS included. Names must not be empty or hold colons.
func Succeed(ctx context.Context, cmd *exec.Cmd, listeners map[string]net.Listener) error {
	if len(cmd.ExtraFiles) > 0 {
		return errors.New("https: Succeed: cmd.ExtraFiles is in use: the sockets must come first")
	}
	if len(listeners) == 0 || len(listeners) > maxInherited {
		return fmt.Errorf("https: Succeed: %d listeners: 1 to %d are expected", len(listeners), maxInherited)
	}
	hear, tell, err := os.Pipe()
	if err != nil {
		return err
	}
	defer func() { _ = hear.Close() }() // it was read, or is of no use
	files, names, err := duplicates(listeners)
	mine := slices.Concat(files, []*os.File{tell})
	closeMine := func() {
		for _, f := range mine {
			_ = f.Close() // the program has its own
		}
		cmd.ExtraFiles = nil
	}
	if err != nil {
		closeMine()
		return err
	}
	if cmd.Env == nil {
		cmd.Env = os.Environ() //nolint:forbidigo // what a nil Env means
	}
	cmd.Env = append(cmd.Env,
		envFDs+"="+strconv.Itoa(len(files)), envNames+"="+strings.Join(names, ":"), envPID+"=",
		envParent+"="+strconv.Itoa(os.Getpid()), envReady+"="+strconv.Itoa(firstFD+len(files)))
	cmd.ExtraFiles = mine
	err = cmd.Start()
	closeMine()
	if err != nil {
		return err
	}
	if err := await(ctx, hear); err != nil {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()         // how it ended says less than err
		return fmt.Errorf("https: Succeed: %s: %w", cmd.Path, err)
	}
	return nil
}

// await waits for the byte that Ready writes.
func await(ctx context.Context, hear *os.File) error {
	stop := context.AfterFunc(ctx, func() { _ = hear.Close() })
	defer stop()
	var word [1]byte
	_, err := io.ReadFull(hear, word[:])
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	default:
		return fmt.Errorf("it ended before it was ready: %w", err)
	}
}

// duplicates returns descriptors of the sockets that are not this process's own.
func duplicates(listeners map[string]net.Listener) (files []*os.File, names []string, err error) {
	for name, l := range listeners {
		if name == "" || strings.ContainsAny(name, ":\x00") {
			return files, nil, fmt.Errorf("https: Succeed: %q is no name of a socket", name)
		}
		socket, ok := l.(syscall.Conn)
		if !ok {
			return files, nil, fmt.Errorf("https: Succeed: %q is a %T: give the listener of net.Listen itself", name, l)
		}
		if unix, ok := l.(*net.UnixListener); ok {
			unix.SetUnlinkOnClose(false) // the name is the successor's
		}
		f, err := duplicate(socket, name)
		if err != nil {
			return files, nil, fmt.Errorf("https: Succeed: %q: %w", name, err)
		}
		files, names = append(files, f), append(names, name)
	}
	return files, names, nil
}
