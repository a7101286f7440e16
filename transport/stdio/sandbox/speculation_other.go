//go:build !linux

package sandbox

// SpeculationState asks the kernel about this machine and the calling thread. Systems
// other than Linux do not say.
func SpeculationState() Exposure {
	return Exposure{StoreBypass: SpeculationUnknown, IndirectBranch: SpeculationUnknown}
}
