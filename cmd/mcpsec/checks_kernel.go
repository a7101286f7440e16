package main

import (
	"fmt"
	"io"
	"strings"
)

const notLinux = "Run servers that are to be sandboxed on Linux."

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
	if h.goos != "linux" {
		return skip("this is "+h.goos, notLinux)
	}
	release, readable := h.read("proc/sys/kernel/osrelease")
	var major, minor int
	if _, err := fmt.Sscanf(release, "%d.%d", &major, &minor); !readable || err != nil {
		return skip("the kernel's version cannot be read", "Mount /proc and look at uname -r.")
	}
	found := "Linux " + oneLine(release)
	if major < landlockMajor || major == landlockMajor && minor < landlockMinor {
		return warn(found, "Use a kernel of 5.13 or later, the first with Landlock.")
	}
	return ok(found)
}
