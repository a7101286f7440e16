//go:build linux && (amd64 || arm64)

package program

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// end runs a program in a child and returns its exit code and the step that ended it.
func end(t *testing.T, p *Program, look ...func(*Run)) (int, error) {
	t.Helper()
	release := Hold()
	defer release()
	var run *Run
	var err error
	OnThread(func() { run, err = p.Start(0) })
	if err != nil {
		t.Fatal(err)
	}
	defer run.Close()
	child, err := os.FindProcess(run.PID)
	if err != nil {
		t.Fatal(err)
	}
	state, err := child.Wait()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range look {
		f(run)
	}
	return state.ExitCode(), run.Failure()
}

func TestResultsFlowIntoLaterCalls(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	out := Memory("buffer", make([]byte, 16))
	number := Memory("number", make([]byte, 8))
	p := &Program{}
	fd := p.Do("open", Openat, Number(unix.AT_FDCWD), Text("/proc/self/comm"), Number(unix.O_RDONLY)).Into(number, 4)
	n := p.Do("read", Read, Result(fd), At(out), Number(16))
	p.Do("write", Write, Number(w.Fd()), At(out), Result(n)).Expect(int64(len(comm(t))))
	p.Do("exit", ExitGroup, Number(7))
	code, err := end(t, p, func(run *Run) {
		if string(run.Read(out)[:len(comm(t))]) != comm(t) || run.Read(number)[4] < 3 {
			t.Errorf("the child's memory: %q %v", run.Read(out), run.Read(number))
		}
	})
	if code != 7 || err != nil {
		t.Errorf("exit %d, %v", code, err)
	}
	_ = w.Close()
	got := make([]byte, 64)
	size, err := r.Read(got)
	if err != nil || string(got[:size]) != comm(t) {
		t.Errorf("the child wrote %q, %v; want %q", got[:size], err, comm(t))
	}
}

// comm is the name of this program as the kernel shows it.
func comm(t *testing.T) string {
	t.Helper()
	name, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	return string(name)
}

func TestWhatEndsAProgram(t *testing.T) {
	t.Parallel()
	missing := func() []Arg { return []Arg{Number(unix.AT_FDCWD), Text("/nonexistent"), Number(unix.O_RDONLY)} }
	for name, tt := range map[string]struct {
		write func(*Program)
		code  int
		step  string
		errno syscall.Errno
	}{
		"a call that fails": {
			func(p *Program) { p.Do("open", Openat, missing()...) },
			exitCode, "open", unix.ENOENT,
		},
		"a call that may fail": {
			func(p *Program) { p.Do("open", Openat, missing()...).Try(); p.Do("exit", ExitGroup, Number(3)) },
			3, "", 0,
		},
		"a call that must fail, and does": {
			func(p *Program) {
				p.Do("open", Openat, missing()...).Expect(-int64(unix.ENOENT))
				p.Do("exit", ExitGroup, Number(4))
			},
			4, "", 0,
		},
		"a call that must fail, and does not": {
			func(p *Program) { p.Do("pid", Getpid).Expect(-int64(unix.EACCES)) },
			exitCode, "pid", 0,
		},
		"a call that fails otherwise than it must": {
			func(p *Program) { p.Do("open", Openat, missing()...).Expect(-int64(unix.EACCES)) },
			exitCode, "open", unix.ENOENT,
		},
		"the second of two": {
			func(p *Program) { p.Do("pid", Getpid); p.Do("close", Close, Number(-1)) },
			exitCode, "close", unix.EBADF,
		},
		"nothing: the list runs out": {
			func(p *Program) { p.Do("pid", Getpid) },
			exitCode, "", 0,
		},
		"a program that is not there": {
			func(p *Program) {
				p.Do("execve", Execve, Text("/nonexistent"), At(Strings([]string{"x"}, false)), At(Strings(nil, true)))
			},
			exitCode, "execve", unix.ENOENT,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := &Program{}
			tt.write(p)
			code, err := end(t, p)
			if code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			var step *StepError
			switch {
			case tt.step == "" && err != nil:
				t.Errorf("ended at %v", err)
			case tt.step != "" && (!errors.As(err, &step) || step.Step != tt.step || step.Errno != tt.errno):
				t.Errorf("ended at %v, want step %q, %v", err, tt.step, tt.errno)
			}
		})
	}
}

