package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/mcpsec/mcpsec-go/attest/envelope"
	"github.com/mcpsec/mcpsec-go/attest/lock"
	"github.com/mcpsec/mcpsec-go/attest/manifest"
	"github.com/mcpsec/mcpsec-go/attest/manifest/draft"
	"github.com/mcpsec/mcpsec-go/internal/regular"
)

const verifyHelp = `Verify the signatures of a manifest, offline, as a server does when it starts: a trusted
key or identity signed it, it is valid now, and the signer's key or certificate lived when
it was issued. Who signed and what the manifest covers is printed only then. The exit code
is 1, and the reason is said, otherwise.

Trust one or more of
  --key FILE                public keys
  --identity and --issuer   the one identity of certificates, compared exactly, with the
                            --trusted-root of its Sigstore; --source-repository, --source-ref
                            and --runner pin the build
Several signers are asked for with --threshold. --using cosign judges certificates with the
library of cosign instead of sigstore-go.

With --dir the artifacts in that folder are compared. With a command behind two dashes the
server is started, over stdio and with few variables of the environment, and everything it
shows is compared. Before that, its executable and artifacts are, and a script that it
interprets must be among them; a manifest with artifacts then needs --dir. There is no rollback protection here:
servers remember (attest.State); --min-sequence refuses what is older.

Members with --json: ok, digest, signers [{signer, id, time, log, notBefore, notAfter}],
manifest, compared.`

// A verifying is what the flags of verify say.
type verifying struct {
	trust   trustFlags
	minimum uint64
	dir     string
	env     []string
	timeout time.Duration
}

// A verified manifest is what verify prints; its members are those of the JSON form.
type verified struct {
	OK       bool               `json:"ok"`
	Digest   string             `json:"digest"`
	Signers  []verifiedSigner   `json:"signers"`
	Manifest *manifest.Manifest `json:"manifest"`
	Compared []string           `json:"compared"` // beyond the signatures
}

type verifiedSigner struct {
	Signer    string    `json:"signer"`
	ID        string    `json:"id"`
	Time      time.Time `json:"time,omitzero"` // when it was signed, by a trusted witness
	Log       string    `json:"log,omitempty"`
	NotBefore time.Time `json:"notBefore,omitzero"` // of the key or certificate
	NotAfter  time.Time `json:"notAfter,omitzero"`
}

func newVerify(a *app) *cobra.Command {
	var v verifying
	cmd := &cobra.Command{
		Use:   "verify FILE {--key FILE | --identity NAME --issuer URL --trusted-root FILE} [-- COMMAND [ARGUMENT]...]",
		Short: "Verify a signed manifest",
		Long:  verifyHelp,
		Example: `  mcpsec verify manifest.sigstore.json --key release.pub
  mcpsec verify manifest.sigstore.json --key alice.pub --key bob.pub --threshold 2
  mcpsec verify manifest.sigstore.json --identity release@example.com --issuer https://accounts.example.com --trusted-root trusted_root.json
  mcpsec verify manifest.sigstore.json --key release.pub --dir app -- ./files-server --stdio`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if dash := cmd.ArgsLenAtDash(); len(args) > 1 && dash != 1 || dash == 0 {
				return usagef("give one file; a command to compare it with stands behind two dashes")
			}
			return v.run(a, cmd, args[0], args[1:])
		},
	}
	p := cmd.Flags()
	v.trust.add(cmd)
	p.Uint64Var(&v.minimum, "min-sequence", 0, "refuse manifests with a lower sequence number")
	p.StringVar(&v.dir, "dir", "", "compare the artifacts in this folder, too")
	p.StringArrayVar(&v.env, "env", nil, "pass this variable on to the server, with the value it has here")
	p.DurationVar(&v.timeout, "timeout", time.Minute, "how long the server may take for everything")
	return cmd
}

