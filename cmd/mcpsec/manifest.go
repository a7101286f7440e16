package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mcpsec/mcpsec-go/attest/manifest"
	"github.com/mcpsec/mcpsec-go/attest/manifest/draft"
	"github.com/mcpsec/mcpsec-go/internal/regular"
)

const manifestHelp = `Make the manifest of a server, to be reviewed and signed: the SHA-256 digests of its
instructions, tools, prompts and resources as they go over the wire, of its executable
and of the files that tools use. What a manifest does not name is not allowed.

The server is started over stdio, in any language, with your rights and an environment of
a few variables (PATH, HOME, LANG and the like) and those that --env names. A server that already runs
under attest does not start without a manifest: have it write one with attest.Capture and
complete that with --from. Its texts were then not seen here, and cannot be judged.

Beside the manifest lie the definitions themselves, with .tools.json at the end, for the
reviewer and for mcpsec diff. Hidden characters, look-alike names and the like are said,
and nothing is written if one of them is an error.

An artifact is NAME=PATH:BIND:ROLE[:TOOL,TOOL]; its path begins in --dir, and BIND says how
the server uses it: snapshot (read once, into sealed memory), exec (run from there), watch
(stays a file, checked on each call). A script that an interpreter runs is added as one.

Members with --json: written, file, definitions, digest, manifest, findings [{severity,
code, where, message, remedy}], changes (since --previous).`

// A drafting is what the flags of manifest say.
type drafting struct {
	out, dir, from, previous, age, bill, policy string

	artifacts, platforms, versions, env []string
	noExecutable                        bool
	timeout                             time.Duration
}

func newManifest(a *app) *cobra.Command {
	var d drafting
	cmd := &cobra.Command{
		Use:   "manifest [--from FILE | -- COMMAND [ARGUMENT]...]",
		Short: "Make the manifest of a server, to be signed",
		Long:  manifestHelp,
		Example: `  mcpsec manifest -- ./files-server --stdio
  mcpsec manifest --previous manifest.sigstore.json --expires 30d --sbom bill.json -- ./files-server
  mcpsec manifest --dir app --artifact rules=rules.txt:snapshot:prompt:search,read -- python3 app/server.py
  mcpsec manifest --from captured.json --platform darwin/arm64=dist/server-mac -o manifest.json`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if (d.from == "") == (len(args) == 0) || len(args) > 0 && cmd.ArgsLenAtDash() != 0 {
				return usagef("give --from, or two dashes and the command that starts the server: %s -- files-server --stdio", cmd.CommandPath())
			}
			return d.run(a, cmd, args)
		},
	}
	p := cmd.Flags()
	p.StringVarP(&d.out, "output", "o", "manifest.json", "the manifest to write")
	p.StringVar(&d.from, "from", "", "complete a manifest that the server itself wrote (attest.Capture)")
	p.StringVar(&d.dir, "dir", ".", "the folder in which paths of artifacts begin")
	p.StringArrayVar(&d.artifacts, "artifact", nil, "add a file: NAME=PATH:BIND:ROLE[:TOOL,TOOL]")
	p.StringArrayVar(&d.platforms, "platform", nil, "add the executable of another platform: OS/ARCH=PATH")
	p.BoolVar(&d.noExecutable, "no-executable", false, "leave out the executable that was started")
	p.StringArrayVar(&d.versions, "tool-version", nil, "version of one tool, in the place of the server's: NAME=VERSION")
	p.StringVar(&d.previous, "previous", "", "the manifest before, signed or not: the sequence goes on from it")
	p.StringVar(&d.age, "expires", "90d", "for how long it is valid, at most 90d: 12h, 30d")
	p.StringVar(&d.bill, "sbom", "", "bill of materials, which is compared with the executable (mcpsec sbom)")
	p.StringVar(&d.policy, "policy", "", "policy file of the server")
	p.StringArrayVar(&d.env, "env", nil, "pass this variable on to the server, with the value it has here")
	p.DurationVar(&d.timeout, "timeout", time.Minute, "how long the server may take for everything")
	return cmd
}

