package main

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/mcpsec/mcpsec-go/ratelimit"
)

// A condition is what status prints; its members are those of the JSON form.
type condition struct {
	Schema  int               `json:"schema"`
	Frozen  []frozen          `json:"frozen"`
	Servers []ratelimit.Stats `json:"servers"`
}

func newStatus(a *app) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "status --dir DIR",
		Short: "Show what is frozen and what the servers are doing",
		Long: `Show what is frozen in a state directory, and what the servers that use it last said
of themselves: calls in flight and waiting, and the circuit breakers that are not
closed. A server says it when a call comes, at most once a second, so that an idle
one speaks of the past; one that was killed is shown for a day. What one of them said
and cannot be understood is an error; the rest is shown all the same. The directory is
only read.

Members with --json:
  schema   1; a higher number when a member changes its meaning
  frozen   list; each with target, since, reason
  servers  list, newest first; each with time, pid, buckets, accounts, inFlight,
           waiting, listeners, frozen, breakers (name, kind, state, since,
           opened, running, failures, waitNs)`,
		Example: `  mcpsec status --dir /var/lib/mcp
  mcpsec status --dir /var/lib/mcp --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dir == "" {
				return usagef("--dir needs the state directory of the server")
			}
			c, unread, err := readCondition(dir)
			if err != nil {
				return err
			}
			return errors.Join(a.emit(cmd, c, c.text()), unread)
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "state directory of the server (ratelimit.StateDir); required")
	return cmd
}

// readCondition reads a state directory. unread is about servers whose word cannot be
// understood.
func readCondition(dir string) (c condition, unread, err error) {
	c = condition{Schema: 1, Frozen: []frozen{}, Servers: []ratelimit.Stats{}}
	s, err := ratelimit.OpenSwitch(dir)
	if err != nil {
		return c, nil, err
	}
	list, err := s.Frozen()
	if err != nil {
		return c, nil, err
	}
	for _, f := range list {
		c.Frozen = append(c.Frozen, frozen{f.Target.String(), f.Since.Format(time.RFC3339), f.Reason})
	}
	servers, unread := ratelimit.ReadStats(dir)
	c.Servers = append(c.Servers, servers...)
	return c, unread, nil
}

// text renders the condition. Names and reasons are quoted: others chose them.
func (c condition) text() string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%d frozen\n", len(c.Frozen))
	for _, f := range c.Frozen {
		fmt.Fprintf(&b, "  %s since %s %s\n", oneLine(f.Target), f.Since, strconv.Quote(f.Reason))
	}
	fmt.Fprintf(&b, "%d servers\n", len(c.Servers))
	for _, s := range c.Servers {
		fmt.Fprintf(&b, "  process %d at %s: %d in flight, %d waiting, %d streams\n",
			s.PID, s.Time.Format(time.RFC3339), s.InFlight, s.Waiting, s.Listeners)
		for _, r := range s.Breakers {
			if r.State == "closed" {
				continue
			}
			fmt.Fprintf(&b, "    %s %s is %s since %s", oneLine(r.Kind), strconv.Quote(r.Name), oneLine(r.State), r.Since.Format(time.RFC3339))
			if r.Wait > 0 {
				fmt.Fprintf(&b, ", tried again in %v", r.Wait.Round(time.Millisecond))
			}
			b.WriteByte('\n')
		}
	}
	return b.String()
}
