//go:build linux && (amd64 || arm64)

package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/internal/test/asuser"
	"golang.org/x/sys/unix"
)

// TestStress starts many sandboxes at once while the collector runs all the time, on one,
// two and eight processors, and looks for anything left. MCPSEC_LONG=1 makes it more
// than 2,000.
func TestStress(t *testing.T) { //nolint:paralleltest // changes GOMAXPROCS, counts what is open
	n := int64(24)
	if os.Getenv("MCPSEC_LONG") != "" {
		n = 700
	}
	for _, user := range []string{"root", "ordinary"} {
		t.Run(user, func(t *testing.T) {
			if asuser.OwnMounts(t) {
				return
			}
			t.Setenv(targetVariable, target(t))
			if user == "ordinary" && asuser.Again(t) {
				return
			}
			if user == "root" && os.Getuid() != 0 {
				t.Skip("not root")
			}
			ended(t, stressed(t)) // what is opened once stays open
			before := open(t)
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
			for _, procs := range []int{1, 2, 8} {
				runtime.GOMAXPROCS(procs)
				stress(t, n)
			}
			if after := open(t); !slices.Equal(before, after) {
				t.Errorf("open before %v, after %v", before, after)
			}
			if left := asuser.Mounts(t); len(left) > 0 {
				t.Errorf("mounts left: %q", left)
			}
			if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); !errors.Is(err, unix.ECHILD) {
				t.Errorf("a child is left: %d, %v", pid, err)
			}
			list, err := hierarchies()
			if err != nil {
				t.Fatal(err)
			}
			for _, h := range list {
				if left, err := filepath.Glob(filepath.Join(h.dir, fmt.Sprintf("mcpsec.%d.*", os.Getpid()))); err != nil || len(left) > 0 {
					t.Errorf("groups left: %v, %v", left, err)
				}
			}
		})
	}
}

func stressed(t *testing.T) *Command {
	t.Helper()
	path := target(t)
	return &Command{
		Path: path, Args: []string{"end"},
		Profile: Profile{Exec: []string{path}, Egress: []string{"example.com"}},
		Network: func(Network) error { return nil },
	}
}

// stress starts n sandboxes, six at a time.
func stress(t *testing.T, n int64) {
	t.Helper()
	var workers, collector sync.WaitGroup
	stop := make(chan struct{})
	collector.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
				_ = make([]byte, 1<<16)
				runtime.GC()
			}
		}
	})
	var started atomic.Int64
	for range 6 {
		workers.Go(func() {
			for started.Add(1) <= n {
				p, err := Start(t.Context(), stressed(t))
				if err != nil {
					t.Error(err)
					return
				}
				if state, err := p.Wait(); err != nil || !state.Success() || p.Report().Tier != T3 {
					t.Error(state, err, p.Report().Tier)
				}
			}
		})
	}
	workers.Wait()
	close(stop)
	collector.Wait()
}
