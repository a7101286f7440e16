//go:build linux && (amd64 || arm64)

package sandbox

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/mcpsec/mcpsec-go/internal/test/asuser"
	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox/internal/program"
	"golang.org/x/sys/unix"
)

// waitingVariable makes this program a host that clones a child, says which, and does
// nothing more: the child waits for it.
const waitingVariable = "MCPSEC_TEST_WAITING_HOST"

func init() {
	if missing := os.Getenv(waitingVariable); missing != "" {
		fmt.Println(waitForever(missing))
		os.Exit(1)
	}
}

func waitForever(missing string) error {
	c := shell("true")
	v, err := c.check()
	if err != nil {
		return err
	}
	h, err := thisHost(0)
	if err != nil {
		return err
	}
	without := h.absent()
	for name := range strings.SplitSeq(missing, ",") {
		if name != "nothing" {
			lose(without, Control(name), unix.ENOSYS, h)
		}
	}
	l := &launching{release: program.Hold(), socket: -1, theirs: -1, null: -1}
	if err = l.prepare(c, v, h, without); err == nil {
		program.OnThread(func() { err = l.clone() })
	}
	if err != nil {
		return err
	}
	fmt.Println(l.run.PID)
	select {}
}

// A host that is killed between the clone and its first word leaves no child that waits.
func TestHostIsKilledBeforeItSpeaks(t *testing.T) {
	t.Parallel()
	names := make([]string, 0, len(namespaces))
	for _, ns := range namespaces {
		names = append(names, string(ns.control))
	}
	alone := strings.Join(names, ",")
	for name, missing := range map[string]string{
		"with everything": "nothing", "without namespaces": alone,
		"without close_range": string(Descriptors), "without both": alone + "," + string(Descriptors),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if asuser.Again(t) {
				return
			}
			self, err := os.Executable()
			mustDo(t, err)
			cmd := exec.CommandContext(t.Context(), self)
			cmd.Env = append(os.Environ(), waitingVariable+"="+missing)
			out, err := cmd.StdoutPipe()
			mustDo(t, err, cmd.Start())
			said, err := bufio.NewReader(out).ReadString('\n')
			mustDo(t, err)
			pid, err := strconv.Atoi(strings.TrimSpace(said))
			mustDo(t, err)
			defer func() { _ = unix.Kill(pid, unix.SIGKILL) }()
			eventually(t, "the child waits", func() bool {
				stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
				return err == nil && strings.Contains(string(stat), ") S ")
			})
			mustDo(t, cmd.Process.Kill())
			_ = cmd.Wait()
			gone(t, pid)
		})
	}
}
