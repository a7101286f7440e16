package rolesanywhere

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// request returns a CreateSession, signed with the key of the certificate as Signature
// Version 4 does it with a secret key: the string to sign is signed itself.
func (p *Provider) request(ctx context.Context, id Identity) (*http.Request, error) {
	query := url.Values{
		"profileArn": {p.config.ProfileARN}, "roleArn": {p.config.RoleARN}, "trustAnchorArn": {p.config.TrustAnchorARN},
	}
	target := *p.endpoint
	target.Path, target.RawQuery = "/sessions", query.Encode()
	body := fmt.Appendf(nil, `{"durationSeconds":%d}`, p.config.Duration/time.Second)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	at := p.now().UTC()
	stamp, scope := at.Format("20060102T150405Z"), at.Format("20060102")+"/"+p.config.Region+"/rolesanywhere/aws4_request"
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Amz-Date", stamp)
	req.Header.Set("X-Amz-X509", base64.StdEncoding.EncodeToString(id.Leaf.Raw))
	if len(id.Chain) > 0 {
		chain := make([]string, len(id.Chain))
		for i, c := range id.Chain {
			chain[i] = base64.StdEncoding.EncodeToString(c.Raw)
		}
		req.Header.Set("X-Amz-X509-Chain", strings.Join(chain, ","))
	}

	names := signedHeaders(req.Header)
	var canonical strings.Builder
	fmt.Fprintf(&canonical, "POST\n/sessions\n%s\n", target.RawQuery)
	for _, name := range names {
		value := req.Header.Get(name)
		if name == "host" {
			value = target.Host
		}
		fmt.Fprintf(&canonical, "%s:%s\n", name, value)
	}
	signed := strings.Join(names, ";")
	fmt.Fprintf(&canonical, "\n%s\n%x", signed, sha256.Sum256(body))

	algorithm := "AWS4-X509-RSA-SHA256"
	if _, ok := id.Leaf.PublicKey.(*ecdsa.PublicKey); ok {
		algorithm = "AWS4-X509-ECDSA-SHA256"
	}
	digest := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%s\n%x", algorithm, stamp, scope, sha256.Sum256([]byte(canonical.String()))))
	signature, err := id.Signer.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("the key of the certificate does not sign (%T): see what Sign of it returns", err)
	}
	req.Header.Set("Authorization", fmt.Sprintf("%s Credential=%d/%s, SignedHeaders=%s, Signature=%x", algorithm, id.Leaf.SerialNumber, scope, signed, signature))
	return req, nil
}
