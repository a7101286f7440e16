//go:build linux && (amd64 || arm64)

package program

import (
	"errors"
	"math/rand/v2"
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// A child that is let go right behind Extend runs every one of the new calls, whole.
func TestExtendAtOnce(t *testing.T) {
	rounds := 1500
	if memory == 0 {
		rounds = 40
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for _, procs := range []int{1, 2, 8} {
		runtime.GOMAXPROCS(procs)
		release := Hold()
		for range rounds {
			from, gate, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			p := &Program{}
			b := Memory("byte", make([]byte, 1))
			p.Do("wait", Read, Number(from.Fd()), At(b), Number(1)).Expect(1)
			n := 1 + rand.IntN(40)
			if rand.IntN(20) == 0 {
				n = maxOps - 2
				if memory == 0 {
					n = 3000
				}
			}
			var run *Run
			var ops []*Op
			OnThread(func() {
				if run, err = p.Start(0); err != nil {
					return
				}
				for range n {
					switch rand.IntN(3) {
					case 0:
						ops = append(ops, p.Do("pid", Getpid))
					case 1:
						ops = append(ops, p.Do("close", Close, Number(-1)).Expect(-int64(unix.EBADF)))
					case 2:
						ops = append(ops, p.Do("umask", Fcntl, Number(0), Number(unix.F_GETFD)).Try())
					}
				}
				p.Do("fail", Close, Number(-1))
				if err = run.Extend(); err == nil {
					_, err = unix.Write(int(gate.Fd()), []byte("x"))
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			var status unix.WaitStatus
			if _, err := unix.Wait4(run.PID, &status, 0, nil); err != nil || status.ExitStatus() != exitCode {
				t.Fatalf("%v %v", status, err)
			}
			var step *StepError
			if !errors.As(run.Failure(), &step) || step.Step != "fail" {
				t.Fatalf("%v", run.Failure())
			}
			for i, op := range ops {
				got := run.Result(op)
				if op.Step == "pid" && got != int64(run.PID) || op.Step == "close" && got != -int64(unix.EBADF) {
					t.Fatalf("%d of %d, %s: %d", i, n, op.Step, got)
				}
			}
			run.Close()
			_ = from.Close()
			_ = gate.Close()
		}
		release()
	}
}
