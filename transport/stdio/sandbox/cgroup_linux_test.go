//go:build linux && (amd64 || arm64)

package sandbox

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Where groups can be made, all processes together are bounded, none is left, and the
// groups of a host that was killed are taken away.
func TestCgroup(t *testing.T) {
	t.Parallel()
	list, err := hierarchies()
	if err != nil {
		t.Skipf("no cgroups: %v", err)
	}
	c := shell("cat /proc/self/cgroup; i=0; while [ $i -lt 40 ]; do sleep 5 & i=$((i+1)); done; wait")
	c.Profile.Limits.Processes = 20
	out, _, report := output(t, c)
	f := report.Controls[slices.Index(everything, Cgroup)]
	if !f.InForce {
		t.Skipf("groups cannot be made here: %s", f.Detail)
	}
	if !f.Verified || !strings.Contains(out, "/\n") || strings.Contains(out, "mcpsec") || !strings.Contains(out, "fork") {
		t.Errorf("%+v\n%s", f, out)
	}
	for _, h := range list {
		if left, _ := filepath.Glob(filepath.Join(h.dir, "mcpsec."+strconv.Itoa(os.Getpid())+".*")); len(left) > 0 && !t.Failed() {
			t.Logf("of tests that run beside this one: %v", left)
		}
	}
	dead := exec.CommandContext(t.Context(), "true")
	mustDo(t, dead.Run())
	dir := filepath.Join(list[0].dir, "mcpsec."+strconv.Itoa(dead.Process.Pid)+".1")
	own := filepath.Join(list[0].dir, "mcpsec."+strconv.Itoa(os.Getpid())+".99999")
	mustDo(t, os.Mkdir(dir, 0o755), os.Mkdir(own, 0o755))
	removeStale(list[0].dir)
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("a dead host's group is left: %v", err)
	}
	mustDo(t, os.Remove(own))
}

func TestWhereGroupsAre(t *testing.T) {
	t.Parallel()
	const mounts = `30 23 0:26 / /sys/fs/cgroup/pids rw,nosuid - cgroup none rw,pids
31 23 0:27 /docker/x /sys/fs/cgroup/memory rw - cgroup none rw,memory
32 23 0:28 / /sys/fs/cgroup/unified rw - cgroup2 none rw,nsdelegate
broken
33 23 0:29 / /srv/our\040groups/cpu rw - cgroup none rw,cpuset
`
	for name, tt := range map[string]struct {
		h    hierarchy
		own  string
		want string
	}{
		"older":                      {hierarchy{controllers: []string{"pids"}}, "/a", "/sys/fs/cgroup/pids/a"},
		"within a container":         {hierarchy{controllers: []string{"memory"}}, "/docker/x/b", "/sys/fs/cgroup/memory/b"},
		"outside of what is mounted": {hierarchy{controllers: []string{"memory"}}, "/docker/xy", ""},
		"unified":                    {hierarchy{unified: true}, "/", "/sys/fs/cgroup/unified"},
		"at a place with a blank":    {hierarchy{controllers: []string{"cpuset"}}, "/a b", "/srv/our groups/cpu/a b"},
		"mounted nowhere":            {hierarchy{controllers: []string{"cpu"}}, "/", ""},
		"one controller of its name": {hierarchy{controllers: []string{"name=pids"}}, "/", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := mountOf(mounts, tt.h, tt.own); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}
