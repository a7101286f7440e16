package sandbox

// A Control is one of the things that confine a process. The names are stable.
type Control string

// The controls.
const (
	UserNamespace   Control = "user-namespace"
	MountNamespace  Control = "mount-namespace" // and the private root
	PIDNamespace    Control = "pid-namespace"   // and its own /proc
	IPCNamespace    Control = "ipc-namespace"
	UTSNamespace    Control = "uts-namespace"
	NetNamespace    Control = "net-namespace"
	CgroupNamespace Control = "cgroup-namespace"
	Proc            Control = "proc"            // a /proc that shows its own processes only
	LandlockFiles   Control = "landlock-files"  // file access by path, in the kernel
	LandlockNet     Control = "landlock-net"    // TCP ports
	LandlockScope   Control = "landlock-scope"  // signals and abstract sockets
	Seccomp         Control = "seccomp"         // the list of system calls
	NoNewPrivs      Control = "no-new-privs"    // no setuid, no file capabilities
	Capabilities    Control = "capabilities"    // none, the bounding set included
	Rlimits         Control = "rlimits"         // limits of each process
	Cgroup          Control = "cgroup"          // limits of all processes together
	Descriptors     Control = "descriptors"     // nothing but standard input, output and error
	Environment     Control = "environment"     // built from nothing
	Tree            Control = "tree"            // no descendant outlives it, or the host
	Egress          Control = "egress"          // hosts by name
	Artifact        Control = "artifact"        // what runs is what was verified
	Speculation     Control = "speculation"     // PR_SET_SPECULATION_CTRL
	CoreScheduling  Control = "core-scheduling" // PR_SCHED_CORE
)

// A Tier sums up how strong a sandbox is.
type Tier string

// The tiers, strongest first.
const (
	T3 Tier = "T3" // own namespaces and root, and filter; Landlock unless Allow names it
	T2 Tier = "T2" // Landlock and filter, no namespaces
	T1 Tier = "T1" // filter only: no confinement of files
	T0 Tier = "T0" // nothing of the kernel
)

// A Finding says of one control what was wanted and what is in force.
type Finding struct {
	Control Control `json:"control"`
	// Wanted is set if the profile asks for it, and Required if the start fails without.
	Wanted   bool `json:"wanted"`
	Required bool `json:"required"`
	// InForce is set if the kernel said so when it was applied, and Verified if it was then
	// seen from outside the process.
	InForce  bool `json:"inForce"`
	Verified bool `json:"verified"`
	// Mechanism is what enforces it, "landlock abi 7" or "netns".
	Mechanism string `json:"mechanism,omitempty"`
	// Detail and Remedy say why it is not in force, and what to do.
	Detail string `json:"detail,omitempty"`
	Remedy string `json:"remedy,omitempty"`
}

// A Report says what confines a process. Its JSON is stable.
type Report struct {
	Schema      int       `json:"schema"` // 1
	Tier        Tier      `json:"tier"`
	Mechanism   string    `json:"mechanism"` // "direct", "self", or the name of a backend
	Kernel      string    `json:"kernel"`
	Arch        string    `json:"arch"`
	LandlockABI int       `json:"landlockABI"`
	Filter      string    `json:"filter,omitempty"`   // "sha256:HEX" of the system call filter
	Artifact    string    `json:"artifact,omitempty"` // "sha256:HEX" of what runs
	Controls    []Finding `json:"controls"`           // in the order of the constants
}