func TestExec(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	p := &Program{}
	p.Do("stdout", Dup3, Number(w.Fd()), Number(1), Number(0))
	var none [8]byte
	p.Do("signals", Sigprocmask, Number(unix.SIG_SETMASK), At(Memory("none", none[:])), Number(0), Number(8))
	p.Do("execve", Execve, Text("/bin/sh"), At(Strings([]string{"sh", "-c", "echo $A; exit 9"}, false)), At(Strings([]string{"A=secret"}, true)))
	code, err := end(t, p)
	if code != 9 || err != nil {
		t.Errorf("exit %d, %v", code, err)
	}
	_ = w.Close()
	got := make([]byte, 64)
	if n, err := r.Read(got); err != nil || string(got[:n]) != "secret\n" {
		t.Errorf("the shell wrote %q, %v", got[:n], err)
	}
}

// A program that cannot be laid out starts nothing.
func TestProgramsThatCannotRun(t *testing.T) {
	t.Parallel()
	foreign := Memory("foreign", make([]byte, 8))
	for want, write := range map[string]func(p *Program){
		"0 calls":               func(*Program) {},
		"7 arguments":           func(p *Program) { p.Do("seven", Getpid, make([]Arg, 7)...) },
		"result of a later one": func(p *Program) { p.Do("close", Close, Result((&Program{}).Do("other", Getpid))) },
		"does not fit":          func(p *Program) { p.Do("pid", Getpid).Into(Memory("short", make([]byte, 6)), 4) },
		"a zero byte":           func(p *Program) { p.Do("open", Openat, Number(0), Text("/etc\x00/x")) },
		"another program": func(p *Program) {
			other := &Program{}
			other.Do("read", Read, Number(-1), At(foreign), Number(8))
			if _, err := other.load(); err != nil {
				t.Error(err)
			}
			p.Do("read", Read, Number(-1), At(foreign), Number(8))
		},
		"at most 67108864": func(p *Program) { p.Do("open", Openat, Number(0), At(Memory("much", make([]byte, maxBytes+1)))) },
		"runs once": func(p *Program) {
			p.Do("pid", Getpid)
			if _, err := end(t, p); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			p := &Program{}
			write(p)
			if run, err := p.Start(0); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, %v", run, err)
			}
		})
	}
}

// A child that waits is given the rest of its program, with memory of its own.
func TestExtend(t *testing.T) {
	t.Parallel()
	if memory == 0 {
		t.Skip("the emulator's child has a copy of the memory and sees nothing that comes later")
	}
	from, gate, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = from.Close(), gate.Close() }()
	release := Hold()
	defer release()
	p := &Program{}
	byteRead := Memory("byte", make([]byte, 1))
	p.Do("wait", Read, Number(from.Fd()), At(byteRead), Number(1)).Expect(1)
	var run *Run
	OnThread(func() { run, err = p.Start(0) })
	if err != nil {
		t.Fatal(err)
	}
	defer run.Close()
	child, err := os.FindProcess(run.PID)
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Extend(); err == nil {
		t.Error("a program was extended by nothing")
	}
	name := Memory("name", make([]byte, 16))
	fd := p.Do("open", Openat, Number(unix.AT_FDCWD), Text("/proc/self/comm"), Number(unix.O_RDONLY))
	p.Do("read", Read, Result(fd), At(name), Number(16))
	p.Do("again", Read, Number(-1), At(byteRead), Number(1)).Try()
	p.Do("fail", Close, Number(-1))
	if err := run.Extend(); err != nil {
		t.Fatal(err)
	}
	if _, err := gate.WriteString("x"); err != nil {
		t.Fatal(err)
	}
	if state, err := child.Wait(); err != nil || state.ExitCode() != exitCode {
		t.Errorf("%v, %v", state, err)
	}
	var step *StepError
	if !errors.As(run.Failure(), &step) || step.Step != "fail" || string(run.Read(byteRead)) != "x" || !strings.HasPrefix(comm(t), string(run.Read(name)[:4])) {
		t.Errorf("%v, %q, %q", run.Failure(), run.Read(byteRead), run.Read(name))
	}
}
