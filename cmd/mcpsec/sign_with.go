package main

import (
	"bytes"
	"context"
	"crypto"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/mcpsec/mcpsec-go/attest/cosign/keyfile"
	"github.com/mcpsec/mcpsec-go/attest/cosign/kms"
	"github.com/mcpsec/mcpsec-go/attest/envelope"
	"github.com/mcpsec/mcpsec-go/attest/sigstore"
)

// A signer makes bundles; public is its key, unless it makes a new one each time.
type signer struct {
	envelope.Signer

	public *envelope.Key
}

// signer opens the one key that the flags name.
func (s *signing) signer(cmd *cobra.Command) (*signer, error) {
	var (
		private crypto.Signer
		err     error
	)
	switch {
	case s.services.keyless:
		made, err := s.services.signer()
		return &signer{Signer: made}, err
	case s.kms != "":
		private, err = kms.Open(cmd.Context(), s.kms)
	default:
		private, err = keyfile.Read(s.key, passphrase(cmd, s.phrase))
	}
	if err != nil {
		return nil, err
	}
	made, err := envelope.SignWith(private)
	if err != nil {
		return nil, err
	}
	key, err := envelope.NewKey(private.Public())
	return &signer{made, &key}, err
}

// sign returns one line. It is read again before anybody gets it: the payload must be
// what was shown, and the signature that of the key. Who a certificate is for, only
// mcpsec verify can tell, with a trusted root.
func (s *signer) sign(ctx context.Context, statement []byte) ([]byte, error) {
	line, err := s.Sign(ctx, envelope.PayloadType, statement)
	if err != nil {
		return nil, err
	}
	b, err := envelope.Parse(line)
	switch {
	case err != nil:
		return nil, fmt.Errorf("what was signed cannot be read: %w", err)
	case !bytes.Equal(b.Payload, statement) || b.PayloadType != envelope.PayloadType:
		return nil, fmt.Errorf("something else was signed than was shown")
	case s.public != nil && !signs(ctx, s.public, line):
		return nil, fmt.Errorf("the signature is not that of %s", s.Describe())
	}
	return line, nil
}

// signs reports whether a key made the signature in a bundle.
func signs(ctx context.Context, key *envelope.Key, line []byte) bool {
	if key == nil {
		return false
	}
	_, err := envelope.Keys(*key).Verify(ctx, line)
	return err == nil
}

// bundleLines returns the bundles of a file that was read before, one a line.
func bundleLines(file []byte) (lines [][]byte) {
	var whole bytes.Buffer
	if json.Compact(&whole, file) == nil { // a single one, in any layout
		return [][]byte{whole.Bytes()}
	}
	for line := range bytes.Lines(file) {
		if line = bytes.TrimSpace(line); len(line) > 0 {
			lines = append(lines, bytes.Clone(line))
		}
	}
	return lines
}

// serviceFlags name the services of a signature without a key of one's own.
type serviceFlags struct {
	keyless       bool
	token, config string
	fulcio, rekor string
	rekorV1, tsa  string
}

func (f *serviceFlags) add(cmd *cobra.Command) {
	p := cmd.Flags()
	p.BoolVar(&f.keyless, "keyless", false, "sign with an identity instead of a key")
	p.StringVar(&f.token, "identity-token-file", "", "OpenID Connect token of the identity")
	p.StringVar(&f.config, "signing-config", "", "signing_config.json of a Sigstore, in the place of the URLs")
	p.StringVar(&f.fulcio, "fulcio-url", "", "certificate authority")
	p.StringVar(&f.rekor, "rekor-url", "", "transparency log, Rekor v2; it needs --tsa-url")
	p.StringVar(&f.rekorV1, "rekor-v1-url", "", "transparency log, Rekor v1")
	p.StringVar(&f.tsa, "tsa-url", "", "timestamp authority (RFC 3161), the whole URL")
}

func (f *serviceFlags) usage() error {
	urls := f.fulcio+f.rekor+f.rekorV1+f.tsa != ""
	switch {
	case !f.keyless && (urls || f.config+f.token != ""):
		return usagef("--identity-token-file, --signing-config and the URLs are for --keyless")
	case f.keyless && f.token == "":
		return usagef("--keyless needs --identity-token-file: the certificate authority must know who asks")
	case f.keyless && urls == (f.config != ""):
		return usagef("--keyless needs either --signing-config or --fulcio-url, a log and a timestamp authority")
	}
	return nil
}

func (f *serviceFlags) signer() (envelope.Signer, error) {
	s := sigstore.Services{Fulcio: f.fulcio}
	for _, service := range []struct {
		url string
		to  *[]string
	}{{f.rekor, &s.RekorV2}, {f.rekorV1, &s.RekorV1}, {f.tsa, &s.Timestamps}} {
		if service.url != "" {
			*service.to = append(*service.to, service.url)
		}
	}
	if f.config != "" {
		var err error
		if s, err = sigstore.SigningConfigFile(f.config); err != nil {
			return nil, err
		}
	}
	return sigstore.Sign(s, sigstore.TokenFile(f.token))
}
