package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/mcpsec/mcpsec-go/attest/lock"
)

// decisions are how a review is told what to do without a terminal.
type decisions struct {
	server                string
	approve, reject       []string
	approveAll, rejectAll bool

	// observed says that the changes are what a server showed just now, and that it is
	// for the caller to have them read: lock add.
	observed bool
}

func (d *decisions) given() bool {
	return d.approveAll || d.rejectAll || len(d.approve)+len(d.reject) > 0
}

func newLockReview(a *app) *cobra.Command {
	var (
		path string
		d    decisions
	)
	cmd := &cobra.Command{
		Use:   "review [--approve NAME]... [--reject NAME]... [--approve-all | --reject-all]",
		Short: "Show what a host refused, and approve or reject it",
		Long: `Show what hosts refused because it is not in the lock file, with the difference word by
word: [-what went-] and {+what came+}. Hidden characters are escaped, and what speaks
against the definitions is said. On a terminal each change is asked about.

Without one, run it twice: once to read, once with --approve and --reject. They take
names, as they are or with their kind before them ("tool:search", "prompt:search",
"server" for what a server says of itself), or the digest that was printed, sha256:HEX.
A name, and --approve-all, approve only what an earlier review without a decision
showed; what a server showed since must be read first. A digest says what was read, and
needs no earlier review. Rejecting only removes it from the list: it stays refused.

Without a decision the exit code is 1 as long as something waits.

Members with --json: changes (server, kind, name, change, approved, shown, seen,
lines, decision), findings (server, severity, code, where, message).`,
		Example: `  mcpsec lock review
  mcpsec lock review --server files --approve search --reject tool:upload
  mcpsec lock review --approve-all --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if d.approveAll && d.rejectAll || (d.approveAll || d.rejectAll) && len(d.approve)+len(d.reject) > 0 {
				return usagef("give names, or one of --approve-all and --reject-all")
			}
			changes, err := lock.Pending(path)
			if err != nil {
				return err
			}
			if d.server != "" {
				changes = slices.DeleteFunc(changes, func(c lock.Change) bool { return c.Server != d.server })
			}
			return a.review(cmd, path, lock.Reviewed, changes, d)
		},
	}
	addLockFile(cmd, &path)
	cmd.Flags().StringVar(&d.server, "server", "", "only this server of the lock file")
	cmd.Flags().StringArrayVar(&d.approve, "approve", nil, "approve the definition of that name")
	cmd.Flags().StringArrayVar(&d.reject, "reject", nil, "take the definition of that name off the list")
	cmd.Flags().BoolVar(&d.approveAll, "approve-all", false, "approve everything that is shown")
	cmd.Flags().BoolVar(&d.rejectAll, "reject-all", false, "take everything that is shown off the list")
	return cmd
}

// review shows changes, decides on them, by the flags or by asking, and carries it out.
func (a *app) review(cmd *cobra.Command, path string, how lock.How, changes []lock.Change, d decisions) error {
	file, err := lock.Load(path)
	if errors.Is(err, fs.ErrNotExist) {
		file, err = &lock.File{}, nil
	}
	if err != nil {
		return err
	}
	r := newLockReport(file, changes)
	if len(changes) == 0 && len(d.approve)+len(d.reject) == 0 {
		return a.emit(cmd, r, "nothing waits for review\n")
	}
	if !d.given() && !a.json && interactive(cmd.InOrStdin()) && interactive(cmd.OutOrStdout()) {
		return interview(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout(), path, how, changes, r)
	}
	verdicts, err := d.judge(changes)
	if err != nil {
		return err
	}
	left := 0
	for i, v := range verdicts {
		r.Changes[i].Decision = v
		if v == "" {
			left++
		}
	}
	if err := a.emit(cmd, r, r.text(changes)); err != nil { // nothing is approved that is not printed
		return err
	}
	if err := carryOut(cmd.Context(), path, how, changes, verdicts); err != nil {
		return fmt.Errorf("the decisions could not be carried out: %w", err)
	}
	if !d.given() {
		if err := lock.Shown(cmd.Context(), path, changes...); err != nil {
			return err
		}
		return fmt.Errorf("%d definitions wait for a decision: approve or reject them with mcpsec lock review", left)
	}
	return nil
}

const (
	approved = "approved"
	rejected = "rejected"
)

// judge returns the decision on each change; empty where there is none.
func (d *decisions) judge(changes []lock.Change) ([]string, error) {
	verdicts := make([]string, len(changes))
	for i := range verdicts {
		switch {
		case d.approveAll:
			if err := d.read(changes[i]); err != nil {
				return nil, err
			}
			verdicts[i] = approved
		case d.rejectAll:
			verdicts[i] = rejected
		}
	}
	for verdict, names := range map[string][]string{approved: d.approve, rejected: d.reject} {
		for _, name := range names {
			i, err := named(changes, name)
			if err != nil {
				return nil, err
			}
			if verdicts[i] != "" && verdicts[i] != verdict {
				return nil, usagef("%.*q is both approved and rejected", maxQuoted, name)
			}
			if verdict == approved && !strings.HasPrefix(name, digestPrefix) {
				if err := d.read(changes[i]); err != nil {
					return nil, err
				}
			}
			verdicts[i] = verdict
		}
	}
	return verdicts, nil
}

// read refuses to approve by its name what no review showed.
func (d *decisions) read(c lock.Change) error {
	switch {
	case d.observed || c.New != nil && c.New.Shown == c.New.SHA256:
		return nil
	case c.New == nil || c.New.Shown == "":
		return fmt.Errorf("server %s: %s, and was not shown yet: run mcpsec lock review", visible(c.Server), c)
	}
	return fmt.Errorf("server %s: %s, and has changed since it was shown: run mcpsec lock review", visible(c.Server), c)
}

// digestPrefix begins a digest on the command line.
const digestPrefix = "sha256:"

// named finds the one change that a name on the command line means.
func named(changes []lock.Change, name string) (int, error) {
	found := -1
	for i, c := range changes {
		whole := c.Kind.Name + ":" + c.Name
		if c.Kind == lock.Identity {
			whole = c.Kind.Name
		}
		digest := c.New != nil && name == digestPrefix+c.New.SHA256
		if !digest && name != whole && (name != c.Name || name == "" || withKind(name)) {
			continue
		}
		if found >= 0 {
			return 0, usagef("%.*q means several definitions that wait: give --server, or the kind as in tool:NAME", maxQuoted, name)
		}
		found = i
	}
	if found < 0 {
		return 0, fmt.Errorf("%.*q does not wait for review: mcpsec lock review shows what does", maxQuoted, name)
	}
	return found, nil
}

// withKind reports whether a name on the command line has its kind before it. A
// definition may call itself so, too, and must not be taken for what was meant.
func withKind(name string) bool {
	kind, _, ok := strings.Cut(name, ":")
	for _, k := range []lock.Kind{lock.Tool, lock.Prompt, lock.Resource, lock.ResourceTemplate} {
		if ok && kind == k.Name {
			return true
		}
	}
	return name == lock.Identity.Name || strings.HasPrefix(name, digestPrefix)
}

func carryOut(ctx context.Context, path string, how lock.How, changes []lock.Change, verdicts []string) error {
	var yes, no []lock.Change
	for i, verdict := range verdicts {
		switch verdict {
		case approved:
			yes = append(yes, changes[i])
		case rejected:
			no = append(no, changes[i])
		}
	}
	if len(yes) > 0 {
		if err := lock.Approve(ctx, path, how, yes...); err != nil {
			return err
		}
	}
	if len(no) > 0 {
		return lock.Reject(ctx, path, no...)
	}
	return nil
}

// interview asks about each change. What was decided holds, also if the rest is left.
func interview(ctx context.Context, in io.Reader, out io.Writer, path string, how lock.How, changes []lock.Change, r lockReport) error {
	answers := bufio.NewScanner(in)
	say := func(text string) error {
		_, err := io.WriteString(out, text)
		return err
	}
	if err := say(r.findings()); err != nil {
		return err
	}
	left := 0
	for i, c := range changes {
		var b bytes.Buffer
		showChange(&b, r.Changes[i], c.String())
		if err := say(b.String()); err != nil {
			return err
		}
		if err := lock.Shown(ctx, path, c); err != nil {
			return err
		}
		verdict, quit, err := question(answers, say)
		if err != nil {
			return err
		}
		if err := carryOut(ctx, path, how, changes[i:i+1], []string{verdict}); err != nil {
			return err
		}
		if quit {
			left += len(changes) - i
			break
		}
		if verdict == "" {
			left++
		}
	}
	if left > 0 {
		return fmt.Errorf("%d definitions wait for a decision", left)
	}
	return nil
}

// question asks until it gets an answer it knows. The end of the input is to quit.
func question(answers *bufio.Scanner, say func(string) error) (verdict string, quit bool, err error) {
	for {
		if err := say("approve it? [y]es, [n]o and take it off the list, [l]ater, [q]uit: "); err != nil {
			return "", false, err
		}
		if !answers.Scan() {
			return "", true, answers.Err()
		}
		switch strings.ToLower(strings.TrimSpace(answers.Text())) {
		case "y", "yes":
			return approved, false, nil
		case "n", "no":
			return rejected, false, nil
		case "l", "later":
			return "", false, nil
		case "q", "quit":
			return "", true, nil
		}
	}
}

func interactive(v any) bool {
	f, ok := v.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

func sortTexts(lists ...[]json.RawMessage) {
	for _, list := range lists {
		slices.SortFunc(list, func(a, b json.RawMessage) int { return cmp.Compare(string(a), string(b)) })
	}
}
