//go:build unix

package child

import (
	"os/exec"
	"syscall"
)

const supported = true

// ownGroup makes the child the first of a process group.
func ownGroup(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	}
}

// kill ends the child, and its group if that is its own.
func kill(cmd *exec.Cmd) {
	a := cmd.SysProcAttr
	if own := a.Setsid || a.Setpgid && a.Pgid == 0; own && cmd.Process.Signal(syscall.Signal(0)) == nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // it may be over
	}
	_ = cmd.Process.Kill() // it may be over
}

// user is as whom the child runs, or nil if it is as the server.
func user(cmd *exec.Cmd) *int {
	if a := cmd.SysProcAttr; a != nil && a.Credential != nil {
		return new(int(a.Credential.Uid))
	}
	return nil
}
