//go:build linux && (amd64 || arm64)

package program

import (
	"errors"
	"os"
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
	missing := []Arg{Number(unix.AT_FDCWD), Text("/nonexistent"), Number(unix.O_RDONLY)}
	for name, tt := range map[string]struct {
		write func(*Program)
		code  int
		step  string
		errno syscall.Errno
	}{
		"a call that fails": {
			func(p *Program) { p.Do("open", Openat, missing...) },
			exitCode, "open", unix.ENOENT,
		},
		"a call that may fail": {
			func(p *Program) { p.Do("open", Openat, missing...).Try(); p.Do("exit", ExitGroup, Number(3)) },
			3, "", 0,
		},
		"a call that must fail, and does": {
			func(p *Program) {
				p.Do("open", Openat, missing...).Expect(-int64(unix.ENOENT))
				p.Do("exit", ExitGroup, Number(4))
			},
			4, "", 0,
		},
		"a call that must fail, and does not": {
			func(p *Program) { p.Do("pid", Getpid).Expect(-int64(unix.EACCES)) },
			exitCode, "pid", 0,
		},
		"a call that fails otherwise than it must": {
			func(p *Program) { p.Do("open", Openat, missing...).Expect(-int64(unix.EACCES)) },
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