func (v *verifying) run(a *app, cmd *cobra.Command, path string, command []string) error {
	if v.timeout <= 0 {
		return usagef("--timeout must be more than nothing")
	}
	trust, err := v.trust.verifier()
	if err == nil {
		v.env, err = environment(v.env)
	}
	if err != nil {
		return err
	}
	file, err := regular.ReadFile(path, envelope.MaxFile)
	if err != nil {
		return err
	}
	signers, err := envelope.Open(cmd.Context(), file, trust)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	m, err := manifest.Decode(signers[0].Payload)
	if err == nil {
		err = v.admit(m, signers)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	compared, seen, err := v.compare(cmd.Context(), m, command)
	if err != nil {
		return err
	}
	r := verified{OK: true, Digest: manifest.Digest(signers[0].Payload), Manifest: m, Compared: compared}
	for _, s := range signers {
		r.Signers = append(r.Signers, verifiedSigner{s.Signer, s.ID, s.Time, s.Log, s.NotBefore, s.NotAfter})
	}
	return a.emit(cmd, r, r.text(seen))
}

// clockSlack is how far the clock here and that of a timestamp authority may differ.
const clockSlack = 5 * time.Minute

// admit asks what a server asks of a manifest before it looks at itself.
func (v *verifying) admit(m *manifest.Manifest, signers []*envelope.Verified) error {
	now := time.Now()
	faults := []error{m.At(now, 0)}
	if m.Sequence < v.minimum {
		faults = append(faults, fmt.Errorf("the manifest has sequence %d, the minimum is %d", m.Sequence, v.minimum))
	}
	for _, s := range signers {
		if err := s.Covers(m.IssuedAt); err != nil {
			faults = append(faults, fmt.Errorf("signed by %s: %w", s.Signer, err))
		}
		switch {
		case s.Time.IsZero():
		case m.IssuedAt.After(s.Time.Add(clockSlack)):
			faults = append(faults, fmt.Errorf("it says it was issued at %s, and was signed at %s", m.IssuedAt.Format(time.RFC3339), s.Time.UTC().Format(time.RFC3339)))
		case now.Before(s.Time.Add(-clockSlack)):
			faults = append(faults, fmt.Errorf("the clock says %s, and it was signed at %s: set the clock", now.UTC().Format(time.RFC3339), s.Time.UTC().Format(time.RFC3339)))
		}
	}
	return errors.Join(faults...)
}

// compare holds a running server and a folder to the manifest, if the command line has them.
func (v *verifying) compare(ctx context.Context, m *manifest.Manifest, command []string) (did []string, seen *lock.Server, err error) {
	did = []string{}
	if v.dir != "" {
		if err := draft.Changed(ctx, m, v.dir); err != nil {
			return nil, nil, err
		}
		did = append(did, fmt.Sprintf("%d artifacts", len(m.Artifacts)))
	}
	if len(command) == 0 {
		return did, nil, nil
	}
	if v.dir == "" && len(m.Artifacts) > 0 {
		return nil, nil, errors.New("the manifest has artifacts: give their folder with --dir; the server was not started")
	}
	what, err := v.program(ctx, m, command)
	if err != nil {
		return nil, nil, fmt.Errorf("%w; it was not started", err)
	}
	did = append(did, what...)
	if seen, err = observe(ctx, command, v.env, v.timeout); err != nil {
		return nil, nil, err
	}
	if err := draft.Match(m, seen); err != nil {
		return nil, nil, fmt.Errorf("the server is not what was signed: %w", err)
	}
	return append(did, "everything that the server shows"), seen, nil
}

// program compares what a command is about to run.
func (v *verifying) program(ctx context.Context, m *manifest.Manifest, command []string) (did []string, err error) {
	program, err := draft.Find(command[0], command[1:]...)
	if err != nil {
		return nil, err
	}
	if program.Script != "" {
		script, err := draft.Script(cmp.Or(v.dir, "."), program.Script)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(m.Artifacts, func(a manifest.Artifact) bool { return a.Path == script.Path }) {
			return nil, fmt.Errorf("the script %s is not in the manifest", script.Path)
		}
	}
	if i := slices.IndexFunc(m.Executables, func(e manifest.Executable) bool { return e.Platform == platform }); i >= 0 {
		got, err := draft.Executable(ctx, platform, program.Path)
		if err != nil {
			return nil, err
		}
		if want := m.Executables[i]; got.SHA256 != want.SHA256 || got.Size != want.Size {
			return nil, fmt.Errorf("%s is not the executable in the manifest: expected sha256:%s (%d bytes), found sha256:%s (%d bytes)", program.Path, want.SHA256, want.Size, got.SHA256, got.Size)
		}
		if program.Bare {
			return []string{"the executable, which is an interpreter: what it runs is not known and was not compared"}, nil
		}
		return []string{"the executable"}, nil
	}
	if len(m.Executables) > 0 {
		return nil, fmt.Errorf("the manifest has executables, and none for %s", platform)
	}
	return nil, nil
}

func (r verified) text(seen *lock.Server) string {
	var b bytes.Buffer
	const layout = time.RFC3339
	rows := []row{}
	for _, s := range r.Signers {
		who := visible(s.Signer)
		if !s.Time.IsZero() {
			who += ", at " + s.Time.UTC().Format(layout)
		}
		if s.Log != "" {
			who += ", log " + visible(s.Log)
		}
		rows = append(rows, row{"signed by", who})
	}
	rows = append(rows, row{"digest", "sha256:" + r.Digest})
	for _, what := range r.Compared {
		rows = append(rows, row{"agrees", what})
	}
	align(&b, "", rows)
	covered(&b, r.Manifest, seen)
	return b.String()
}
