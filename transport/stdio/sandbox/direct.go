package sandbox

import "context"

// Start starts a command with [Direct].
func Start(ctx context.Context, c *Command) (Process, error) {
	return Direct.Start(ctx, c)
}

// everything are all controls, in the order of the report.
var everything = []Control{
	UserNamespace, MountNamespace, PIDNamespace, IPCNamespace, UTSNamespace, NetNamespace, CgroupNamespace, Proc,
	LandlockFiles, LandlockNet, LandlockScope, Seccomp, NoNewPrivs, Capabilities, Rlimits, Cgroup, Descriptors,
	Environment, Tree, Egress, Artifact, Speculation, CoreScheduling,
}

// WithoutNamespaces is a value of [Command.Allow] for machines where namespaces cannot be
// had, as inside most containers. What is lost: the process sees the host's processes
// and the names of its files, shares its temporary files and System V memory, its own
// processes are not counted, and what it leaves running in a session of its own survives
// it.
var WithoutNamespaces = []Control{
	UserNamespace, MountNamespace, PIDNamespace, IPCNamespace, UTSNamespace, NetNamespace, CgroupNamespace, Proc, Tree,
}
