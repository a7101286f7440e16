package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// The features of Linux that a sandbox stands on, as far as files tell: whether
// the calls themselves succeed (a container's seccomp filter may refuse them) shows
// only when they are made, and doctor makes none.

const notLinux = "Run the server on Linux if it is to be sandboxed later."

func onLinux(run func(host) finding) func(host) finding {
	return func(h host) finding {
		if h.goos != "linux" {
			return skip("this is "+h.goos, notLinux)
		}
		return run(h)
	}
}

// maxKernelFile bounds what is read of a file below /proc or /sys.
const maxKernelFile = 1 << 20

// read returns the trimmed contents of a file; ok is false if it cannot be read.
func (h host) read(name string) (contents string, ok bool) {
	f, err := h.files.Open(name)
	if err != nil {
		return "", false
	}
	defer func() { _ = f.Close() }()
	raw, err := io.ReadAll(io.LimitReader(f, maxKernelFile))
	return strings.TrimSpace(string(raw)), err == nil
}

// Landlock, the youngest feature a sandbox needs, came with Linux 5.13.
const landlockMajor, landlockMinor = 5, 13

func checkKernel(h host) finding {
	release, readable := h.read("proc/sys/kernel/osrelease")
	var major, minor int
	if _, err := fmt.Sscanf(release, "%d.%d", &major, &minor); !readable || err != nil {
		return skip("the kernel's version cannot be read", "Mount /proc and look at uname -r.")
	}
	found := "Linux " + oneLine(release)
	if major < landlockMajor || major == landlockMajor && minor < landlockMinor {
		return warn(found, "Plan for a kernel of 5.13 or later, the first with Landlock.")
	}
	return ok(found)
}

func checkUserNamespaces(h host) finding {
	most, readable := h.read("proc/sys/user/max_user_namespaces")
	cloning, _ := h.read("proc/sys/kernel/unprivileged_userns_clone")                // Debian's patch
	restricted, _ := h.read("proc/sys/kernel/apparmor_restrict_unprivileged_userns") // Ubuntu 23.10 and later
	switch {
	case !readable:
		return warn("the kernel has no user namespaces, or /proc hides them", "Plan for a kernel with CONFIG_USER_NS, or a sandbox without namespaces.")
	case most == "0":
		return warn("user namespaces are switched off", "Plan for sysctl user.max_user_namespaces above 0, or a sandbox without namespaces.")
	case cloning == "0":
		return warn("unprivileged user namespaces are switched off", "Plan for sysctl kernel.unprivileged_userns_clone=1, or a sandbox without namespaces.")
	case restricted != "" && restricted != "0":
		return warn("AppArmor restricts unprivileged user namespaces", "Plan for an AppArmor profile that allows them to mcpsec alone; leave the restriction on.")
	}
	return ok("unprivileged user namespaces are not switched off")
}

func checkLandlock(h host) finding {
	list, readable := h.read("sys/kernel/security/lsm")
	switch {
	case !readable:
		return skip("/sys/kernel/security/lsm cannot be read", "Mount securityfs, or look at the file on the host: containers often do not show it.")
	case !slices.Contains(strings.Split(list, ","), "landlock"):
		return warn("Landlock is not among the active security modules", "Plan for landlock in the kernel's lsm= boot parameter.")
	}
	return ok("Landlock is active")
}

func checkSeccomp(h host) finding {
	text, readable := h.read("proc/self/status")
	if !readable {
		return skip("/proc/self/status cannot be read", "Mount /proc.")
	}
	for line := range strings.Lines(text) {
		mode, found := strings.CutPrefix(line, "Seccomp:")
		if !found {
			continue
		}
		if strings.TrimSpace(mode) == "0" {
			return ok("seccomp is available; no filter is on this process")
		}
		return ok("seccomp is available; a filter is on this process already")
	}
	return warn("the kernel has no seccomp", "Plan for a kernel with CONFIG_SECCOMP_FILTER.")
}

func checkCgroup2(h host) finding {
	mounts, readable := h.read("proc/self/mountinfo")
	if !readable {
		return skip("/proc/self/mountinfo cannot be read", "Mount /proc.")
	}
	for line := range strings.Lines(mounts) {
		// See proc_pid_mountinfo(5): the mount point is the fifth field, the type the
		// first behind the hyphen.
		before, after, _ := strings.Cut(line, " - ")
		fields := strings.Fields(before)
		if !strings.HasPrefix(after, "cgroup2 ") || len(fields) < 5 {
			continue
		}
		found := "cgroup v2 is mounted on " + oneLine(fields[4])
		if !strings.HasPrefix(fields[4], "/sys/") { // where doctor does not look
			return ok(found)
		}
		list, readable := h.read(fields[4][1:] + "/cgroup.controllers")
		controllers := strings.Fields(list)
		if readable && (!slices.Contains(controllers, "memory") || !slices.Contains(controllers, "pids")) {
			return warn(found+" without the controllers memory and pids", "Plan for a system that boots with cgroup v2 alone: limits need its controllers.")
		}
		return ok(found)
	}
	return warn("cgroup v2 is not mounted", "Plan for a system that boots with cgroup v2.")
}
