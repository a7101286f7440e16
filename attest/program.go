package attest

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"

	"github.com/mcpsec/mcpsec-go/attest/manifest"
	"github.com/mcpsec/mcpsec-go/internal/memfd"
)

// image names the program that is running. On Linux that is the image itself, whatever its
// path names by now, and the kernel lets nobody write to it.
func image() (string, error) {
	if runtime.GOOS == "linux" {
		return "/proc/self/exe", nil
	}
	return os.Executable()
}

// running remembers the digest of the running program, which cannot change on Linux.
var running struct {
	sync.Mutex
	sha256 string
	size   int64
}

// measureProgram returns digest and size of the running program: about a millisecond a
// megabyte, once a process.
func measureProgram(ctx context.Context) (digest string, size int64, err error) {
	running.Lock()
	defer running.Unlock()
	if running.sha256 != "" {
		return running.sha256, running.size, nil
	}
	path, err := image()
	if err == nil {
		digest, size, err = measureFile(ctx, path)
	}
	if err != nil {
		return "", 0, fmt.Errorf("the running executable: %w", err)
	}
	if runtime.GOOS == "linux" {
		running.sha256, running.size = digest, size
	}
	return digest, size, nil
}

func measureFile(ctx context.Context, path string) (digest string, size int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", 0, err
	}
	defer func() { _ = f.Close() }() // nothing was written
	info, err := f.Stat()
	if err != nil {
		return "", 0, err
	}
	if !info.Mode().IsRegular() {
		return "", 0, fmt.Errorf("%s is not a regular file", path)
	}
	digest, err = memfd.Sum(ctx, f, info.Size())
	return digest, info.Size(), err
}

// checkExecutable compares the running program, and what it says of its build, with the
// manifest.
func (a *Attestor) checkExecutable(ctx context.Context) (faults []error) {
	exe, err := a.executable()
	if exe == nil {
		if err != nil {
			faults = append(faults, err)
		}
		return faults
	}
	digest, size, err := measureProgram(ctx)
	switch {
	case err != nil:
		faults = append(faults, err)
	case digest != exe.SHA256 || size != exe.Size:
		faults = append(faults, fmt.Errorf("the executable is another one: expected sha256:%s (%d bytes), found sha256:%s (%d bytes)", exe.SHA256, exe.Size, digest, size))
	}
	if exe.GoBuild == nil {
		return faults
	}
	b := buildInfo()
	if b == nil {
		return append(faults, fmt.Errorf("the manifest describes the build of the executable, and the executable does not: build it without stripping its build information"))
	}
	for _, c := range []struct{ what, want, got string }{
		{"main module", exe.GoBuild.Main, b.Main},
		{"version", exe.GoBuild.Version, b.Version},
		{"sum", exe.GoBuild.Sum, b.Sum},
		{"Go version", exe.GoBuild.GoVersion, b.GoVersion},
		{"revision", exe.GoBuild.Revision, b.Revision},
		{"settings digest", exe.GoBuild.SettingsSHA256, b.SettingsSHA256},
	} {
		if c.want != c.got {
			faults = append(faults, fmt.Errorf("the build is another one: %s is %q, the manifest says %q", c.what, c.got, c.want))
		}
	}
	if b.Modified != exe.GoBuild.Modified {
		faults = append(faults, fmt.Errorf("the build is another one: built from a modified tree: %t, the manifest says %t", b.Modified, exe.GoBuild.Modified))
	}
	return faults
}

// buildInfo returns what this program says of its build; nil if it says nothing.
func buildInfo() *manifest.GoBuild {
	info, _ := debug.ReadBuildInfo()
	return manifest.Build(info)
}

// replaced says what has become of the file that the running program was started from;
// nothing if it holds what the manifest says.
func replaced(ctx context.Context, exe manifest.Executable) string {
	path, err := os.Executable()
	if err != nil {
		return "the executable's file cannot be found: " + err.Error()
	}
	path = strings.TrimSuffix(path, " (deleted)") // as Linux says when the file was unlinked
	if self, err := image(); err == nil {
		is, err1 := os.Stat(self)
		was, err2 := os.Stat(path)
		if err1 == nil && err2 == nil && os.SameFile(is, was) && runtime.GOOS == "linux" {
			return ""
		}
	}
	digest, _, err := measureFile(ctx, path)
	switch {
	case err != nil:
		return "the executable's file cannot be read: " + err.Error()
	case digest != exe.SHA256:
		return fmt.Sprintf("%s: expected sha256:%s, found sha256:%s", path, exe.SHA256, digest)
	}
	return ""
}
