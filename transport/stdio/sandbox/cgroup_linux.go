//go:build linux && (amd64 || arm64)

package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox/internal/procfs"
)

// cgroup are the groups of one sandbox: one below the host's own in the unified
// hierarchy, or one in each older hierarchy that matters.
type cgroup struct {
	dirs    []string
	unified string // the one of dirs with cgroup.kill
	limits  []string
}

var groups atomic.Uint64

// hierarchy is where the host's own group lies in the file system.
type hierarchy struct {
	dir         string
	unified     bool
	controllers []string
}

// newCgroup makes groups below the host's own and sets their limits. The error says why
// there are none.
func newCgroup(l Limits) (*cgroup, error) {
	list, err := hierarchies()
	if err != nil {
		return nil, err
	}
	sweep.Do(func() {
		for _, h := range list {
			removeStale(h.dir)
		}
	})
	g := &cgroup{}
	name := fmt.Sprintf("mcpsec.%d.%d", os.Getpid(), groups.Add(1))
	var failed error
	for _, h := range list {
		failed = errors.Join(failed, g.make(h, name, l))
	}
	if len(g.dirs) > 0 && len(g.limits) > 0 {
		return g, nil
	}
	g.remove()
	if failed == nil {
		failed = errors.New("no hierarchy has the controllers pids and memory here")
	}
	return nil, failed
}

var sweep sync.Once

// removeStale removes the empty groups of hosts that were killed before they could.
func removeStale(dir string) {
	names, _ := filepath.Glob(filepath.Join(dir, "mcpsec.*.*")) // the pattern is right
	for _, name := range names {
		pid, err := strconv.Atoi(strings.Split(filepath.Base(name), ".")[1])
		if err == nil && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			_ = syscall.Rmdir(name) // busy: not empty yet
		}
	}
}

func (g *cgroup) make(h hierarchy, name string, l Limits) error {
	memory := "memory.limit_in_bytes"
	has := func(c string) bool { return slices.Contains(h.controllers, c) }
	dir := filepath.Join(h.dir, name)
	if !h.unified && !has("pids") && !has("memory") {
		return nil
	}
	if err := os.Mkdir(dir, 0o755); err != nil { //nolint:gosec // the kernel's files: it says who may write them
		return err
	}
	g.dirs = append(g.dirs, dir)
	if h.unified {
		memory = "memory.max"
		g.unified = dir
		list, _ := procfs.Read(filepath.Join(dir, "cgroup.controllers"), procfs.Most) // empty: none is delegated
		h.controllers = strings.Fields(list)
	}
	for _, s := range []struct {
		controller, file string
		value            int64
	}{{"pids", "pids.max", int64(l.Processes)}, {"memory", memory, l.Memory}} {
		if !has(s.controller) {
			continue
		}
		if err := procfs.Write(filepath.Join(dir, s.file), strconv.FormatInt(s.value, 10)); err != nil {
			return err
		}
		g.limits = append(g.limits, s.controller)
	}
	return nil
}

// add puts a process into the groups.
func (g *cgroup) add(pid int) error {
	for _, dir := range g.dirs {
		if err := procfs.Write(filepath.Join(dir, "cgroup.procs"), strconv.Itoa(pid)); err != nil {
			return err
		}
	}
	return nil
}

// kill ends every process of the groups.
func (g *cgroup) kill() {
	if g == nil {
		return
	}
	if g.unified != "" && procfs.Write(filepath.Join(g.unified, "cgroup.kill"), "1") == nil {
		return
	}
	for range 100 { // a process may fork while its siblings are killed
		pids := g.members()
		if len(pids) == 0 {
			return
		}
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		<-time.After(time.Millisecond)
	}
}

func (g *cgroup) members() []int {
	var pids []int
	for _, dir := range g.dirs {
		list, _ := procfs.Read(filepath.Join(dir, "cgroup.procs"), procfs.MostOfHost) // gone: nobody in it
		for f := range strings.FieldsSeq(list) {
			if pid, err := strconv.Atoi(f); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// remove takes the groups away once the last process has left them, which the kernel
// notices a little after its end.
func (g *cgroup) remove() {
	if g == nil {
		return
	}
	for _, dir := range g.dirs {
		for range 200 {
			err := syscall.Rmdir(dir)
			if !errors.Is(err, syscall.EBUSY) {
				break
			}
			<-time.After(5 * time.Millisecond)
		}
	}
}

// known are the hierarchies found last: they change only if the host is moved.
var known struct {
	sync.Mutex
	own  string
	list []hierarchy
}

// hierarchies are those that this process is in and sees.
func hierarchies() ([]hierarchy, error) {
	own, err := procfs.Read("/proc/self/cgroup", procfs.Most)
	if err != nil {
		return nil, err
	}
	known.Lock()
	defer known.Unlock()
	if known.own != own || known.list == nil {
		list, err := findHierarchies(own)
		if err != nil {
			return nil, err
		}
		known.own, known.list = own, list
	}
	return known.list, nil
}

func findHierarchies(own string) ([]hierarchy, error) {
	mounts, err := procfs.Read("/proc/self/mountinfo", procfs.MostOfHost)
	if err != nil {
		return nil, err
	}
	var list []hierarchy
	for entry := range strings.Lines(own) {
		fields := strings.SplitN(strings.TrimSpace(entry), ":", 3)
		if len(fields) != 3 {
			continue
		}
		h := hierarchy{unified: fields[0] == "0"}
		if !h.unified {
			h.controllers = strings.Split(fields[1], ",")
		}
		if h.dir = mountOf(mounts, h, fields[2]); h.dir != "" {
			list = append(list, h)
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("no cgroup file system is mounted: %w", fs.ErrNotExist)
	}
	return list, nil
}

// mountOf is where a group of a hierarchy lies, or "" if it is mounted nowhere.
func mountOf(mounts string, h hierarchy, group string) string {
	for m, err := range procfs.Mounts(mounts) {
		switch {
		case err != nil:
			continue // it is a place to look for, and there may be others
		case h.unified && m.Type != "cgroup2", !h.unified && m.Type != "cgroup":
			continue
		case !h.unified && !slices.ContainsFunc(h.controllers, m.Super.Has):
			continue
		}
		if m.Root != "/" {
			if !within(group, m.Root) {
				continue
			}
			group = strings.TrimPrefix(group, m.Root)
		}
		return filepath.Join(m.At, group)
	}
	return ""
}
