package ledger

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// The task of a child process, and the folder it does it in.
const (
	childTask = "MCPSEC_LEDGER_CHILD"
	childDir  = "MCPSEC_LEDGER_CHILD_DIR"
)

// childTasks are what a child can be asked for. It prints what is wrong.
var childTasks = map[string]func(ctx context.Context, dir string) error{
	"open": func(_ context.Context, dir string) error {
		l, err := Open(dir, Options{})
		if err != nil {
			return err
		}
		return l.Close()
	},
}

func child(task, dir string) int {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	if err := childTasks[task](ctx, dir); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// errNotPossible is what a child says when this machine does not let it try.
var errNotPossible = errors.New("not possible here")

// runChild gives a task to a process of its own.
func runChild(t *testing.T, task, dir string, change func(*exec.Cmd)) error {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childTask+"="+task, childDir+"="+dir)
	if change != nil {
		change(cmd)
	}
	out, err := cmd.CombinedOutput()
	said := strings.TrimSpace(string(out))
	if err != nil && (said == "" || strings.HasPrefix(said, errNotPossible.Error())) {
		t.Skipf("reason: a process of its own is not possible here: %v %s", err, said)
	}
	if err != nil {
		return errors.New(said)
	}
	return nil
}

func TestAnotherProcessIsKeptOut(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	l := start(t, dir, Options{})
	must(t, l, "a")
	err := runChild(t, "open", dir, nil)
	if err == nil || !strings.Contains(err.Error(), "another ledger") {
		t.Errorf("a second process opened the log: %v", err)
	}
	must(t, l, "b")
	stop(t, l)
	if err := runChild(t, "open", dir, nil); err != nil {
		t.Errorf("the folder is not free after Close: %v", err)
	}
	sound(t, dir, 2)
}
