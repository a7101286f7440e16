//go:build linux && (amd64 || arm64)

package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/mcpsec/mcpsec-go/internal/test/asuser"
	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox/internal/program"
	"golang.org/x/sys/unix"
)

// A rest of the program that cannot be laid out, or not be compiled, when the child is there
// already, leaves nothing behind.
func TestTheRestFails(t *testing.T) { //nolint:paralleltest // counts what this process has
	if asuser.Again(t) {
		return
	}
	many := asuser.Dir(t)
	var paths []string
	for i := range 2500 {
		dir := fmt.Sprintf("%s/d%d", many, i)
		mustDo(t, os.Mkdir(dir, 0o755))
		paths = append(paths, dir)
	}
	for name, tt := range map[string]struct {
		change func(*Command)
		want   string
		t3     bool // only
	}{
		"an unknown system call": {func(c *Command) { c.Profile.Syscalls = []string{"nonsense"} }, "nonsense", false},
		"a zero byte":            {func(c *Command) { c.Args = append(c.Args, "a\x00") }, "zero byte", false},
		"a huge environment":     {func(c *Command) { c.Env = []string{"A=" + strings.Repeat("x", 65<<20)} }, "at most", false},
		"too many paths":         {func(c *Command) { c.Profile.Read = paths }, "calls", true},
		"a long argument list":   {func(c *Command) { c.Args = slices.Repeat([]string{strings.Repeat("x", 100_000)}, 60) }, "argument list too long", false},
	} {
		t.Run(name, func(t *testing.T) { //nolint:paralleltest // counts what this process has
			without := cloneWithout(^uintptr(0)&^0xff&^unix.CLONE_VM, unix.EPERM)
			for tier, machine := range map[Tier]func(*host){T3: func(*host) {}, T2: without} {
				if tt.t3 && tier != T3 {
					continue // a path takes fewer calls
				}
				d, c := lacking(t, machine), shell("true")
				c.Allow = WithoutNamespaces
				tt.change(c)
				v, err := c.check()
				mustDo(t, err)
				start := func() {
					if p, err := d.start(t.Context(), c, v); err == nil || !strings.Contains(err.Error(), tt.want) {
						t.Fatalf("%s: %v, %v", tier, p, err)
					}
				}
				start()
				before, grown := open(t), true
				for range 5 { // the runtime maps memory now and then, a leak always does
					runtime.GC() // so that what the last round left in the heap serves the next
					size := mapped(t)
					for range 12 {
						start()
					}
					if grown = mapped(t) > size+10<<20; !grown {
						break
					}
				}
				if after := open(t); !slices.Equal(before, after) {
					t.Errorf("%s: open %v, then %v", tier, before, after)
				}
				if grown {
					t.Errorf("%s: each start leaves memory mapped", tier)
				}
				if _, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); !errors.Is(err, unix.ECHILD) {
					t.Errorf("%s: a child is left: %v", tier, err)
				}
				noGroupsLeft(t)
			}
		})
	}
}

// mapped is the size of the memory that may be written and is this process's own: of one
// start it is a megabyte and a half.
func mapped(t *testing.T) (size uint64) {
	t.Helper()
	text, err := os.ReadFile("/proc/self/maps")
	mustDo(t, err)
	for l := range strings.Lines(string(text)) {
		var from, to uint64
		var rights string
		_, err := fmt.Sscanf(l, "%x-%x %s", &from, &to, &rights)
		mustDo(t, err)
		if rights == "rw-p" {
			size += to - from
		}
	}
	return size
}

func noGroupsLeft(t *testing.T) {
	t.Helper()
	list, err := hierarchies()
	mustDo(t, err)
	for _, h := range list {
		if left, err := filepath.Glob(filepath.Join(h.dir, fmt.Sprintf("mcpsec.%d.*", os.Getpid()))); err != nil || len(left) > 0 {
			t.Errorf("groups left: %v, %v", left, err)
		}
	}
}

// One of several groups cannot be joined.
func TestHalfOfTheGroups(t *testing.T) { //nolint:paralleltest // changes what is known of this process
	if os.Getuid() != 0 {
		t.Skip("not root: no group can be made")
	}
	_, err := hierarchies()
	mustDo(t, err)
	known.Lock()
	own, there := known.own, known.list
	known.list = append(slices.Clone(there), hierarchy{dir: t.TempDir(), controllers: []string{"pids"}})
	known.Unlock()
	forget := func() {
		known.Lock()
		defer known.Unlock()
		known.own, known.list = own, there
	}
	defer forget()
	for name, machine := range map[string]func(*host){"joined before": func(*host) {}, "joined after": refusing(fault{program.Unshare, -1, 0, unix.EPERM})} {
		c := shell("true")
		c.Allow = []Control{CgroupNamespace}
		p, err := lacking(t, machine).Start(t.Context(), c)
		mustDo(t, err)
		_, err = p.Wait()
		mustDo(t, err)
		if f := p.Report().Controls[slices.Index(everything, Cgroup)]; f.InForce || f.Verified || !strings.Contains(f.Detail, "no such file") {
			t.Errorf("%s: %+v", name, f)
		}
		noGroupsLeft(t)
	}
}
