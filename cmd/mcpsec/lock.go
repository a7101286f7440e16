package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mcpsec/mcpsec-go/attest/lock"
	terminal "github.com/mcpsec/mcpsec-go/internal/printable"
)

// lockFile is the name a project's lock file has unless somebody says otherwise.
const lockFile = "mcpsec.lock"

func newLock(a *app) *cobra.Command {
	cmd := group(&cobra.Command{
		Use:   "lock",
		Short: "Pin the servers a host uses, and review what changed",
		Long: `Pin the servers that somebody else runs: their instructions, tools, prompts and
resources, as they go over the wire. The lock file lies beside the code and is read in
a pull request; a host that wraps its transport with attest.Pin refuses whatever is not
in it. What was refused waits for review in a file beside it, with .pending at its end,
which does not belong into version control.`,
		Example: `  mcpsec lock add files -- files-server --stdio
  mcpsec lock review
  mcpsec lock check files -- files-server --stdio`,
	})
	cmd.AddCommand(newLockAdd(a), newLockCheck(a), newLockList(a), newLockReview(a))
	return cmd
}

// addLockFile adds the flag that says which lock file is meant.
func addLockFile(cmd *cobra.Command, path *string) {
	cmd.Flags().StringVar(path, "file", lockFile, "the lock file")
}

// A lockedServer is a server as the user sees it; its members are those of the JSON form.
type lockedServer struct {
	Name     string           `json:"name"`
	Pinned   string           `json:"pinned"` // "reviewed", "first-use", or "mixed"
	Since    string           `json:"since"`  // of the last approval
	Info     lockedInfo       `json:"serverInfo"`
	Artifact *lock.Artifact   `json:"artifact,omitempty"`
	Tools    []string         `json:"tools"`
	Others   map[string]int   `json:"others"` // other definitions, by kind
	Waiting  int              `json:"waiting"`
	how      map[lock.How]int // of all definitions
	since    time.Time
}

type lockedInfo struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

func newLockList(a *app) *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Show the pinned servers",
		Long: `Show the servers in the lock file, how they were approved, and how much waits for review.

Members with --json, a list: name, pinned, since, serverInfo, artifact, tools, others,
waiting.`,
		Example: `  mcpsec lock list
  mcpsec lock list --file deploy/mcpsec.lock --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			file, err := lock.Load(path)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			waiting, werr := lock.Pending(path)
			if werr != nil {
				return werr
			}
			if err != nil && len(waiting) == 0 {
				return fmt.Errorf("%w: mcpsec lock add makes a lock file", err)
			}
			if file == nil {
				file = &lock.File{}
			}
			list := lockedServers(file, waiting)
			return a.emit(cmd, list, lockText(list))
		},
	}
	addLockFile(cmd, &path)
	return cmd
}

func lockedServers(file *lock.File, waiting []lock.Change) []lockedServer {
	byName := make(map[string]*lockedServer)
	at := func(name string) *lockedServer {
		if byName[name] == nil {
			byName[name] = &lockedServer{Name: name, Tools: []string{}, Others: make(map[string]int), how: make(map[lock.How]int)}
		}
		return byName[name]
	}
	for name, s := range file.Servers {
		at(name).read(s)
	}
	for _, c := range waiting {
		at(c.Server).Waiting++
	}
	list := []lockedServer{}
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		list = append(list, *byName[name])
	}
	return list
}

func (l *lockedServer) read(s *lock.Server) {
	l.Artifact = s.Artifact
	l.Tools = append(l.Tools, slices.Sorted(maps.Keys(s.Tools))...)
	l.Others["prompts"], l.Others["resources"], l.Others["resourceTemplates"] = len(s.Prompts), len(s.Resources), len(s.ResourceTemplates)
	if d := s.Identity; d != nil {
		l.count(d)
		var said struct {
			ServerInfo lockedInfo `json:"serverInfo"`
		}
		if json.Unmarshal(d.Text, &said) == nil { // what has another form is not shown
			l.Info = said.ServerInfo
		}
	}
	for _, list := range []map[string]*lock.Definition{s.Tools, s.Prompts, s.Resources, s.ResourceTemplates} {
		for _, d := range list {
			l.count(d)
		}
	}
	switch {
	case len(l.how) > 1:
		l.Pinned = "mixed"
	default:
		for how := range l.how {
			l.Pinned = string(how)
		}
	}
	if !l.since.IsZero() {
		l.Since = l.since.Format(time.RFC3339)
	}
}

func (l *lockedServer) count(d *lock.Definition) {
	l.how[d.How]++
	if d.At.After(l.since) {
		l.since = d.At
	}
}

func lockText(list []lockedServer) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%d servers\n", len(list))
	for _, l := range list {
		fmt.Fprintf(&b, "%s\n", visible(l.Name))
		rows := []row{}
		if l.Pinned == "" {
			rows = append(rows, row{"pinned", "no"})
		} else {
			rows = append(rows, row{"pinned", l.Pinned + ", last at " + l.Since})
		}
		if l.Info != (lockedInfo{}) {
			rows = append(rows, row{"calls itself", visible(l.Info.Name + " " + l.Info.Version)})
		}
		if l.Artifact != nil {
			rows = append(rows, row{"program", visible(l.Artifact.Name) + " sha256:" + l.Artifact.SHA256})
		}
		rows = append(rows, row{"tools", visible(strings.Join(l.Tools, " "))})
		for _, kind := range slices.Sorted(maps.Keys(l.Others)) {
			rows = append(rows, row{kind, fmt.Sprint(l.Others[kind])})
		}
		if l.Waiting > 0 {
			rows = append(rows, row{"waiting", fmt.Sprintf("%d for mcpsec lock review", l.Waiting)})
		}
		align(&b, "  ", rows)
	}
	return b.String()
}

// visible writes text that strangers chose, with what is hidden escaped.
func visible(s string) string {
	quoted := terminal.AppendString(nil, s)
	return string(quoted[1 : len(quoted)-1])
}
