package main

import (
	"github.com/spf13/cobra"

	"github.com/mcpsec/mcpsec-go/attest/cosign"
	"github.com/mcpsec/mcpsec-go/attest/envelope"
	"github.com/mcpsec/mcpsec-go/attest/sigstore"
)

// trustFlags say whose signatures count.
type trustFlags struct {
	keys                  []string
	threshold             int
	subject, issuer, root string
	using                 string
	privatePKI            bool
	build                 sigstore.Build
}

func (f *trustFlags) add(cmd *cobra.Command) {
	p := cmd.Flags()
	p.StringArrayVar(&f.keys, "key", nil, "trust this public key")
	p.IntVar(&f.threshold, "threshold", 1, "how many different signers must have signed")
	p.StringVar(&f.subject, "identity", "", "trust this subject of a certificate: an e-mail address or the URI of a workflow")
	p.StringVar(&f.issuer, "issuer", "", "issuer of the identity")
	p.StringVar(&f.root, "trusted-root", "", "trusted_root.json of the Sigstore that certifies the identity")
	p.StringVar(&f.build.SourceRepository, "source-repository", "", "repository that the certificate must name")
	p.StringVar(&f.build.SourceRef, "source-ref", "", "branch or tag that the certificate must name, such as refs/tags/v1.2.0")
	p.StringVar(&f.build.Runner, "runner", "", "runner that the certificate must name: github-hosted, self-hosted")
	p.BoolVar(&f.privatePKI, "private-pki", false, "the certificate authority is your own and keeps no certificate transparency log")
	p.StringVar(&f.using, "using", "sigstore", "library that judges certificates: sigstore or cosign")
}

func (f *trustFlags) verifier() (envelope.Verifier, error) {
	identity := f.subject + f.issuer + f.root
	switch {
	case f.using != "sigstore" && f.using != "cosign":
		return nil, usagef("--using is sigstore or cosign, not %.*q", maxQuoted, f.using)
	case identity != "" && (f.subject == "" || f.issuer == "" || f.root == ""):
		return nil, usagef("--identity, --issuer and --trusted-root belong together")
	case identity == "" && (f.privatePKI || f.build != sigstore.Build{} || f.using == "cosign"):
		return nil, usagef("--using cosign, --private-pki and what pins the build are for --identity: keys need none of them")
	case identity == "" && len(f.keys) == 0:
		return nil, usagef("whom to trust is not said: give --key, or --identity, --issuer and --trusted-root")
	}
	if n := len(f.keys) + min(len(identity), 1); f.threshold < 1 || f.threshold > n {
		return nil, usagef("--threshold %d: the command line trusts %d signers", f.threshold, n)
	}
	var of []envelope.Verifier
	for _, path := range f.keys {
		key, err := envelope.ReadKey(path)
		if err != nil {
			return nil, err
		}
		of = append(of, envelope.Keys(key))
	}
	if identity != "" {
		v, err := f.keyless()
		if err != nil {
			return nil, err
		}
		of = append(of, v)
	}
	return envelope.Threshold(f.threshold, of...), nil
}

func (f *trustFlags) keyless() (envelope.Verifier, error) {
	opts := []sigstore.Option{sigstore.Identity(f.subject, f.issuer), sigstore.TrustedRootFile(f.root)}
	if f.privatePKI {
		opts = append(opts, sigstore.PrivatePKI())
	}
	if f.build != (sigstore.Build{}) {
		opts = append(opts, sigstore.From(f.build))
	}
	if f.using == "cosign" {
		return cosign.Verifier(opts...)
	}
	return sigstore.Keyless(opts...)
}
