package sandbox

// Exposure says what this machine and this thread are exposed to of the attacks in
// which one program reads another's memory through what the processor guesses. Where no
// enclave separates them, it is what separates a server from its neighbours.
type Exposure struct {
	// StoreBypass and IndirectBranch are the two kinds that a process can switch off for
	// itself.
	StoreBypass    SpeculationControl `json:"storeBypass"`
	IndirectBranch SpeculationControl `json:"indirectBranch"`
	// SMT is what the kernel says of hyper-threads: "on", "off", "forceoff",
	// "notsupported" or "notimplemented"; empty if it says nothing.
	SMT string `json:"smt,omitempty"`
	// CoreScheduling is set if the kernel can keep other programs off the sibling
	// hyper-thread. It cannot where there are no hyper-threads, and need not.
	CoreScheduling bool `json:"coreScheduling"`
	// Vulnerabilities are the kernel's own words on each attack that it knows, from
	// /sys/devices/system/cpu/vulnerabilities.
	Vulnerabilities map[string]string `json:"vulnerabilities,omitempty"`
}

// A SpeculationControl is the state of one kind of speculation for a thread.
type SpeculationControl string

// The states.
const (
	SpeculationNotAffected SpeculationControl = "not-affected"
	SpeculationMitigated   SpeculationControl = "mitigated"      // for all processes
	SpeculationForcedOff   SpeculationControl = "force-disabled" // for this one, for good
	SpeculationOff         SpeculationControl = "disabled"       // for this one, until it changes its mind
	SpeculationOn          SpeculationControl = "enabled"        // and this process could switch it off
	SpeculationExposed     SpeculationControl = "vulnerable"     // and no process can change it
	SpeculationUnknown     SpeculationControl = "unknown"        // the kernel does not say
)

// Safe reports whether a program with this state cannot be read by the attack, nor change
// that.
func (c SpeculationControl) Safe() bool {
	return c == SpeculationNotAffected || c == SpeculationMitigated || c == SpeculationForcedOff
}
