package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/mcpsec/mcpsec-go/ratelimit"
)

// A frozen is a target as the user sees it; its members are those of the JSON form.
type frozen struct {
	Target string `json:"target"`
	Since  string `json:"since,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// targetFlags are how freeze and thaw are told what they are about.
type targetFlags struct {
	dir, principal, tool string
	everything           bool
}

func (t *targetFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&t.dir, "dir", "", "state directory of the server (ratelimit.StateDir); required")
	f.BoolVar(&t.everything, "all", false, "everything")
	f.StringVar(&t.principal, "principal", "", "a principal, by key or subject")
	f.StringVar(&t.tool, "tool", "", "a tool, by name")
}

// open checks the flags and opens the switch.
func (t *targetFlags) open(cmd *cobra.Command) (*ratelimit.Switch, ratelimit.Target, error) {
	var target ratelimit.Target
	given := 0
	for name, named := range map[string]func() ratelimit.Target{
		"all":       ratelimit.Everything,
		"principal": func() ratelimit.Target { return ratelimit.PrincipalNamed(t.principal) },
		"tool":      func() ratelimit.Target { return ratelimit.ToolNamed(t.tool) },
	} {
		if cmd.Flags().Changed(name) {
			target = named()
			given++
		}
	}
	switch {
	case t.dir == "":
		return nil, target, usagef("--dir needs the state directory of the server")
	case given != 1 || cmd.Flags().Changed("all") && !t.everything:
		return nil, target, usagef("give one of --all, --principal and --tool")
	case cmd.Flags().Changed("principal") && t.principal == "", cmd.Flags().Changed("tool") && t.tool == "":
		return nil, target, usagef("--principal and --tool need a name")
	}
	s, err := ratelimit.OpenSwitch(t.dir)
	return s, target, err
}

func newFreeze(a *app) *cobra.Command {
	var t targetFlags
	var reason string
	cmd := &cobra.Command{
		Use:   "freeze --dir DIR (--all | --principal KEY | --tool NAME)",
		Short: "Stop a principal, a tool or everything at once",
		Long: `Stop the calls of a principal, of a tool or of everybody, in all servers that use the
state directory. They follow within a second, with their next call, and the freeze
survives restarts. Calls that run already end by themselves.

A principal is named by its key or by its subject, as the audit record has them; a
subject stops everyone who has it, whoever issued it. Calls that are refused carry the
code ratelimit.frozen, and the audit record has the reason. mcpsec thaw lifts it.

Members with --json: target, reason.`,
		Example: `  mcpsec freeze --dir /var/lib/mcp --all --reason incident-42
  mcpsec freeze --dir /var/lib/mcp --principal alice@example.com
  mcpsec freeze --dir /var/lib/mcp --tool delete_bucket`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, target, err := t.open(cmd)
			if err != nil {
				return err
			}
			if err := s.Freeze(target, reason); err != nil {
				return err
			}
			return a.emit(cmd, frozen{Target: target.String(), Reason: reason}, fmt.Sprintf("frozen: %v\n", target))
		},
	}
	t.add(cmd)
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the audit record and mcpsec status")
	return cmd
}

func newThaw(a *app) *cobra.Command {
	var t targetFlags
	cmd := &cobra.Command{
		Use:   "thaw --dir DIR (--all | --principal KEY | --tool NAME)",
		Short: "Let go on what was frozen",
		Long: `Lift what mcpsec freeze did. It lifts exactly that: after freeze --all and freeze --tool
X, thaw --all leaves X frozen. What is not frozen is an error, and so is a state file
that cannot be read: until it is repaired or removed, everything is frozen.

Member with --json: target.`,
		Example: `  mcpsec thaw --dir /var/lib/mcp --all
  mcpsec thaw --dir /var/lib/mcp --tool delete_bucket`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, target, err := t.open(cmd)
			if err != nil {
				return err
			}
			switch err := s.Thaw(target); {
			case errors.Is(err, ratelimit.ErrNotFrozen):
				return fmt.Errorf("%v is not frozen: mcpsec status shows what is", target)
			case err != nil:
				return err
			}
			return a.emit(cmd, frozen{Target: target.String()}, fmt.Sprintf("thawed: %v\n", target))
		},
	}
	t.add(cmd)
	return cmd
}
