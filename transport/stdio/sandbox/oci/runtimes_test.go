//go:build linux

package oci_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/mcpsec/mcpsec-go/internal/test/asuser"
	"github.com/mcpsec/mcpsec-go/internal/test/oracle"
)

// runtimes are those of Debian, and gVisor's, which "make oracles" builds.
var runtimes = []string{"runc", "crun", "runsc"}

// installed returns the path of a runtime, or skips the test.
func installed(tb testing.TB, runtime string) string {
	tb.Helper()
	if runtime == "runsc" {
		return oracle.Path(tb, runtime)
	}
	path, err := exec.LookPath(runtime)
	if err != nil {
		tb.Skipf("reason: %s is not installed: apt install %s", runtime, runtime)
	}
	if runtime == "crun" {
		return withoutHybrid(tb, path)
	}
	return path
}

const controllers = "/sys/fs/cgroup/unified/cgroup.controllers"

// withoutHybrid returns a program that runs crun with the second version of cgroups out of
// sight on hosts where both have controllers: it refuses these, whatever its cgroup manager.
func withoutHybrid(tb testing.TB, crun string) string {
	tb.Helper()
	if list, err := os.ReadFile(controllers); err != nil || len(bytes.TrimSpace(list)) == 0 {
		return crun
	}
	return behind(tb, crun, "mount --bind /dev/null "+controllers)
}

// behind returns a program that runs another one where a command has changed what is mounted.
func behind(tb testing.TB, program, command string) string {
	tb.Helper()
	unshare, err := exec.LookPath("unshare")
	if err != nil {
		tb.Skip("reason: unshare, which changes what a runtime sees, is not installed: apt install util-linux")
	}
	options := "--mount --propagation private"
	if os.Getuid() != 0 {
		options += " --user --map-current-user --keep-caps"
	}
	wrapper := filepath.Join(asuser.Dir(tb), filepath.Base(program))
	script := fmt.Sprintf("#!/bin/sh\nexec %s %s sh -c '%s && exec %s \"$@\"' sh \"$@\"\n", unshare, options, command, program)
	asuser.Script(tb, wrapper, script)
	return wrapper
}
