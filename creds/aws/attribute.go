package aws

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// An Attribute is something of a principal that a credential can be made for. Only
// callers that are identified have any: by a token, a certificate, or as a local
// process. A network address identifies nobody.
type Attribute int

// The attributes. Subject, Tenant and Client mean something only together with their
// issuer: where callers of several issuers are served, use Identity. A local process
// has no issuer, and so nothing but Identity: its "uid:1000" could be the subject of
// somebody's token.
const (
	Issuer Attribute = iota + 1
	Subject
	Tenant
	Client
	// Identity is 32 hexadecimal digits: the first 16 bytes of the SHA-256 of
	// [mcpsec.Principal.Key]. It is the same for each call of a caller, and no two
	// callers have the same.
	Identity
)

// identityLength is how many characters Identity has.
const identityLength = 32

var attributeNames = [...]string{"", "issuer", "subject", "tenant", "client", "identity"}

// String returns the name of the attribute, as in a template.
func (a Attribute) String() string {
	if a <= 0 || int(a) >= len(attributeNames) {
		return fmt.Sprintf("Attribute(%d)", int(a))
	}
	return attributeNames[a]
}

func attributeNamed(name string) Attribute {
	for i, n := range attributeNames {
		if i > 0 && n == name {
			return Attribute(i)
		}
	}
	return 0
}

// value returns the attribute of a principal. Its error is a refusal.
func (a Attribute) value(p mcpsec.Principal) (string, error) {
	if p.Rung < mcpsec.Process {
		return "", refuse(codePrincipal, "the caller is not identified")
	}
	if p.Rung == mcpsec.Process && a != Identity {
		return "", refuse(codePrincipal, "a local process has no "+a.String()+" that an issuer stands for, only its identity")
	}
	v := ""
	switch a {
	case Issuer:
		v = p.Issuer
	case Subject:
		v = p.Subject
	case Tenant:
		v = p.Tenant
	case Client:
		v = p.Client
	case Identity:
		hash := sha256.Sum256([]byte(p.Key()))
		v = hex.EncodeToString(hash[:identityLength/2])
	}
	if v == "" {
		return "", refuse(codePrincipal, "the caller has no "+a.String())
	}
	return v, nil
}
