package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/mcpsec/mcpsec-go/attest/envelope"
	"github.com/mcpsec/mcpsec-go/attest/manifest"
	"github.com/mcpsec/mcpsec-go/attest/manifest/draft"
	"github.com/mcpsec/mcpsec-go/internal/regular"
)

const signHelp = `Sign a manifest. What is signed is printed first. The signature goes into a file that
"cosign verify-blob-attestation" reads, too: a Sigstore bundle, in the name of the manifest
with .sigstore.json at the end. Signing again with another key adds a second bundle, for
servers that ask for several signers (envelope.Threshold).

Sign with one of
  --key FILE    a key of mcpsec keygen or cosign; its passphrase is asked for
  --kms URI     a key in AWS KMS, awskms:///alias/NAME, with the credentials of the AWS SDK
  --keyless     an identity: Fulcio certifies it for --identity-token-file, and a log shows it
                to everybody. The services stand in --signing-config or in the three URLs.

Refused are a manifest that is not valid, has expired, or does not pass the lint that
mcpsec manifest does. That needs the definitions beside it (.tools.json); for a manifest
that its server wrote, which has none, say --without-definitions if you read them there.

Members with --json: file, digest, signer, bundles, manifest, findings.`

// A signing is what the flags of sign say.
type signing struct {
	out              string
	replace, unread  bool
	key, phrase, kms string
	services         serviceFlags
}

// A signature is what sign prints; its members are those of the JSON form.
type signature struct {
	File     string             `json:"file"`
	Digest   string             `json:"digest"`
	Signer   string             `json:"signer"`
	Bundles  int                `json:"bundles"` // in the file now
	Manifest *manifest.Manifest `json:"manifest"`
	Findings []remark           `json:"findings"`
}

func newSign(a *app) *cobra.Command {
	var s signing
	cmd := &cobra.Command{
		Use:   "sign MANIFEST {--key FILE | --kms URI | --keyless}",
		Short: "Sign a manifest",
		Long:  signHelp,
		Example: `  mcpsec sign manifest.json --key release.key
  mcpsec sign manifest.json --kms awskms:///alias/release
  mcpsec sign manifest.json --keyless --identity-token-file token --signing-config signing_config.json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return s.run(a, cmd, args[0]) },
	}
	p := cmd.Flags()
	p.StringVar(&s.key, "key", "", "private key file, as mcpsec keygen and cosign write it")
	addPassphraseFile(cmd, &s.phrase)
	p.StringVar(&s.kms, "kms", "", "key in AWS KMS: awskms:///alias/NAME, awskms:///ARN")
	p.StringVarP(&s.out, "output", "o", "", "file of signatures (default: the manifest's name with .sigstore.json)")
	p.BoolVar(&s.replace, "replace", false, "replace a file that holds signatures of another manifest")
	p.BoolVar(&s.unread, "without-definitions", false, "sign although the definitions are not there to be judged")
	s.services.add(cmd)
	return cmd
}

func (s *signing) run(a *app, cmd *cobra.Command, path string) error {
	if err := s.usage(); err != nil {
		return err
	}
	r, found, err := s.review(cmd.Context(), path)
	if err != nil {
		return err
	}
	out := s.out
	if out == "" {
		out = stem(path) + ".sigstore.json"
	}
	had, err := s.former(cmd.Context(), out, r)
	if err != nil {
		return err
	}
	sig := signature{File: out, Digest: manifest.Digest(r.statement), Manifest: r.manifest, Findings: found}
	var b bytes.Buffer
	covered(&b, r.manifest, r.definitions)
	writeFindings(&b, found)
	align(&b, "", []row{{"digest", "sha256:" + sig.Digest}})
	if !a.json {
		if err := a.emit(cmd, nil, b.String()); err != nil {
			return err
		}
	}
	if refused(found) {
		err := errors.New("not signed: it has errors")
		if a.json {
			err = errors.Join(a.emit(cmd, sig, ""), err)
		}
		return err
	}
	signer, err := s.signer(cmd)
	if err != nil {
		return err
	}
	for i, bundle := range had.bundles {
		if bundle.Keyed && signs(cmd.Context(), signer.public, had.lines[i]) {
			return fmt.Errorf("%s is there already in %s", signer.Describe(), out)
		}
	}
	line, err := signer.sign(cmd.Context(), r.statement)
	if err != nil {
		return err
	}
	lines := slices.Concat(had.lines, [][]byte{line})
	if len(lines) > envelope.MaxBundles {
		return fmt.Errorf("%s has %d bundles, the limit", out, envelope.MaxBundles)
	}
	if err := regular.Replace(out, append(bytes.Join(lines, []byte("\n")), '\n'), 0o644); err != nil {
		return fmt.Errorf("writing the signature: %w", err)
	}
	sig.Signer, sig.Bundles = signer.Describe(), len(lines)
	b.Reset()
	align(&b, "", []row{{"signed by", shown(sig.Signer, 500)}, {"written", shown(out, 500)}, {"signatures", fmt.Sprint(sig.Bundles)}})
	return a.emit(cmd, sig, b.String())
}

func (s *signing) usage() error {
	n := 0
	for _, given := range []bool{s.key != "", s.kms != "", s.services.keyless} {
		if given {
			n++
		}
	}
	if n != 1 {
		return usagef("give one of --key, --kms and --keyless")
	}
	if s.phrase != "" && s.key == "" {
		return usagef("--passphrase-file is for --key")
	}
	return s.services.usage()
}

// review reads a manifest and judges whether anybody should sign it.
func (s *signing) review(ctx context.Context, path string) (*reviewed, []remark, error) {
	r, err := readReviewed(ctx, path)
	if err != nil {
		return nil, nil, err
	}
	if r.bundles != nil {
		return nil, nil, fmt.Errorf("%s is signed already: give the manifest that mcpsec manifest wrote", path)
	}
	when := time.Now()
	if when.Before(r.manifest.NotBefore) { // one that is for later may be signed
		when = r.manifest.NotBefore
	}
	if err := r.manifest.At(when, 0); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	if r.statement, err = r.manifest.Encode(); err != nil { // the canonical form is signed, whatever the file's is
		return nil, nil, err
	}
	err = r.readDefinitions(path)
	if errors.Is(err, errNoDefinitions) && s.unread {
		err = nil
	}
	if errors.Is(err, errNoDefinitions) {
		err = fmt.Errorf("%w: mcpsec manifest writes them; if the server wrote the manifest and you read them there, say --without-definitions", err)
	}
	if err != nil {
		return nil, nil, err
	}
	found, err := r.findings()
	return r, found, err
}

// A former file of signatures, and its bundles as they are, one a line.
type former struct {
	lines   [][]byte
	bundles []*envelope.Bundle
}

// former reads the signatures that are there. Those of another manifest stay unless
// somebody says otherwise.
func (s *signing) former(ctx context.Context, path string, r *reviewed) (had former, err error) {
	file, err := regular.ReadFile(path, envelope.MaxFile)
	if errors.Is(err, fs.ErrNotExist) {
		return had, nil
	}
	if err != nil {
		return had, err
	}
	statement, bundles, err := draft.Statement(ctx, file)
	switch {
	case err == nil && bundles != nil && bytes.Equal(statement, r.statement):
		return former{bundleLines(file), bundles}, nil
	case err != nil || bundles == nil: // perhaps the key
		return had, fmt.Errorf("%s is no file of signatures: give another name with -o, or remove it", path)
	case s.replace:
		return had, nil
	}
	return had, fmt.Errorf("%s holds signatures of another manifest: --replace replaces it, -o names another file", path)
}