// run makes the manifest, judges it and writes it.
func (d *drafting) run(a *app, cmd *cobra.Command, args []string) error {
	life, ok := parseAge(d.age)
	if !ok || life < time.Second || life > manifest.MaxLifetime {
		return usagef("--expires: %.40q is no duration up to 90d, such as 12h or 30d", d.age)
	}
	if d.timeout <= 0 {
		return usagef("--timeout must be more than nothing")
	}
	if strings.HasSuffix(d.out, ".sigstore.json") || strings.HasSuffix(d.out, draft.Suffix) {
		return usagef("--output %.*q: the name is for signatures or definitions, which lie beside a manifest", maxQuoted, d.out)
	}
	artifacts, err := d.parse()
	if err != nil {
		return err
	}
	if d.env, err = environment(d.env); err != nil {
		return err
	}
	now := time.Now()
	var r *reviewed
	if d.from != "" {
		r, err = d.captured(now, life)
	} else {
		r, err = d.started(cmd.Context(), now, life, args, &artifacts)
	}
	if err != nil {
		return err
	}
	report, err := d.complete(cmd.Context(), r, artifacts)
	if err != nil {
		return err
	}
	found, err := r.findings()
	if err != nil {
		return err
	}
	report.Findings = append(report.Findings, found...)
	if refused(report.Findings) {
		return errors.Join(a.emit(cmd, report, report.text(r)), errors.New("nothing is written, and nobody should sign it: the errors are above"))
	}
	if err := d.write(r, now, report); err != nil {
		return err
	}
	return a.emit(cmd, report, report.text(r))
}

// parse reads the flags that can be wrong before anything is started.
func (d *drafting) parse() ([]draft.Artifact, error) {
	var artifacts []draft.Artifact
	for _, spec := range d.artifacts {
		artifact, err := draft.ParseArtifact(spec)
		if err != nil {
			return nil, usagef("--artifact %.*q: %v", maxQuoted, spec, err)
		}
		artifacts = append(artifacts, artifact)
	}
	for flag, list := range map[string][]string{"--platform": d.platforms, "--tool-version": d.versions} {
		for _, pair := range list {
			if name, value, ok := strings.Cut(pair, "="); !ok || name == "" || value == "" {
				return nil, usagef("%s %.*q: it has the form %s", flag, maxQuoted, pair, map[string]string{"--platform": "OS/ARCH=PATH", "--tool-version": "NAME=VERSION"}[flag])
			}
		}
	}
	return artifacts, nil
}

// captured reads a manifest that the server made of itself.
func (d *drafting) captured(now time.Time, life time.Duration) (*reviewed, error) {
	statement, err := regular.ReadFile(d.from, manifest.MaxSize)
	if err != nil {
		return nil, err
	}
	m, err := manifest.Decode(statement)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d.from, err)
	}
	draft.Date(m, now, life)
	return &reviewed{manifest: m}, nil
}

// started runs the server and reads what it shows. The program must be the same before
// and afterwards: what is hashed is then what ran.
func (d *drafting) started(ctx context.Context, now time.Time, life time.Duration, args []string, artifacts *[]draft.Artifact) (*reviewed, error) {
	program, err := draft.Find(args[0], args[1:]...)
	if err != nil {
		return nil, err
	}
	before, err := draft.Executable(ctx, platform, program.Path)
	if err != nil {
		return nil, err
	}
	seen, err := observe(ctx, args, d.env, d.timeout)
	if err != nil {
		return nil, err
	}
	after, err := draft.Executable(ctx, platform, program.Path)
	if err != nil {
		return nil, err
	}
	if before.SHA256 != after.SHA256 {
		return nil, fmt.Errorf("%s changed while it ran", program.Path)
	}
	m, err := draft.New(seen, now, life)
	if err != nil {
		return nil, err
	}
	r := &reviewed{manifest: m, definitions: seen, bare: program.Bare}
	if !d.noExecutable {
		m.Executables = append(m.Executables, after)
		r.program = program.Path
	}
	if program.Script != "" {
		script, err := draft.Script(d.dir, program.Script)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(*artifacts, func(a draft.Artifact) bool { return a.Path == script.Path }) {
			*artifacts = append(*artifacts, script)
		}
	}
	return r, nil
}

const platform = runtime.GOOS + "/" + runtime.GOARCH
