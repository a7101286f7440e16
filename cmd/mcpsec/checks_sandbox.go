package main

import (
	"fmt"
	"slices"

	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox"
)

// notAsked are the controls that depend on what is started, not on the machine.
var notAsked = []sandbox.Control{sandbox.Environment, sandbox.Artifact, sandbox.Speculation}

// sandboxChecks are one for each control that the machine decides about.
func sandboxChecks() (list []check) {
	for _, control := range sandbox.Controls() {
		if !slices.Contains(notAsked, control) {
			list = append(list, check{"sandbox-" + string(control), func(h host) finding { return checkControl(h, control) }})
		}
	}
	return list
}

// checkSandbox says how strong the sandbox is that this user gets on this machine.
func checkSandbox(h host) finding {
	switch {
	case h.goos != "linux":
		return skip("this is "+h.goos, notLinux)
	case h.sandbox == nil:
		return warn(fmt.Sprintf("no process can be confined: %v", h.refusal), "See the remedies below, or start servers with an OCI runtime.")
	case h.sandbox.Tier != sandbox.T3:
		return warn(fmt.Sprintf("tier %s of T3", h.sandbox.Tier), "See what is missing below; a start names each control it has to do without.")
	}
	return ok(fmt.Sprintf("tier %s, Landlock ABI %d", h.sandbox.Tier, h.sandbox.LandlockABI))
}

func checkControl(h host, control sandbox.Control) finding {
	if h.goos != "linux" || h.sandbox == nil {
		return skip("nothing was confined", "See the check named sandbox.")
	}
	i := slices.IndexFunc(h.sandbox.Controls, func(f sandbox.Finding) bool { return f.Control == control })
	if i < 0 {
		return skip("nothing is known of it", "Report this: every control has a finding.")
	}
	switch f := h.sandbox.Controls[i]; {
	case f.InForce && f.Verified:
		return ok(oneLine(f.Mechanism) + ", seen from outside")
	case f.InForce:
		return ok(oneLine(f.Mechanism))
	case control == sandbox.CoreScheduling && !h.exposure.CoreScheduling:
		return ok("not needed: the kernel schedules no hyper-threads")
	default:
		found, remedy := oneLine(f.Detail), oneLine(f.Remedy)
		if found == "" {
			found = "not in force"
		}
		if remedy == "" {
			remedy = "A start that needs it has to do without: name it in Allow, or move to another machine."
		}
		return warn(found, remedy)
	}
}

// checkSpeculation says what a neighbour could read through the processor.
func checkSpeculation(h host) finding {
	e := h.exposure
	if h.goos != "linux" {
		return skip("this is "+h.goos, notLinux)
	}
	found := fmt.Sprintf("store bypass %s, indirect branch %s, SMT %s", e.StoreBypass, e.IndirectBranch, orUnknown(e.SMT))
	if e.StoreBypass == sandbox.SpeculationExposed || e.IndirectBranch == sandbox.SpeculationExposed {
		return warn(found, "Update the kernel and the processor's microcode, or keep servers that must not see each other on machines of their own.")
	}
	if e.SMT == "on" && !e.CoreScheduling {
		return warn(found, "Switch hyper-threads off (nosmt), or use a kernel with core scheduling (5.14).")
	}
	return ok(found)
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return oneLine(s)
}
