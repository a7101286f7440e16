package sandbox

import (
	"os"
	"path/filepath"
	"unsafe"

	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox/internal/procfs"
	"golang.org/x/sys/unix"
)

// specKinds are the kinds of speculation that a process can switch off.
var specKinds = []uintptr{unix.PR_SPEC_STORE_BYPASS, unix.PR_SPEC_INDIRECT_BRANCH}

// SpeculationState asks the kernel about this machine and the calling thread.
func SpeculationState() Exposure {
	return speculationState("/sys/devices/system/cpu")
}

func speculationState(cpu string) Exposure {
	s := Exposure{
		StoreBypass:    speculationOf(unix.PR_SPEC_STORE_BYPASS),
		IndirectBranch: speculationOf(unix.PR_SPEC_INDIRECT_BRANCH),
		SMT:            procfs.Line(filepath.Join(cpu, "smt", "control")),
		CoreScheduling: coreScheduling(),
	}
	entries, _ := os.ReadDir(filepath.Join(cpu, "vulnerabilities")) // none in containers without /sys
	for _, e := range entries {
		if text := procfs.Line(filepath.Join(cpu, "vulnerabilities", e.Name())); text != "" {
			if s.Vulnerabilities == nil {
				s.Vulnerabilities = make(map[string]string)
			}
			s.Vulnerabilities[e.Name()] = text
		}
	}
	return s
}

func speculationOf(kind uintptr) SpeculationControl {
	state, _, errno := unix.Syscall6(unix.SYS_PRCTL, unix.PR_GET_SPECULATION_CTRL, kind, 0, 0, 0, 0)
	if errno != 0 {
		return SpeculationUnknown
	}
	return speculationName(state)
}

// speculationName reads what PR_GET_SPECULATION_CTRL answers.
func speculationName(state uintptr) SpeculationControl {
	controlled := state&unix.PR_SPEC_PRCTL != 0
	switch {
	case state == unix.PR_SPEC_NOT_AFFECTED:
		return SpeculationNotAffected
	case state&unix.PR_SPEC_FORCE_DISABLE != 0:
		return SpeculationForcedOff
	case state&unix.PR_SPEC_DISABLE != 0 && !controlled:
		return SpeculationMitigated
	case state&(unix.PR_SPEC_DISABLE|unix.PR_SPEC_DISABLE_NOEXEC) != 0:
		return SpeculationOff
	case state&unix.PR_SPEC_ENABLE != 0 && controlled:
		return SpeculationOn
	case state&unix.PR_SPEC_ENABLE != 0:
		return SpeculationExposed
	}
	return SpeculationUnknown
}

// coreScheduling reports whether the kernel knows cookies for cores: it answers for the
// calling thread.
func coreScheduling() bool {
	var cookie uint64
	_, _, errno := unix.Syscall6(unix.SYS_PRCTL, unix.PR_SCHED_CORE, unix.PR_SCHED_CORE_GET, 0, 0, uintptr(unsafe.Pointer(&cookie)), 0) //nolint:gosec // a system call
	return errno == 0
}
