package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mcpsec/mcpsec-go/audit"
	"github.com/mcpsec/mcpsec-go/audit/ledger"
)

const auditCheckHelp = `Check a proof that "mcpsec audit prove" wrote, and print the record it is about. Nothing
is needed but the proof and the public key of the ledger, from a place you trust: a key
that came with the proof proves nothing. The exit code is 1 if the proof does not hold.

Members with --json: ok (true), origin, seq, size (records the checkpoint covers),
record (an object) and checkpoint (the signed text).`

func newAuditCheck(a *app) *cobra.Command {
	var keyFiles []string
	cmd := &cobra.Command{
		Use:   "check FILE",
		Short: "Check a proof of a record, without the ledger",
		Long:  auditCheckHelp,
		Example: `  mcpsec audit check proof.txt --key audit.pub
  mcpsec audit check proof.txt --key audit.pub --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(keyFiles) == 0 {
				return usagef("check needs --key: a proof is only as good as the key it is checked with")
			}
			keys, err := readKeys(keyFiles)
			if err != nil {
				return err
			}
			text, err := readSmall(args[0])
			if err != nil {
				return err
			}
			p, err := ledger.ParseProof(text)
			if err != nil {
				return err
			}
			if err := p.Check(keys...); err != nil {
				return fmt.Errorf("the proof does not hold: %w", err)
			}
			c, err := newCheckedProof(p)
			if err != nil {
				return err
			}
			return a.emit(cmd, c, c.text())
		},
	}
	cmd.Flags().StringArrayVar(&keyFiles, "key", nil, "file of the ledger's public key, from a place you trust")
	return cmd
}

// A checkedProof is what check prints; its members are those of the JSON form.
type checkedProof struct {
	OK         bool            `json:"ok"`
	Origin     string          `json:"origin"`
	Seq        uint64          `json:"seq"`
	Size       uint64          `json:"size"`
	Record     json.RawMessage `json:"record"`
	Checkpoint string          `json:"checkpoint"`

	event *audit.Event
}

func newCheckedProof(p *ledger.Proof) (*checkedProof, error) {
	event, err := audit.Decode(p.Record)
	if err != nil {
		return nil, fmt.Errorf("what the proof proves is no record: %w", err)
	}
	c := &checkedProof{OK: true, Seq: p.Index, Checkpoint: p.Checkpoint, event: event}
	c.Record = json.RawMessage(jsonLine(auditEntry{line: p.Record}))
	// The first two lines of a checkpoint are origin and size (C2SP tlog-checkpoint).
	origin, rest, _ := strings.Cut(p.Checkpoint, "\n")
	size, _, _ := strings.Cut(rest, "\n")
	if c.Size, err = strconv.ParseUint(size, 10, 64); err != nil {
		return nil, fmt.Errorf("the proof's checkpoint: %w", err)
	}
	c.Origin = origin
	return c, nil
}

func (c *checkedProof) text() string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "ok    record %d of %s\n", c.Seq, shown(c.Origin, 200))
	fmt.Fprintf(&b, "proven: the ledger held exactly this record, as number %d, when it had %d records and its checkpoint was signed.\n", c.Seq, c.Size)
	fmt.Fprint(&b, "not proven: that what it says is true, nor anything about records after that checkpoint.\n\n")
	rows := eventRows(c.event)
	align(&b, "  ", rows)
	fmt.Fprintf(&b, "\nas written:\n%s\n", c.Record)
	return b.String()
}

// eventRows says what a record says, a line for each fact.
func eventRows(e *audit.Event) []row {
	var rows []row
	add := func(name, value string) {
		if value != "" {
			rows = append(rows, row{name, shown(value, 1000)})
		}
	}
	stamp := func(name string, t time.Time) {
		if !t.IsZero() {
			add(name, t.UTC().Format(time.RFC3339Nano))
		}
	}
	stamp("time", e.Time)
	add("event", string(e.Kind))
	add("call", e.ID)
	add("parent call", e.Parent)
	add("method", e.Method)
	add("name", e.Name)
	add("principal", principalText(&e.Principal))
	add("from", strings.TrimSpace(e.Source.Transport+" "+e.Source.Address))
	add("tool digest", e.Tool.Digest)
	add("policy", e.Policy)
	if e.Arguments.Bytes > 0 {
		add("arguments", fmt.Sprintf("%d bytes, members %q", e.Arguments.Bytes, e.Arguments.Keys))
		add("arguments hmac", e.Arguments.HMAC)
	}
	if e.Count > 0 {
		add("count", fmt.Sprint(e.Count))
	}
	stamp("first", e.First)
	stamp("last", e.Last)
	add("level", e.Level)
	add("decision", string(e.Decision))
	add("code", e.Code)
	add("control", e.Control)
	add("reason", e.Reason)
	add("detail", e.Detail)
	for _, f := range e.Findings {
		add("finding", strings.TrimSpace(f.Control+" "+f.Code+" "+cmp.Or(f.Reason, f.Detail)))
	}
	for _, n := range e.Notes {
		add("note", n.Key+": "+n.Value)
	}
	for _, c := range e.Credentials {
		add("credential", strings.TrimSpace(c.Name+" "+c.Provider+" "+c.Role+" "+c.KeyID))
	}
	if e.Kind == audit.Outcome && e.Decision != audit.Unknown {
		add("latency", briefly(e.Latency))
	}
	if e.Result.Bytes > 0 {
		add("result", fmt.Sprintf("%d bytes %s", e.Result.Bytes, e.Result.Digest))
	}
	return rows
}

func principalText(p *audit.Principal) string {
	parts := []string{p.Rung}
	for _, f := range []struct{ name, value string }{{"subject", p.Subject}, {"client", p.Client}, {"tenant", p.Tenant}, {"issuer", p.Issuer}} {
		if f.value != "" {
			parts = append(parts, f.name+"="+word(f.value, 500))
		}
	}
	for _, actor := range p.Actors {
		parts = append(parts, "through "+word(actor, 500))
	}
	return strings.Join(parts, " ")
}
