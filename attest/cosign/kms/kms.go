package kms

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/sigstore/sigstore/pkg/signature/kms/aws"
	"github.com/sigstore/sigstore/pkg/signature/options"

	"github.com/mcpsec/mcpsec-go/attest/cosign/keyfile"
)

// A Key is a signing key in AWS KMS. It implements crypto.Signer, and so is what
// envelope.SignWith takes. It is safe for concurrent use.
type Key struct {
	remote *aws.SignerVerifier
	public *ecdsa.PublicKey
	ctx    context.Context //nolint:containedctx // crypto.Signer has no place for one
}

var _ crypto.Signer = (*Key)(nil)

// Open looks up the key of a reference: "awskms:///alias/NAME", "awskms:///KEY-ID" or
// "awskms:///ARN", with an endpoint (https) between the second and the third slash if
// it is another than AWS's own. It must be an ECC_NIST_P256 key for signing
// (ECDSA_SHA_256); its policy must allow kms:GetPublicKey, kms:DescribeKey and
// kms:Sign. Region and credentials come from AWS's usual chain unless options say
// otherwise. The context bounds the signatures too.
func Open(ctx context.Context, reference string, opts ...func(*config.LoadOptions) error) (*Key, error) {
	//nolint:forbidigo // the library reads it, and there is no other way to tell that it would
	if os.Getenv("AWS_TLS_INSECURE_SKIP_VERIFY") != "" {
		return nil, errors.New("kms.Open: AWS_TLS_INSECURE_SKIP_VERIFY is set: unset it, it lets anybody on the way answer for AWS")
	}
	if err := aws.ValidReference(reference); err != nil {
		return nil, fmt.Errorf("kms.Open: %w", err)
	}
	remote, err := aws.LoadSignerVerifier(ctx, reference, opts...)
	if err != nil {
		return nil, fmt.Errorf("kms.Open: %s: %w", reference, err)
	}
	public, err := remote.PublicKey(options.WithContext(ctx))
	if err != nil {
		return nil, fmt.Errorf("kms.Open: %s: %w", reference, err)
	}
	key, ok := public.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, fmt.Errorf("kms.Open: %s: not a key on P-256: make one with key spec ECC_NIST_P256 and usage SIGN_VERIFY", reference)
	}
	return &Key{remote: remote, public: key, ctx: ctx}, nil
}

// Public implements crypto.Signer.
func (k *Key) Public() crypto.PublicKey { return k.public }

// PublicPEM is the public key as cosign and envelope.ParseKey read it.
func (k *Key) PublicPEM() ([]byte, error) { return keyfile.PublicPEM(k.public) }

// Sign implements crypto.Signer for a SHA-256 digest. A signature that the public key
// does not verify is an error, whatever the service says.
func (k *Key) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if opts == nil || opts.HashFunc() != crypto.SHA256 || len(digest) != crypto.SHA256.Size() {
		return nil, errors.New("kms: the key signs SHA-256 digests only")
	}
	sig, err := k.remote.SignMessage(nil, options.WithContext(k.ctx), options.WithDigest(digest), options.WithCryptoSignerOpts(crypto.SHA256))
	if err != nil {
		return nil, fmt.Errorf("kms: %w", err)
	}
	if !ecdsa.VerifyASN1(k.public, digest, sig) {
		return nil, errors.New("kms: the service returned a signature that is not the key's")
	}
	return sig, nil
}
