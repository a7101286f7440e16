//go:build !unix

package child

import "os/exec"

const supported = false

func ownGroup(*exec.Cmd) {}

func kill(cmd *exec.Cmd) { _ = cmd.Process.Kill() }

func user(*exec.Cmd) *int { return nil }
